"""Colour, patches, hidden squares and neighbours, against loops and cases that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alexnet_lib import pretrained
from alexnet_lib.analysis import units
from alexnet_lib.course import checks


def test_colourfulness_of_known_filters():
    grey = np.ones((1, 3, 5, 5)) * np.arange(25.0).reshape(5, 5)
    pure = np.zeros((1, 3, 5, 5))
    pure[:, 0], pure[:, 2] = 1, -1
    red = np.zeros((1, 3, 5, 5))
    red[:, 0] = 4
    nothing = np.zeros((1, 3, 5, 5))
    found = units.colourfulness(np.concatenate([grey, pure, red, nothing]))
    np.testing.assert_allclose(found, [0, 1, 2 / 3, 0], atol=1e-12)


def test_colourfulness_is_that_of_the_exercise_and_noise_has_two_thirds():
    noise = np.random.default_rng(0).normal(size=(400, 3, 11, 11))
    found = units.colourfulness(noise)
    assert found.mean() == pytest.approx(units.NOISE_COLOUR, abs=0.005)
    one = checks.solution_function("colour_share")(torch.from_numpy(noise[0]))
    assert one == pytest.approx(found[0])
    np.testing.assert_allclose(units.colourfulness(-3 * noise), found)
    with pytest.raises(ValueError, match=r"\(K, 3, h, w\)"):
        units.colourfulness(noise[0])


def test_training_made_the_shipped_filters_greyer():
    steps, moments = pretrained.filter_moments()
    first, last = (
        units.colourfulness(moments[at].astype(float).transpose(0, 3, 1, 2) - 128).mean()
        for at in (0, -1)
    )
    assert first == pytest.approx(units.NOISE_COLOUR, abs=0.02) and last < first - 0.1
    kept = units.colourfulness(pretrained.learned_filters()["conv1.weight"]).mean()
    assert kept == pytest.approx(last, abs=0.02)


def test_shuffled_gaps_are_those_of_chance():
    values = np.array([0.0] * 4 + [1.0] * 4)
    gaps = units.shuffled_gaps(values, 4000)
    assert gaps.shape == (4000,) and set(gaps) <= {-1, -0.5, 0, 0.5, 1}
    assert abs(gaps.mean()) < 0.03
    assert (np.abs(gaps) == 1).mean() == pytest.approx(2 / 70, abs=0.01)  # 70 ways, 2 of them
    np.testing.assert_array_equal(gaps, units.shuffled_gaps(values, 4000))


def test_top_patches_are_the_largest_of_different_pictures():
    maps = np.zeros((4, 2, 3, 3), np.float32)
    maps[0, 1, 2, 0], maps[2, 1, 0, 1], maps[2, 1, 1, 1], maps[3, 1, 1, 2] = 5, 9, 8, 1
    found = units.top_patches(maps, 1)
    assert [(p.image, p.value, p.row, p.column) for p in found] == [
        (2, 9, 0, 1), (0, 5, 2, 0), (3, 1, 1, 2),
    ]  # fmt: skip
    assert units.top_patches(maps, 0) == []
    with pytest.raises(ValueError, match="channels 0 to 1"):
        units.top_patches(maps, 2)


def test_places_end_at_the_edge():
    assert units.places(10, 4, 3) == [0, 3, 6]
    assert units.places(10, 4, 4) == [0, 4, 6]
    assert units.places(4, 4, 9) == [0]
    with pytest.raises(ValueError, match="size is 11"):
        units.places(10, 11, 1)


def test_occlusion_of_a_linear_score_is_what_the_square_held():
    draw = torch.Generator().manual_seed(0)
    weights = torch.randn(3, 8, 10, generator=draw)
    x = torch.randn(1, 3, 8, 10, generator=draw)
    before = x.clone()
    found = units.occlusion(lambda batch: (batch * weights).sum((1, 2, 3)), x, 4, 2, 5)
    assert found.shape == (3, 4) and torch.equal(x, before)
    for i, top in enumerate((0, 2, 4)):
        for j, left in enumerate((0, 2, 4, 6)):
            held = (x[0] * weights)[:, top : top + 4, left : left + 4].sum()
            assert found[i, j] == pytest.approx(held.item(), abs=1e-4)


def test_nearest_is_euclidean_and_leaves_itself_out():
    features = np.random.default_rng(0).normal(size=(20, 3, 4))
    gaps = units.distances(features[:2], features)
    for q in range(2):
        for i in range(20):
            assert gaps[q, i] == pytest.approx(np.linalg.norm(features[q] - features[i]), abs=1e-6)
    order = np.argsort(gaps[1])
    assert order[0] == 1
    np.testing.assert_array_equal(units.nearest(features, 1, 6), order[1:7])


def test_describe_goes_through_all_pictures():
    from alexnet_lib import architectures, models

    net = models.build(architectures.small_network(28, 3, channels=(4, 4, 4)), seed=0).eval()
    pictures = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 3)).astype(np.uint8)
    mean = torch.full((3,), 100.0)
    found = units.describe(net, pictures, mean, ["pool1", "fc"], batch_size=2)
    x = (torch.from_numpy(pictures).float() - 100).permute(0, 3, 1, 2)
    whole = pretrained.activations(net, x, ["pool1", "fc"])
    for stage, value in found.items():
        np.testing.assert_allclose(value, whole[stage], rtol=1e-4, atol=1e-4)
