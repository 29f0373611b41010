"""Chapter 8's demos show what the library computes."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from alexnet_lib import augment, ops
from alexnet_lib.course.widgets import ch08
from alexnet_lib.datasets import builtin


def test_photos_are_squares_of_their_middle():
    photos = ch08.square_photos()
    assert photos.shape == (len(builtin.PHOTOS), 256, 256, 3) and photos.dtype == np.uint8
    assert not photos.flags.writeable
    for name, square in zip(builtin.PHOTOS, photos, strict=True):
        photo = builtin.photo(name).astype(float)
        H, W, _ = photo.shape
        side = min(H, W)
        top, left = (H - side) // 2, (W - side) // 2
        middle = photo[top : top + side, left : left + side].mean(axis=(0, 1))
        np.testing.assert_allclose(square.mean(axis=(0, 1)), middle, atol=2)


def seen(**values):
    """Return what the demo shows of the astronaut, and its sentence."""
    demo = ch08.augmented_photo()
    for name, value in values.items():
        demo.controls[name].value = value
    return demo._figure.axes[1].images[0].get_array(), demo.summary


def test_crop_and_mirror_image_are_the_photo_s_own_pixels():
    photo = ch08.square_photos()[list(builtin.PHOTOS).index("astronaut")]
    picture, said = seen(top=3, left=32, divisor=False)
    np.testing.assert_array_equal(picture, photo[3:227, 32:256])
    assert "Row 3, column 32: one of 1,089 places and 2,178 pictures" in said
    picture, said = seen(top=0, left=0, flip=True, divisor=False)
    np.testing.assert_array_equal(picture, photo[:224, :224][:, ::-1])
    assert "mirrored" in said


@pytest.mark.parametrize("divisor", [True, False])
def test_colours_are_those_of_the_library(divisor, monkeypatch):
    """The demo's shift is `augment.colour_noise`'s, given the same three numbers."""
    photos = ch08.square_photos()
    values, vectors = augment.colour_components(photos)
    vectors = vectors * vectors[0].sign()
    numbers = torch.tensor([[1.5, -0.5, 2.0]])
    monkeypatch.setattr(torch, "randn", lambda *size, generator=None: numbers)
    mean = torch.tensor(photos.reshape(-1, 3).mean(axis=0), dtype=torch.float32)
    photo = torch.from_numpy(photos[list(builtin.PHOTOS).index("astronaut")][16:240, 16:240].copy())
    x = (photo.float() - mean).permute(2, 0, 1)[None]
    noisy = augment.colour_noise(x, values, vectors, 0.2)[0] * (1 if divisor else 1.2)
    want = (noisy.permute(1, 2, 0) + mean).clamp(0, 255)
    picture, said = seen(first=1.5, second=-0.5, third=2.0, strength=0.2, divisor=divisor)
    assert np.abs(picture.astype(float) - want.numpy()).max() <= 0.51
    assert ("divided by 1.20" in said) == divisor


def numbers(demo):
    return [float(value.replace(",", "")) for value in re.findall(r"-?\d[\d,]*\.\d+", demo.summary)]


@pytest.mark.parametrize("form", ["2012", "inverted"])
@pytest.mark.parametrize("keep", [0.5, 0.25, 1.0])
def test_dropout_agrees_in_expectation_before_the_relu_only(form, keep):
    demo = ch08.averaged_dropout()
    demo.controls["form"].value, demo.controls["keep"].value = form, keep
    demo.controls["masks"].value = 1000
    sampled, exact, test, relu_exact, relu_test, *_ = numbers(demo)
    assert exact == test and sampled == pytest.approx(exact, abs=0.25 / keep)
    units = torch.from_numpy(ch08.UNITS).expand(200_000, -1)
    torch.manual_seed(0)
    masked = ops.mask_dropout(units, keep, inverted=form == "inverted")
    sums = masked @ torch.from_numpy(ch08.WEIGHTS)
    assert sums.mean().item() == pytest.approx(exact, abs=0.03)
    assert sums.relu().mean().item() == pytest.approx(relu_exact, abs=0.03)
    assert (relu_exact > relu_test) == (keep < 1)
    assert ("too low" in demo.summary) == (keep < 1)


def test_presets_work_and_move_the_picture():
    for make in (ch08.augmented_photo, ch08.averaged_dropout):
        demo = make()
        for preset in demo.presets:
            demo.apply(preset)
            assert "don't work" not in demo.summary
        assert demo.picture != make().picture
