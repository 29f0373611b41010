"""Features made by hand: against loops, and what they must not care about."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alexnet_lib.analysis import hog


def by_loops(x: np.ndarray, cell: int, bins: int) -> np.ndarray:
    """Let every pixel vote, one after the other, with the standard library's arithmetic."""
    H, W = x.shape
    result = np.zeros((H // cell, W // cell, bins))
    for i in range(H // cell * cell):
        for j in range(W // cell * cell):
            gx = x[i, min(j + 1, W - 1)] - x[i, max(j - 1, 0)]
            gy = x[min(i + 1, H - 1), j] - x[max(i - 1, 0), j]
            degrees = math.degrees(math.atan2(gy, gx)) % 180
            number = min(int(degrees * bins / 180), bins - 1)
            result[i // cell, j // cell, number] += math.sqrt(gx * gx + gy * gy)
    return result


@pytest.mark.parametrize("shape, cell, bins", [((28, 28), 7, 9), ((13, 10), 4, 6), ((5, 9), 5, 1)])
def test_histograms_agree_with_loops(shape, cell, bins):
    x = np.random.default_rng(0).uniform(size=shape)
    found = hog.histograms(x, cell, bins)
    np.testing.assert_allclose(found, by_loops(x, cell, bins), rtol=1e-10)
    batch = hog.histograms(np.stack([x, 1 - x]), cell, bins)
    np.testing.assert_allclose(batch[0], found)
    np.testing.assert_allclose(batch[1], found, rtol=1e-9)  # a negative has the same directions


def test_a_slope_votes_for_its_own_direction():
    rows, columns = np.mgrid[0:12, 0:12]
    for angle in (10, 50, 90, 130, 170):  # the middles of bins 0, 2, 4, 6 and 8
        slope = np.cos(np.radians(angle)) * columns + np.sin(np.radians(angle)) * rows
        votes = hog.histograms(slope[None], 4, 9)[0, 1, 1]  # a cell without border
        assert votes.argmax() == angle // 20 and votes.sum() == pytest.approx(votes.max())


def test_features_forget_brightness_and_contrast():
    x = np.random.default_rng(1).uniform(0.2, 0.6, (3, 28, 28))
    rows = hog.features(x, cell=4)
    assert rows.shape == (3, 6 * 6 * 4 * 9) and rows.dtype == np.float32
    np.testing.assert_allclose(hog.features(x + 0.3, cell=4), rows, atol=1e-5)
    np.testing.assert_allclose(hog.features(1.4 * x, cell=4), rows, atol=2e-3)
    lengths = np.linalg.norm(rows.reshape(3, 36, 36), axis=2)
    assert (lengths < 1).all() and (lengths > 0.95).all()
    assert not hog.features(np.full((1, 8, 8), 0.5), cell=4).any()


def test_grey_is_the_mean_of_the_channels():
    picture = np.zeros((2, 3, 3), np.uint8)
    picture[..., 1] = 255
    np.testing.assert_allclose(hog.grey(picture), np.full((2, 3), 1 / 3), rtol=1e-6)


@pytest.mark.parametrize("options, message", [
    ({"cell": 0}, "cell is 0; it must be 1 to 8"), ({"cell": 9}, "cell is 9"),
    ({"cell": 4, "bins": 0}, "bins is 0"), ({"cell": 4, "block": 3}, "there are 2 x 2 cells"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        hog.features(np.zeros((1, 8, 8)), **options)
