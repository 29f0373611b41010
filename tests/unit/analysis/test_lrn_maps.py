"""Maps before and after LRN are those of its formula, from filters that see edges."""

from __future__ import annotations

import numpy as np
import torch

from alexnet_lib import datasets
from alexnet_lib.analysis import lrn_maps


def test_maps_before_and_after_lrn():
    maps = lrn_maps.before_and_after(datasets.photo("cat"), side=99)
    assert maps["image"].shape == (99, 99, 3) and maps["image"].dtype == np.uint8
    assert maps["before"].shape == maps["after"].shape == maps["factor"].shape == (16, 23, 23)
    assert maps["before"].min() == 0 and maps["before"].max() > 5
    norm = torch.nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)
    after = norm(torch.from_numpy(maps["before"])[None])[0].numpy()
    np.testing.assert_allclose(maps["after"], after, rtol=1e-4, atol=1e-6)
    active = maps["before"] > 0
    assert np.isnan(maps["factor"][~active]).all() and (maps["factor"][active] < 0.6).all()
    strong = lrn_maps.before_and_after(datasets.photo("cat"), side=99, alpha=1e-2)
    assert strong["after"].sum() < maps["after"].sum()


def test_oriented_filters_see_edges_in_their_direction():
    filters = lrn_maps.oriented_filters(8)
    assert filters.shape == (8, 3, 11, 11) and filters.dtype == np.float32
    np.testing.assert_allclose(filters.sum(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(np.abs(filters).sum(axis=(1, 2, 3)), 1, rtol=1e-5)
    photo = np.zeros((99, 99, 3), np.uint8)
    photo[:, 50:] = 200  # dark on the left, bright on the right: filter 0's edge, 4's opposite
    strength = lrn_maps.before_and_after(photo, filters, side=99)["before"].max(axis=(1, 2))
    assert strength.argmax() == 0 and strength[4] < 0.05 * strength[0]
    assert strength[2] < 0.05 * strength[0]
