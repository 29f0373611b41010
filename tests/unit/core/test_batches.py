"""Batches: each a function of seed, epoch and step, with every picture seen once an epoch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alexnet_lib import augment, batches
from alexnet_lib.datasets import ImageSet

MEAN = torch.zeros(3)


def numbered_set(count: int, side: int = 8) -> ImageSet:
    """Picture n is n everywhere, and its class is n % 3."""
    numbers = np.arange(count, dtype=np.uint8)
    images = np.broadcast_to(numbers[:, None, None, None], (count, side, side, 3)).copy()
    return ImageSet(images, np.arange(count) % 3, ["a", "b", "c"], "numbers", "train")


def which(x: torch.Tensor) -> list[int]:
    return x[:, 0, 0, 0].int().tolist()


def test_every_picture_once_an_epoch_with_its_label():
    whole = batches.Batches(numbered_set(30), 6, 5, MEAN)
    seen = []
    for x, y in whole.epoch(0):
        assert (x.shape, x.dtype, y.dtype) == ((5, 3, 6, 6), torch.float32, torch.int64)
        assert y.tolist() == [n % 3 for n in which(x)]
        seen += which(x)
    assert sorted(seen) == list(range(30))
    assert seen != sorted(seen)


def test_what_fills_no_batch_is_a_smaller_one():
    whole = batches.Batches(numbered_set(17), 6, 5, MEAN)
    sizes, seen = [], []
    for x, y in whole.epoch(0):
        sizes.append(len(y))
        seen += which(x)
    assert sizes == [5, 5, 5, 2]
    assert sorted(seen) == list(range(17))


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_parts_of_a_batch_together_are_the_batch(toy_images, parts):
    images = toy_images(26)
    values, vectors = augment.colour_components(images.images)
    settings = (images, 10, 8, augment.mean_image(images.images), (values, vectors, 0.1), 3)
    whole = batches.Batches(*settings)
    shares = [batches.Batches(*settings, part=(index, parts)) for index in range(parts)]
    for epoch, step in ((0, 0), (1, 2), (2, 3)):  # the last one has two pictures only
        x, y = whole.get(epoch, step)
        pieces = [share.get(epoch, step) for share in shares]
        assert torch.equal(torch.cat([piece[0] for piece in pieces]), x)
        assert torch.equal(torch.cat([piece[1] for piece in pieces]), y)
        rows = [share.rows(step) for share in shares]
        assert [last - first for first, last, _ in rows] == [len(piece[1]) for piece in pieces]
        assert {total for _, _, total in rows} == {len(y)}


def test_a_batch_has_a_picture_for_each_part():
    with pytest.raises(ValueError, match="batch_size is 2 for 3 parts .*give at least 3"):
        batches.Batches(numbered_set(17), 6, 2, MEAN, part=(0, 3))


def test_with_drop_last_the_rest_waits_for_the_next_epoch():
    whole = batches.Batches(numbered_set(17), 6, 5, MEAN, drop_last=True)
    assert len(whole) == 3
    left_out = [
        set(range(17)) - {n for x, _ in whole.epoch(epoch) for n in which(x)} for epoch in range(6)
    ]
    assert all(len(numbers) == 2 for numbers in left_out)
    assert len(set(map(frozenset, left_out))) > 1  # not always the same two


def test_a_batch_depends_on_seed_epoch_and_step_alone(toy_images):
    images = toy_images(40)
    values, vectors = augment.colour_components(images.images)
    settings = (images, 10, 8, augment.mean_image(images.images), (values, vectors, 0.1))
    one, other = batches.Batches(*settings, seed=3), batches.Batches(*settings, seed=3)
    in_order = list(one.epoch(2))
    torch.manual_seed(99)
    for step in (4, 0, 2):  # in any order, whatever torch's own state
        x, y = other.get(2, step)
        assert torch.equal(x, in_order[step][0])
        assert torch.equal(y, in_order[step][1])
    from_three = list(other.epoch(2, first_step=3))
    assert [torch.equal(x, z) for (x, _), (z, _) in zip(from_three, in_order[3:], strict=True)] == [
        True, True
    ]
    assert list(other.epoch(2, first_step=5)) == []
    for different in (one.get(3, 0), one.get(2, 1), batches.Batches(*settings, seed=4).get(2, 0)):
        assert not torch.equal(different[0], in_order[0][0])


def test_crops_and_mean(toy_images):
    images = toy_images(16, side=10)
    mean = augment.mean_image(images.images)
    whole = batches.Batches(images, 10, 16, mean, flip=False)  # a crop of everything
    x, _ = whole.get(0, 0)
    order = batches.sample_order(0, 0, 16)
    expected = images.images[order].astype(np.float32) - mean.numpy()
    np.testing.assert_allclose(x.permute(0, 2, 3, 1), expected, rtol=1e-6)


def test_flips_fall_on_some():
    images = numbered_set(20, 8)
    images.images[:, :, 0] = 255  # the left column
    x, _ = batches.Batches(images, 8, 20, MEAN).get(0, 0)
    mirrored = x[:, 0, 0, -1] == 255
    assert 0 < mirrored.sum() < 20
    x, _ = batches.Batches(images, 8, 20, MEAN, flip=False).get(0, 0)
    assert (x[:, 0, 0, 0] == 255).all()


def test_grey_and_read_only_images():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 8, 8, 1)).astype(np.uint8)
    labels = np.zeros(12, np.int64)
    images.setflags(write=False), labels.setflags(write=False)
    grey = ImageSet(images, labels, ["a"], "grey", "train")
    x, y = batches.Batches(grey, 6, 4, torch.zeros(8, 8, 1)).get(0, 0)
    assert x.shape == (4, 1, 6, 6)
    assert y.tolist() == [0] * 4


@pytest.mark.parametrize("batch_size", [0, 13])
def test_batches_that_can_t_be(batch_size):
    message = f"batch_size is {batch_size}, but there are 12 training images; choose 1 to 12"
    with pytest.raises(ValueError, match=message):
        batches.Batches(numbered_set(12), 6, batch_size, MEAN)


def test_an_error_while_preparing_reaches_the_caller():
    whole = batches.Batches(numbered_set(12), 9, 4, MEAN)  # crops larger than the pictures
    with pytest.raises(ValueError, match="a crop of 9 doesn't fit pictures of 8 x 8"):
        next(iter(whole.epoch(0)))


def test_an_epoch_may_be_left_early():
    for x, _ in batches.Batches(numbered_set(30), 6, 5, MEAN).epoch(0):
        assert len(x) == 5
        break


def test_seeds_depend_on_all_their_parts():
    seeds = {batches.random_seed("a", i, j) for i in range(20) for j in range(20)}
    assert len(seeds) == 400
    assert batches.random_seed("a", 1, 12) != batches.random_seed("a", 11, 2)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert batches.random_seed("crops", 0, 1, 2) == batches.random_seed("crops", 0, 1, 2)


def test_orders_are_permutations_that_can_t_be_changed():
    order = batches.sample_order(0, 3, 50)
    assert sorted(order.tolist()) == list(range(50))
    assert order.tolist() != batches.sample_order(0, 4, 50).tolist()
    with pytest.raises(ValueError):
        order[0] = 1
