"""One map pooled: against torch, and what must hold for votes, winners and shifts."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from alexnet_lib import architectures, ops, plots, shapes
from alexnet_lib.analysis import pooling_windows

SIZES = [(9, 9, 3, 2), (9, 9, 3, 3), (8, 11, 2, 3), (5, 7, 4, 1), (6, 6, 1, 2), (4, 4, 4, 5)]


def a_map(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(height * width).reshape(height, width) * 0.5


@pytest.mark.parametrize(("height", "width", "kernel", "stride"), SIZES)
def test_pooling_agrees_with_torch_and_with_loops(height, width, kernel, stride):
    values = a_map(height, width)
    x = torch.from_numpy(values)[None, None]
    np.testing.assert_array_equal(
        pooling_windows.pool(values, kernel, stride), ops.max_pool2d_loops(x, kernel, stride)[0, 0]
    )
    expected = F.avg_pool2d(x, kernel, stride)[0, 0].numpy()
    np.testing.assert_allclose(pooling_windows.pool(values, kernel, stride, "average"), expected)


@pytest.mark.parametrize(("height", "width", "kernel", "stride"), SIZES)
def test_winners_hold_the_pooled_values_and_lie_in_their_windows(height, width, kernel, stride):
    values = a_map(height, width)
    winners = pooling_windows.winners(values, kernel, stride)
    np.testing.assert_array_equal(
        values.ravel()[winners], pooling_windows.pool(values, kernel, stride)
    )
    for (i, j), at in np.ndenumerate(winners):
        row, column = divmod(int(at), width)
        assert 0 <= row - i * stride < kernel and 0 <= column - j * stride < kernel


def test_the_first_of_equals_wins_and_flat_windows_have_no_winner():
    values = np.array([[5.0, 5, 0, 0], [5, 1, 0, 0]])
    assert pooling_windows.winners(values, 2, 2).tolist() == [[0, -1]]
    assert pooling_windows.winners(values, 1, 1).ravel().tolist() == list(range(8))


@pytest.mark.parametrize(("height", "width", "kernel", "stride"), SIZES)
def test_votes_are_the_gradient_of_a_sum_over_windows(height, width, kernel, stride):
    x = torch.zeros(1, 1, height, width, requires_grad=True)
    (F.avg_pool2d(x, kernel, stride).sum() * kernel**2).backward()
    votes = pooling_windows.votes(height, width, kernel, stride)
    np.testing.assert_allclose(votes, x.grad[0, 0].numpy(), atol=1e-5)


@pytest.mark.parametrize(("z", "s"), list(product(range(1, 6), range(1, 6))))
def test_every_window_has_z_squared_votes(z, s):
    votes = pooling_windows.votes(11, 13, z, s)
    windows = shapes.output_size(11, z, s) * shapes.output_size(13, z, s)
    assert votes.sum() == windows * z * z
    assert (votes.max() > 1) == (s < z), "pixels vote twice exactly where windows overlap"


def test_a_shift_by_the_stride_moves_the_output_by_one():
    values = a_map(12, 12)
    for z, s in ((2, 2), (3, 2), (3, 3), (4, 1)):
        moved = np.roll(values, s, axis=1)
        before, after = pooling_windows.pool(values, z, s), pooling_windows.pool(moved, z, s)
        np.testing.assert_array_equal(after[:, 1:], before[:, :-1])
    assert pooling_windows.shift_change(values, values, 3, 2) == (0, 0)
    before, after = pooling_windows.shift_change(values, 2 * values, 3, 2)
    assert before == after == pytest.approx(1)


def test_relu_and_max_pooling_can_change_places():  # reference G6
    x = torch.randn(2, 3, 13, 13, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ops.max_pool2d(x.relu()), ops.max_pool2d(x).relu())
    assert not torch.equal(ops.average_pool2d(x.relu()), ops.average_pool2d(x).relu())
    norm = torch.nn.LocalResponseNorm(5)
    assert not torch.allclose(norm(x.relu()), norm(x).relu())


def test_sizes_of_the_run_without_overlap():  # reference G7
    def sizes(pool, conv2, conv5):
        found = [55]
        for kernel, stride, padding in ((pool, 2, 0), (5, 1, conv2), (pool, 2, 0), (3, 1, 1),
                                        (3, 1, conv5), (pool, 2, 0)):  # fmt: skip
            found.append(shapes.output_size(found[-1], kernel, stride, padding, "ceil"))
        return found

    assert sizes(2, 1, 0) == [55, 28, 26, 13, 13, 11, 6]
    walked = [row.output[1] for row in shapes.walk(architectures.network("source2012"))
              if row.kind in ("conv", "max_pool") and row.name != "conv4"]  # fmt: skip
    assert sizes(3, 2, 1) == walked


def test_bad_input_is_refused_in_words():
    with pytest.raises(ValueError, match=r"shape \(1, 4, 4\); give one map"):
        pooling_windows.pool(np.zeros((1, 4, 4)), 2, 2)
    with pytest.raises(ValueError, match="choose 'max' or 'average'"):
        pooling_windows.pool(np.zeros((4, 4)), 2, 2, "median")
    for kernel, stride, said in ((0, 1, "kernel is 0"), (5, 1, "wider than the padded input of 4"),
                                 (2, 0, "stride is 0"), (2.5, 1, "whole number"),
                                 (2, -1, "stride is -1")):  # fmt: skip
        for function in (pooling_windows.pool, pooling_windows.winners):
            with pytest.raises(ValueError, match=said):
                function(np.zeros((4, 4)), kernel, stride)
        with pytest.raises(ValueError, match=said):
            pooling_windows.votes(4, 4, kernel, stride)


# The pictures


def test_windows_are_drawn_where_they_stand():
    ax = plots.windows(9, 3, 2)
    areas = {patch.get_xy() for patch in ax.patches if patch.get_linewidth() == 0}
    assert areas == set(product((0, 2, 4, 6), repeat=2))
    assert len(frames(ax)) == 16


def frames(ax) -> dict[tuple[int, int], tuple]:
    """(row, column) of each window -> the corners of its frame in pixels, colour and line."""
    found = {}
    for frame in (patch for patch in ax.patches if not patch.get_fill()):
        left, top, right, bottom = frame.get_path().get_extents().extents
        place = round(top), round(left)
        found[place] = (left, top, right, bottom), frame.get_edgecolor(), frame.get_linestyle()
    return found


def test_frames_of_windows_that_touch_touch():
    found = frames(plots.windows(9, 3, 3))
    for (top, left), (box, _, line) in found.items():
        assert box == pytest.approx((left, top, left + 3, top + 3), abs=0.06)
        assert line == "solid", "dashes would look like something else"
    assert len(found) == 9


def test_frames_of_neighbours_that_overlap_differ_in_colour():
    found = frames(plots.windows(9, 3, 2))
    for (top, left), (_, colour, _) in found.items():
        for other in ((top + 2, left), (top, left + 2)):
            assert other not in found or found[other][1] != colour


def test_pixels_show_numbers_frame_and_rings():
    ax = plots.pixels(a_map(3, 4), frame=(1, 0, 2), rings=np.array([5, 5, -1, 0]))
    assert [text.get_text() for text in ax.texts][:2] == [
        f"{value:g}" for value in a_map(3, 4).ravel()[:2]
    ]
    assert ax.patches[-1].get_xy() == (0, 1) and len(ax.lines) == 2
    assert not plots.pixels(np.ones((20, 20))).texts, "too many to be read"
    counts = plots.vote_counts(pooling_windows.votes(5, 5, 3, 2))
    assert [text.get_text() for text in counts.texts][:3] == ["1", "1", "2"]
