"""The rendered shapes: repeatable, balanced, the same scene at every size, and learnable."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from alexnet_lib.datasets import rendered


def test_the_same_numbers_give_the_same_picture_and_others_do_not():
    picture = rendered.render(7, 48, "train", seed=3)
    assert picture.shape == (48, 48, 3) and picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, rendered.render(7, 48, "train", seed=3))
    for other in (
        rendered.render(17, 48, "train", seed=3),
        rendered.render(7, 48, "val", seed=3),
        rendered.render(7, 48, "test", seed=3),
        rendered.render(7, 48, "train", seed=4),
    ):
        assert np.abs(picture.astype(int) - other).mean() > 10


def test_many_are_the_same_as_one_by_one():
    many = rendered.render_many(13, 32, "val", seed=1)
    assert many.shape == (13, 32, 32, 3)
    for index in (0, 6, 12):
        np.testing.assert_array_equal(many[index], rendered.render(index, 32, "val", seed=1))


@pytest.mark.parametrize("index", range(20))
def test_the_scene_does_not_depend_on_the_size(index):
    small = rendered.render(index, 32).astype(int)
    large = Image.fromarray(rendered.render(index, 256)).resize((32, 32), Image.Resampling.BOX)
    assert np.abs(small - np.asarray(large)).mean() < 14


@pytest.mark.parametrize("size", [1, 2, 8, 33])
def test_any_size_works(size):
    assert rendered.render_many(10, size).shape == (10, size, size, 3)


def test_every_outline_is_inside_at_its_middle_and_outside_far_away():
    far = np.array([[1.5, 0.0], [0.0, 1.5], [-1.5, 0.0], [0.0, -1.5]])
    for name, distance in rendered.OUTLINES.items():
        assert (distance(far[:, 0], far[:, 1]) > 0).all(), name
        middle = distance(np.zeros(1), np.zeros(1))[0]
        assert (middle > 0) == (name == "ring"), name


def test_areas_agree_with_geometry():
    line = (np.arange(1000) + 0.5) / 500 - 1  # -1..1
    u, v = np.meshgrid(line * 1.2, line * 1.2)
    share = {name: (d(u, v) < 0).mean() * 2.4**2 for name, d in rendered.OUTLINES.items()}
    assert share["circle"] == pytest.approx(np.pi * 0.95**2, rel=0.01)
    assert share["square"] == pytest.approx(1.6**2, rel=0.01)
    assert share["ring"] == pytest.approx(np.pi * (0.98**2 - 0.58**2), rel=0.01)
    assert share["triangle"] == pytest.approx(3 * np.sqrt(3) / 4, rel=0.01)  # radius 1
    assert share["cross"] == pytest.approx(2 * 1.9 * 0.52 - 0.52**2, rel=0.01)
    assert share["star"] == pytest.approx(5 * 0.42 * np.sin(np.pi / 5), rel=0.01)  # 10 triangles


def test_pictures_vary_in_colour_and_use_the_whole_range():
    pictures = rendered.render_many(60, 32)
    means = pictures.mean((1, 2))
    assert means.std(0).min() > 25
    assert pictures.min() < 20 and pictures.max() > 235


def test_a_linear_rule_on_pixels_fails_so_shapes_must_be_seen():
    train, val = rendered.render_many(600, 16), rendered.render_many(200, 16, "val")
    train, val = train.reshape(600, -1) / 255 - 0.5, val.reshape(200, -1) / 255 - 0.5
    targets = np.eye(10)[np.arange(600) % 10]
    weights = np.linalg.solve(train.T @ train + 10 * np.eye(768), train.T @ targets)
    accuracy = ((val @ weights).argmax(1) == np.arange(200) % 10).mean()
    assert accuracy < 0.3


def test_plain_ones_are_bright_and_dark_on_even_grey_near_the_middle():
    pictures = rendered.render_many(40, 64, plain=True)
    assert (pictures == pictures[..., :1]).all(), "there is no colour"
    corners = pictures[:, [0, 0, -1, -1], [0, -1, 0, -1], 0]
    assert (corners == 110).all()
    middle = np.abs(pictures[..., 0].astype(int) - 110)[:, 8:-8, 8:-8]
    assert middle.max(axis=(1, 2)).min() > 80
    textured = np.arange(40) % 10 >= 6
    darkest = pictures.min(axis=(1, 2, 3))
    assert darkest[textured].max() < 60 and darkest[~textured].min() >= 109


def test_plain_ones_are_repeatable_too_and_differ_between_splits():
    picture = rendered.render(5, 32, "val", 1, plain=True)
    np.testing.assert_array_equal(picture, rendered.render(5, 32, "val", 1, plain=True))
    for other in (
        rendered.render(5, 32, "train", 1, plain=True), rendered.render(5, 32, "val", 1)
    ):  # fmt: skip
        assert np.abs(picture.astype(int) - other).mean() > 5


def test_chosen_labels_show_the_scenes_that_they_have_among_all():
    some = rendered.render_many(5, 16, "val", labels=[7, 0])
    for number, index in enumerate((7, 0, 17, 10, 27)):
        np.testing.assert_array_equal(some[number], rendered.render(index, 16, "val"))


def test_plain_ones_are_easy_where_the_others_are_not():
    def accuracy(plain: bool) -> float:
        labels = [0, 3, 5, 7]
        known, asked = (
            rendered.render_many(count, 16, split, plain=plain, labels=labels) / 255
            for count, split in ((200, "train"), (100, "val"))
        )
        nearest = ((known[:, None] - asked[None]) ** 2).sum((2, 3, 4)).argmin(0)
        return (nearest % 4 == np.arange(100) % 4).mean()

    assert accuracy(plain=True) > 0.85 > 0.5 > accuracy(plain=False)
