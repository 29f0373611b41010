"""Crops cut out of packed pictures in C: the very bytes that torch's slices give."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alexnet_lib import augment
from alexnet_lib.datasets import shards, write_shards
from alexnet_lib.kernels import crop as crop_kernel
from alexnet_lib.kernels import dispatch

compiled = pytest.mark.skipif(
    not dispatch.compiled(), reason="no C compiler here: torch cuts the crops"
)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def drawn() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def by_slices(images: np.ndarray, size: int, chosen: np.ndarray, **options) -> torch.Tensor:
    return augment.random_crops(torch.from_numpy(images[chosen]), size, drawn(), **options)


@compiled
@pytest.mark.parametrize("colours", [1, 3, 4])
@pytest.mark.parametrize("size", [1, 2, 5, 6, 7, 11, 16, 23])
def test_arrays_give_what_slices_give(size, colours):
    images = noise(9, 23, 31, colours)
    chosen = np.array([4, 0, 8, 8, 1] * 12)  # mirrored and not
    assert crop_kernel.pointers(images, chosen) is not None
    for flip in (True, False):
        crops = augment.random_crops(images, size, drawn(), flip=flip, chosen=chosen)
        assert torch.equal(crops, by_slices(images, size, chosen, flip=flip))
        whole = augment.random_crops(images, size, drawn(), flip=flip)
        assert torch.equal(whole, by_slices(images, size, np.arange(9), flip=flip))


@compiled
def test_the_last_pixels_of_the_last_picture():
    images = noise(2, 16, 16, 3)  # full size: nothing lies behind the last row
    mirrored = torch.tensor([True, True])
    zeros = torch.zeros(2, dtype=torch.int64)
    starts, _ = crop_kernel.pointers(images, np.array([1, 0]))
    squares = crop_kernel.cut(starts, (16, 16, 3), 16, zeros, zeros, mirrored)
    np.testing.assert_array_equal(squares.numpy(), images[[1, 0], :, ::-1])


@pytest.mark.parametrize("quality", [None, 90], ids=["raw", "jpeg"])
def test_shards_give_what_their_arrays_give(quality, tmp_path, save_pictures):
    root = save_pictures(tmp_path / "mine", {"train/ant": 11, "train/bee": 8})
    write_shards.pack(
        root, tmp_path / "packed", 12, quality=quality, shard_size=4, workers=1, progress=False
    )
    images = shards.read(tmp_path / "packed" / "train")[0]
    some = images.select(np.array([18, 3, 4, 7, 0]))
    for source, chosen in ((images, np.array([5, 18, 0, 5])), (some, np.array([4, 0, 2]))):
        crops = augment.random_crops(source, 9, drawn(), chosen=chosen)
        assert torch.equal(crops, by_slices(np.asarray(source), 9, chosen))
    assert (images.mapped(np.arange(3)) is not None) == (quality is None)


def test_whatever_else_is_given_goes_another_way(monkeypatch):
    images, chosen = noise(6, 9, 9, 3), np.array([5, 1])
    expected = by_slices(images, 7, chosen)
    upside_down = images[::-1]  # not in one piece of memory
    assert torch.equal(augment.random_crops(upside_down[::-1], 7, drawn(), chosen=chosen), expected)
    assert torch.equal(
        augment.random_crops(upside_down, 7, drawn(), chosen=5 - chosen), expected
    )
    tensor = torch.from_numpy(images)
    assert torch.equal(augment.random_crops(tensor, 7, drawn(), chosen=chosen), expected)
    monkeypatch.setenv("ALEXNET_KERNELS", "portable")
    assert torch.equal(augment.random_crops(images, 7, drawn(), chosen=chosen), expected)


@compiled
@pytest.mark.parametrize("chosen", [[-1], [0, 6], [7]], ids=str)
def test_pictures_that_are_not_there_are_never_read(chosen):
    with pytest.raises(IndexError, match="of 6, from 0 on"):
        augment.random_crops(noise(6, 9, 9, 3), 7, drawn(), chosen=np.array(chosen))


@compiled
def test_threads_change_nothing():
    images, chosen, threads = noise(40, 20, 20, 3), np.arange(40), torch.get_num_threads()
    one = augment.random_crops(images, 13, drawn(), chosen=chosen)
    try:
        torch.set_num_threads(1)
        assert torch.equal(augment.random_crops(images, 13, drawn(), chosen=chosen), one)
    finally:
        torch.set_num_threads(threads)
