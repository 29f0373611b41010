"""A picture followed through the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alexnet_lib import architectures, datasets, shapes
from alexnet_lib.analysis import forward_trace


def test_a_trace_is_the_networks_own_forward_pass():
    net, classes, mean = forward_trace.trained()
    trace = forward_trace.follow(datasets.photo("coffee"))
    x = torch.from_numpy(trace.maps["input"])[None]
    with torch.no_grad():
        logits = net(x)[0]
    np.testing.assert_allclose(trace.maps["fc8"], logits.numpy(), atol=1e-4)
    assert sum(chance for _, chance in trace.answers) == pytest.approx(1, abs=1e-5)
    assert {name for name, _ in trace.answers} == set(classes) and len(classes) == 10
    spec = {row.name: row.output for row in shapes.walk(architectures.network("paper", 10))}
    for stage in forward_trace.STAGES[1:]:
        assert trace.maps[stage].shape == spec[stage]
        if stage != "fc8":
            assert trace.maps[stage].min() >= 0
    back = trace.maps["input"].transpose(1, 2, 0) + mean.numpy()
    np.testing.assert_allclose(back, trace.picture, atol=1e-3)


@pytest.mark.parametrize(
    "photo", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 4, 3), np.uint8),
              np.zeros((8, 8, 4), np.uint8)],
)  # fmt: skip
def test_a_trace_needs_a_photo(photo):
    with pytest.raises(ValueError, match="give uint8"):
        forward_trace.follow(photo)
