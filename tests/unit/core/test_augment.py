"""What is done to pictures, held against numpy and against plain slicing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alexnet_lib import augment


def random_pictures(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---------------------------------------------------------------- the mean image

def test_the_mean_is_numpy_s_in_chunks_of_any_size():
    images = random_pictures(23, 5, 7, 3)
    expected = images.astype(np.float64).mean(axis=0)
    for chunk in (1, 4, 256):
        got = augment.mean_image(images, chunk)
        assert got.dtype == torch.float32
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_mean_needs_images():
    with pytest.raises(ValueError, match="there are no images to average; give at least one"):
        augment.mean_image(random_pictures(0, 5, 7, 3))


# ---------------------------------------------------------------- colour

def test_colour_components_are_numpy_s():
    images = random_pictures(12, 6, 5, 3)
    images[..., 1] = images[..., 0] // 2 + images[..., 1] // 4  # so that colours go together
    values, vectors = augment.colour_components(images)
    covariance = np.cov(images.reshape(-1, 3).astype(np.float64).T, bias=True)
    assert values[0] > values[1] > values[2] > 0
    np.testing.assert_allclose(vectors @ torch.diag(values) @ vectors.T, covariance, rtol=1e-4)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-5)


def test_colour_components_of_a_large_set_are_those_of_a_spread_sample():
    images = random_pictures(30, 4, 4, 3)
    images[::3] //= 2
    sample = augment.colour_components(images[::3])
    limited = augment.colour_components(images, limit=10)
    for ours, theirs in zip(limited, sample, strict=True):
        assert torch.equal(ours, theirs)


def test_grey_pictures_have_no_colour():
    with pytest.raises(ValueError, match=r"images have 1 channel\(s\); colour noise needs 3"):
        augment.colour_components(random_pictures(4, 5, 5, 1))


@pytest.mark.parametrize("convention", ["source2012", "paper"])
def test_colour_noise_is_its_formula(convention):
    values = torch.tensor([900.0, 100.0, 4.0])
    vectors = torch.linalg.qr(torch.randn(3, 3, generator=generator(1)))[0]
    x = 50 * torch.randn(5, 3, 4, 4, generator=generator(2))
    got = augment.colour_noise(x, values, vectors, 0.1, generator(3), convention)
    own = x.clone()
    augment.colour_noise(own, values, vectors, 0.1, generator(3), convention, out=own)
    assert torch.equal(own, got)
    alphas = torch.randn(5, 3, generator=generator(3)) * 0.1
    for n in range(5):
        if convention == "source2012":  # eigenvectors * (N(0, 1) * deviations) * .1, then / 1.1
            shift = sum(vectors[:, i] * alphas[n, i] * values[i] ** 0.5 for i in range(3))
            expected = (x[n] + shift[:, None, None]) / 1.1
        else:  # [p1 p2 p3] [a1 l1, a2 l2, a3 l3] on the scale 0..1
            shift = sum(vectors[:, i] * alphas[n, i] * values[i] / 255**2 for i in range(3))
            expected = (x[n] / 255 + shift[:, None, None]) * 255
        torch.testing.assert_close(got[n], expected, rtol=1e-5, atol=1e-4)


def test_colour_noise_has_the_set_s_colours():
    images = random_pictures(40, 6, 6, 3)
    images[..., 2] = images[..., 0]
    values, vectors = augment.colour_components(images)
    black = torch.zeros(20_000, 3, 1, 1)
    shifts = augment.colour_noise(black, values, vectors, 0.1, generator())[:, :, 0, 0] * 1.1
    covariance = vectors @ torch.diag(values) @ vectors.T
    torch.testing.assert_close(
        shifts.T @ shifts / len(shifts), 0.01 * covariance, rtol=0.05, atol=1.5
    )


def test_an_unknown_convention_of_the_noise():
    with pytest.raises(ValueError, match="convention is 'printed'; choose 'source2012' or 'paper'"):
        augment.colour_noise(
            torch.zeros(1, 3, 2, 2), torch.ones(3), torch.eye(3), convention="printed"
        )


# ---------------------------------------------------------------- crops

def numbered(count: int, side: int) -> torch.Tensor:
    """Pictures whose pixels say where they are: (row, column, picture)."""
    rows, columns = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    one = np.stack([rows, columns, np.zeros_like(rows)], axis=2).astype(np.uint8)
    pictures = np.repeat(one[None], count, axis=0)
    pictures[..., 2] = np.arange(count, dtype=np.uint8)[:, None, None]
    return torch.from_numpy(pictures)


def test_crops_are_squares_of_their_pictures_mirrored_or_not():
    pictures = numbered(200, 12)
    crops = augment.random_crops(pictures, 9, generator())
    assert (crops.shape, crops.dtype) == ((200, 9, 9, 3), torch.uint8)
    places, mirrored = set(), 0
    for n, crop in enumerate(crops):
        top, left = int(crop[0, 0, 0]), int(crop[0, :, 1].min())
        original = pictures[n, top : top + 9, left : left + 9]
        flipped = bool(crop[0, 0, 1] > crop[0, 1, 1])
        assert torch.equal(crop, original.flip(1) if flipped else original)
        places.add((top, left))
        mirrored += flipped
    assert places == {(i, j) for i in range(4) for j in range(4)}
    assert 70 < mirrored < 130


def test_crops_come_from_the_generator_alone():
    pictures = numbered(20, 12)
    one, other = (augment.random_crops(pictures, 9, generator(4)) for _ in range(2))
    assert torch.equal(one, other)
    assert not torch.equal(one, augment.random_crops(pictures, 9, generator(5)))


def test_without_flips_and_at_full_size():
    pictures = numbered(20, 12)
    crops = augment.random_crops(pictures, 9, generator(), flip=False)
    assert (crops[:, 0, 0, 1] < crops[:, 0, 1, 1]).all()
    assert torch.equal(augment.random_crops(pictures, 12, generator(), flip=False), pictures)


def test_a_gpu_s_way_of_cutting_gives_the_same(monkeypatch):
    pictures = numbered(30, 12)
    crops = augment.random_crops(pictures, 9, generator(6))
    monkeypatch.setattr(augment, "_cut_one_by_one", augment._cut_at_once)
    assert torch.equal(augment.random_crops(pictures, 9, generator(6)), crops)


def test_the_centre():
    pictures = numbered(2, 11)
    assert torch.equal(augment.centre_crop(pictures, 8), pictures[:, 1:9, 1:9])
    assert torch.equal(augment.centre_crop(pictures[0], 11), pictures[0])


def test_ten_views():
    pictures = numbered(3, 11)
    views = augment.ten_crop(pictures, 8)
    assert views.shape == (3, 10, 8, 8, 3)
    places = [(0, 0), (0, 3), (3, 0), (3, 3), (1, 1)]
    for n in range(3):
        for v, (top, left) in enumerate(places):
            crop = pictures[n, top : top + 8, left : left + 8]
            assert torch.equal(views[n, v], crop)
            assert torch.equal(views[n, v + 5], crop.flip(1))


@pytest.mark.parametrize("size", [0, 13])
def test_crops_that_don_t_fit(size):
    pictures = numbered(2, 12)
    message = f"a crop of {size} doesn't fit pictures of 12 x 12; load them at size {size}"
    for crop in (augment.random_crops, augment.centre_crop, augment.ten_crop):
        with pytest.raises(ValueError, match=message):
            crop(pictures, size)


# ---------------------------------------------------------------- the network's input

def test_input_is_pixels_minus_mean():
    pictures = torch.from_numpy(random_pictures(4, 9, 9, 3))
    mean = 255 * torch.rand(13, 13, 3, generator=generator())
    x = augment.to_input(pictures, mean)
    assert (x.shape, x.dtype) == ((4, 3, 9, 9), torch.float32)
    assert x.is_contiguous(memory_format=torch.channels_last)
    expected = pictures.numpy().astype(np.float32) - mean.numpy()[2:11, 2:11]
    np.testing.assert_array_equal(x, expected.transpose(0, 3, 1, 2))
    per_colour = torch.tensor([10.0, 20.0, 30.0])
    assert augment.to_input(pictures, per_colour)[1, 2, 3, 4] == pictures[1, 3, 4, 2].float() - 30
