"""The exercises of chapter 08: solutions against torch, and a line of its own for each mistake."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alexnet_lib import augment, ops
from alexnet_lib.course import checks, grading
from alexnet_lib.course.exercises import EXERCISES

NAMES = ("count_views", "dropout", "colour_shifts")


def told(name: str, answer) -> str:
    found = grading.judge(EXERCISES[name], answer)
    return "\n".join([found.status, *found.lines])


def test_solutions_agree_with_torch_and_the_library():
    count, dropout, shifts = map(checks.solution_function, NAMES)
    picture = torch.arange(42, dtype=torch.uint8).reshape(1, 6, 7, 1)
    crops = augment.random_crops(picture.expand(4000, -1, -1, -1), 4, torch.Generator())
    assert count(6, 7, 4) == len({tuple(crop.flatten().tolist()) for crop in crops})
    x, mask = torch.randn(3, 50), (torch.rand(3, 50) < 0.25).float()
    for when in ("training", "test"):
        torch.manual_seed(4)
        kept = ops.mask_dropout(torch.ones(3, 50), 0.25)
        for form in ("2012", "inverted"):
            torch.manual_seed(4)
            want = ops.mask_dropout(x, 0.25, when == "training", form == "inverted")
            torch.testing.assert_close(dropout(x, kept, 0.25, form, when), want)
    torch.manual_seed(0)
    built_in = torch.nn.Dropout(0.75)(x)
    torch.testing.assert_close(
        dropout(x, (built_in != 0).float(), 0.25, "inverted", "training"), built_in
    )
    assert mask.shape == x.shape
    images = np.random.default_rng(0).integers(0, 256, (3, 9, 9, 3), dtype=np.uint8)
    values, vectors = augment.colour_components(images)
    vectors = vectors * vectors[0].sign()
    factors = torch.randn(2, 3)
    want = (factors * values.sqrt()) @ vectors.T
    pixels = torch.from_numpy(images.reshape(-1, 3)).float()
    torch.testing.assert_close(shifts(pixels, factors), want, rtol=1e-3, atol=1e-2)


def stub(*args):
    ...


def stub_count(height, width, size):
    ...


def test_stub_is_not_attempted():
    assert told("count_views", stub_count) == "not attempted"
    assert told("dropout", stub) == told("colour_shifts", stub) == "not attempted"


def count_as_printed(height, width, size):
    return 2 * (height - size) * (width - size)


def count_square(height, width, size):
    places = height - size + 1
    return places * places * 2


def always_halved(x, mask, keep, form, when):
    if when == "training":
        return x * mask * 2 if form == "inverted" else x * mask
    return x if form == "inverted" else x * 0.5


def forgot_the_test(x, mask, keep, form, when):
    return x * mask / keep if form == "inverted" else x * mask


def not_scaled_at_test(x, mask, keep, form, when):
    if when == "test":
        return x
    return x * mask / keep if form == "inverted" else x * mask


def by_eigenvalue(pixels, factors):
    away = pixels - pixels.mean(0)
    values, vectors = torch.linalg.eigh(away.T @ away / len(away))
    values, vectors = values.flip(0), vectors.flip(1)
    vectors = vectors * vectors[0].sign()
    return (factors * values) @ vectors.T


def by_rows(pixels, factors):
    away = pixels - pixels.mean(0)
    values, vectors = torch.linalg.eigh(away.T @ away / len(away))
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    vectors = vectors * vectors[0].sign()
    return (factors * values.sqrt()) @ vectors


def by_covariance_of_torch(pixels, factors):
    values, vectors = torch.linalg.eigh(torch.cov(pixels.T))
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    vectors = vectors * vectors[0].sign()
    return (factors * values.sqrt()) @ vectors.T


def components(pixels):
    away = pixels - pixels.mean(0)
    values, vectors = torch.linalg.eigh(away.T @ away / len(away))
    return values.flip(0), vectors.flip(1)


def by_sign(pixels, factors):
    values, vectors = components(pixels)
    return (factors * values.sqrt()) @ (vectors * torch.sign(vectors[0])).T


def by_where(pixels, factors):
    values, vectors = components(pixels)
    return (factors * values.sqrt()) @ (vectors * torch.where(vectors[0] > 0, 1, -1)).T


def by_singular_values(pixels, factors):
    _, lengths, rows = torch.linalg.svd(pixels - pixels.mean(0), full_matrices=False)
    return (factors * lengths / len(pixels) ** 0.5) @ (rows * rows[:, :1].sign())


def x_itself(x, mask, keep, form, when):
    if when == "test":
        return x if form == "inverted" else keep * x
    return x * mask / keep if form == "inverted" else x * mask


@pytest.mark.parametrize(("name", "answer"), [
    ("colour_shifts", by_sign), ("colour_shifts", by_where), ("colour_shifts", by_singular_values),
    ("dropout", x_itself),
])  # fmt: skip
def test_other_right_ways_pass(name, answer):
    assert told(name, answer).startswith("passed"), told(name, answer)


def test_every_direction_of_colours_has_a_red_part():
    """A sign that no rule settles would fail right answers."""
    for pixels, _ in EXERCISES["colour_shifts"].inputs():
        values, vectors = components(pixels)
        assert vectors[0].abs().min() > 0.05 and values.min() > 1
        assert (values[:-1] / values[1:]).min() > 2  # no two directions that could be exchanged


def misspelt(x, mask, keep, form, when):
    if when == "train":
        return x * mask / keep if form == "inverted" else x * mask
    return x if form == "inverted" else x * keep


def masked_at_test_too(x, mask, keep, form, when):
    x = x * mask
    if when == "test":
        return x if form == "inverted" else x * keep
    return x / keep if form == "inverted" else x


def shifts_changed(pixels, factors):
    return 0.1 * by_sign(pixels, factors)


def shifts_divided(pixels, factors):
    return by_sign(pixels, factors) / 1.1


@pytest.mark.parametrize(("name", "answer", "line"), [
    ("count_views", count_as_printed, "you forgot the last place"),
    ("count_views", count_square, "you took the height for both sides"),
    ("count_views", lambda h, w, s: (h - s + 1) * (w - s + 1), "the mirror images are missing"),
    ("dropout", always_halved, "you halved and doubled whatever keep is"),
    ("dropout", forgot_the_test, "nothing is dropped at test"),
    ("dropout", not_scaled_at_test, "at test the form of 2012 multiplies by keep"),
    ("dropout", lambda x, mask, keep, form, when: torch.nn.functional.dropout(x, 1 - keep),
     "it calls dropout, which does the whole job"),
    ("dropout", misspelt, "you always took the test's way"),
    ("dropout", masked_at_test_too, "nothing is dropped at test, in either form"),
    ("colour_shifts", shifts_changed, "you multiplied by 0.1"),
    ("colour_shifts", shifts_divided, "you divided the shift by 1.1"),
    ("colour_shifts", by_eigenvalue, "you scaled by the eigenvalues"),
    ("colour_shifts", by_rows, "the eigenvectors are the columns"),
    ("colour_shifts", by_covariance_of_torch, "you divided by M - 1"),
    ("colour_shifts", lambda pixels, factors: factors, "fails"),
])  # fmt: skip
def test_typical_wrong_answer_gets_its_own_line(name, answer, line):
    said = told(name, answer)
    assert said.startswith("failed") and line in said, said
