"""Exercises against overfitting: counting crops, dropout twice, colour noise. Chapter 08."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from alexnet_lib.course.grading import Exercise

__all__ = ["EXERCISES"]


def count_views(height: int, width: int, size: int) -> int:
    return 2 * (height - size + 1) * (width - size + 1)


def _stored(rng: np.random.Generator) -> Iterator[tuple[int, int, int]]:
    yield 5, 5, 3  # three places along each side
    yield 4, 6, 3
    yield 5, 5, 5  # one place
    yield 6, 9, 1
    yield 256, 256, 224  # the paper's
    yield 256, 341, 224  # the longer side kept
    for _ in range(6):
        size = int(rng.integers(1, 60))
        yield size + int(rng.integers(0, 40)), size + int(rng.integers(0, 40)), size


COUNT = Exercise(
    name="count_views",
    chapter="08",
    minutes=5,
    difficulty=1,
    question=(
        "From a picture of height x width pixels, a square of size x size is cut at any place "
        "where it fits, and mirrored with probability one half. How many different pictures can "
        "come out, if all pixels differ? Returns an int."
    ),
    hints=(
        "In a row of 5 pixels a window of 3 can begin at pixel 0, 1 or 2.",
        "So there are height - size + 1 rows to begin in, and as many columns, by the width.",
        "Every crop has a mirror image: twice as many.",
    ),
    oracle=count_views,
    cases=_stored,
    mistakes={
        (lambda height, width, size: 2 * (height - size) * (width - size)):
            "you forgot the last place. In a row of 5 a window of 3 begins at 0, 1 or 2: "
            "5 - 3 + 1. The paper's 2048 has the same slip.",
        (lambda height, width, size: (height - size + 1) * (width - size + 1)):
            "the mirror images are missing: twice as many.",
        (lambda height, width, size: (height - size) * (width - size)):
            "two slips: the last place, and the mirror images.",
        (lambda height, width, size: 2 * (height - size + 1) ** 2):
            "you took the height for both sides.",
        (lambda height, width, size: 2 * (width - size + 1) ** 2):
            "you took the width for both sides.",
        (lambda height, width, size: 4 * (height - size + 1) * (width - size + 1)):
            "you mirrored up and down as well. The paper mirrors left and right only.",
        (lambda height, width, size: 2 * (height - size + 1 + width - size + 1)):
            "you added rows and columns. Every row goes with every column: multiply.",
        (lambda height, width, size: 2 * (height // size) * (width // size)):
            "you cut the picture into tiles. Crops may overlap.",
    },
    lesson="256 x 256 pixels hold 2178 views of 224 x 224. The paper counts 32 x 32 x 2 = 2048.",
    where={
        lambda height, width, size: height != width:
            "It fails only where height and width differ.",
    },
)  # fmt: skip


def masked(
    x: torch.Tensor, mask: torch.Tensor, keep: float, form: str, when: str
) -> torch.Tensor:
    if when == "training":
        return x * mask / keep if form == "inverted" else x * mask
    return x if form == "inverted" else x * keep


def _masked(rng: np.random.Generator) -> Iterator[tuple]:
    hand = torch.tensor([[4.0, 2.0, -6.0, 8.0]])
    mask = torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    for when in ("training", "test"):
        for form in ("2012", "inverted"):
            yield hand, mask, 0.5, form, when
    for keep in (0.8, 0.25, 1.0):
        for when, form in (
            ("training", "inverted"), ("training", "2012"), ("test", "2012"), ("test", "inverted"),
        ):
            x = torch.from_numpy(rng.normal(0, 2, (3, 6)).round(2)).float()
            kept = torch.from_numpy(rng.random((3, 6)) < keep).float()
            yield x, kept, keep, form, when


def _wrong_dropout(
    training_2012: Callable = lambda x, m, p: x * m, test_2012: Callable = lambda x, m, p: x * p,
    training_inverted: Callable = lambda x, m, p: x * m / p,
    test_inverted: Callable = lambda x, m, p: x.clone(),
) -> Callable:
    """Return dropout with one or more of its four passes changed."""

    def wrong(x, mask, keep, form, when):
        passes = {("2012", "training"): training_2012, ("2012", "test"): test_2012,
                  ("inverted", "training"): training_inverted,
                  ("inverted", "test"): test_inverted}  # fmt: skip
        return passes[form, when](x, mask, keep)

    return wrong


BOTH = "the inverted form has scaled in training already: its test pass changes nothing."
DROPOUT = Exercise(
    name="dropout",
    chapter="08",
    minutes=10,
    difficulty=2,
    question=(
        "Dropout in both forms. mask has the shape of x and holds 1 where a unit is kept, 0 where "
        "it's dropped; units are kept with probability keep. form \"2012\": mask in training, "
        "multiply by keep at test. form \"inverted\": mask and divide by keep in training, "
        "nothing at test. when is \"training\" or \"test\". Without torch's or the library's "
        "dropout. Returns a tensor of x's shape."
    ),
    hints=(
        "Four cases: two forms, each in training and at test.",
        "In training both forms multiply by the mask. Only the inverted one divides by keep.",
        "At test nobody looks at the mask: the form of 2012 multiplies by keep, the inverted one "
        "returns x as it is.",
    ),
    oracle=masked,
    cases=_masked,
    mistakes={
        _wrong_dropout(test_2012=lambda x, m, p: x.clone()):
            "at test the form of 2012 multiplies by keep. Without it the next layer gets more "
            "than it ever got in training.",
        _wrong_dropout(test_2012=lambda x, m, p: x * m): "nothing is dropped at test.",
        _wrong_dropout(test_2012=lambda x, m, p: x * m, test_inverted=lambda x, m, p: x * m / p):
            "nothing is dropped at test, in either form.",
        _wrong_dropout(test_2012=lambda x, m, p: x * m, test_inverted=lambda x, m, p: x * m):
            "nothing is dropped at test, in either form.",
        _wrong_dropout(test_2012=lambda x, m, p: x * m * p):
            "nothing is dropped at test: the form of 2012 multiplies by keep, and leaves the mask.",
        _wrong_dropout(test_2012=lambda x, m, p: x * m * p, test_inverted=lambda x, m, p: x * m):
            "nothing is dropped at test, in either form.",
        _wrong_dropout(test_inverted=lambda x, m, p: x * m):
            "nothing is dropped at test: the inverted form returns x as it is.",
        _wrong_dropout(test_inverted=lambda x, m, p: x * m / p):
            "nothing is dropped at test: the inverted form returns x as it is.",
        _wrong_dropout(test_inverted=lambda x, m, p: x * p): BOTH,
        _wrong_dropout(test_inverted=lambda x, m, p: x / p): BOTH,
        _wrong_dropout(training_inverted=lambda x, m, p: x * m):
            "in training the inverted form divides by keep, to make up for what is dropped.",
        _wrong_dropout(training_inverted=lambda x, m, p: x * m * p):
            "you multiplied by keep where the inverted form divides: half of the units are gone, "
            "so the others count double.",
        _wrong_dropout(training_2012=lambda x, m, p: x * m / p):
            "in training the form of 2012 only masks. The division belongs to the inverted form.",
        _wrong_dropout(training_2012=lambda x, m, p: x * m * p):
            "in training the form of 2012 only masks; the factor keep comes at test.",
        _wrong_dropout(test_2012=lambda x, m, p: x / p):
            "at test you divide by keep. With all units there, the sum is too large: multiply.",
        _wrong_dropout(test_2012=lambda x, m, p: x * (1 - p)):
            "1 - keep is the share that is dropped. Multiply by keep.",
        _wrong_dropout(test_2012=lambda x, m, p: x * 0.5):
            "you halved whatever keep is. One half is the paper's keep; use the argument.",
        _wrong_dropout(test_2012=lambda x, m, p: x / 2,
                       training_inverted=lambda x, m, p: 2 * x * m):
            "you halved and doubled whatever keep is. Use the argument.",
        _wrong_dropout(training_inverted=lambda x, m, p: 2 * x * m):
            "you doubled whatever keep is. Divide by the argument.",
        _wrong_dropout(training_2012=lambda x, m, p: x * (1 - m),
                       training_inverted=lambda x, m, p: x * (1 - m) / p):
            "you dropped the units that the mask keeps: 1 means kept.",
        _wrong_dropout(training_inverted=lambda x, m, p: x * m / (1 - p)):
            "1 - keep is the share that is dropped. Divide by keep.",
        (lambda x, mask, keep, form, when: masked(x, mask, keep, form, "test")):
            "you always took the test's way. when is \"training\" or \"test\", in full.",
        (lambda x, mask, keep, form, when: masked(
            x, mask, keep, form, {"training": "test", "test": "training"}[when])):
            "training and test are exchanged.",
        (lambda x, mask, keep, form, when: masked(
            x, mask, keep, {"2012": "inverted", "inverted": "2012"}[form], when)):
            "the two forms are exchanged.",
        (lambda x, mask, keep, form, when: masked(x, mask, keep, "2012", when)):
            "that's the form of 2012, whatever form says.",
        (lambda x, mask, keep, form, when: masked(x, mask, keep, "inverted", when)):
            "that's the inverted form, whatever form says.",
    },
    lesson=(
        "Both forms give the next layer, on average, the same in training and at test. PyTorch's "
        "nn.Dropout is the inverted one; AlexNet's was the other."
    ),
    where={
        lambda x, mask, keep, form, when: when == "test": "It fails only at test.",
        lambda x, mask, keep, form, when: keep not in (0.5, 1.0):
            "It is right for keep = 0.5 and 1 only: is a 2 or a 0.5 written out?",
    },
    forbidden=("dropout", "Dropout", "mask_dropout", "MaskDropout"),
)  # fmt: skip


def _moments(
    pixels: torch.Tensor, centred: bool = True, by: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return eigenvalues (3,), largest first, and eigenvectors, columns, with red above 0."""
    away = pixels - pixels.mean(0) if centred else pixels
    values, vectors = torch.linalg.eigh(away.T @ away / (len(pixels) - by))
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    return values, vectors * torch.where(vectors[0] < 0, -1.0, 1.0)


def colour_shifts(pixels: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    values, vectors = _moments(pixels)
    return (factors * values.sqrt()) @ vectors.T


def _pixels(rng: np.random.Generator) -> Iterator[tuple]:
    # (40, 40, 20), (10, -5, -10), (1, -2, 2): at right angles, of length 60, 15 and 3. Each pixel
    # adds or subtracts each of them: these are its directions, and the standard deviations.
    signs = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]).double()
    hand = signs @ torch.tensor([[40.0, 40, 20], [10, -5, -10], [1, -2, 2]]).double() + 100
    yield hand, torch.tensor([[1.0, 0.0, 0.0]]).double()
    yield hand, torch.tensor([[0.0, 1.0, 0.0], [0.1, -0.2, 0.0]]).double()
    directions = torch.linalg.qr(torch.tensor(
        [[0.55, 0.7, 0.4], [0.6, 0.1, -0.8], [0.58, -0.7, 0.5]], dtype=torch.float64))[0]
    for count, N in ((40, 1), (200, 4), (500, 3), (60, 2), (30, 5), (90, 1), (300, 2)):
        spread = torch.from_numpy(rng.normal(0, 1, (count, 3)) * [100, 25, 8])
        pixels = spread @ directions.T + torch.tensor([120.0, 110, 100], dtype=torch.float64)
        yield pixels, torch.from_numpy(rng.normal(0, 0.1, (N, 3)))


def _wrong_shifts(
    scale: Callable = lambda values: values.sqrt(), turn: Callable = lambda vectors: vectors.T,
    flip: bool = False, **options,
) -> Callable:
    """Return colour_shifts with something changed."""

    def wrong(pixels, factors):
        values, vectors = _moments(pixels, **options)
        if flip:
            values, vectors = values.flip(0), vectors.flip(1)
        return (factors * scale(values)) @ turn(vectors)

    return wrong


def _unsigned(pixels: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    away = pixels - pixels.mean(0)
    values, vectors = torch.linalg.eigh(away.T @ away / len(pixels))
    return (factors * values.flip(0).clamp_min(0).sqrt()) @ vectors.flip(1).T


COLOUR = Exercise(
    name="colour_shifts",
    chapter="08",
    minutes=20,
    difficulty=3,
    question=(
        "Colour noise from scratch. pixels (M, 3) are a training set's colours, factors (N, 3) "
        "three random numbers for each of N pictures. Find the eigenvalues and eigenvectors of "
        "the 3 x 3 covariance (divided by M), the largest eigenvalue first; turn each vector so "
        "that its red part is above 0. Picture n is shifted by the sum over i of factors[n, i] "
        "* sqrt(eigenvalue i) * vector i, as in 2012. The factors hold the 0.1 already, and "
        "nothing is divided by 1.1. Returns a tensor (N, 3)."
    ),
    hints=(
        "Subtract the mean colour; then away.T @ away / M is the covariance, (3, 3).",
        "torch.linalg.eigh gives the eigenvalues in ascending order, and the eigenvectors as "
        "columns: values.flip(0) and vectors.flip(1).",
        "vectors[0] holds the red parts: multiply the columns by -1 where it's below 0. Then "
        "(factors * values.sqrt()) @ vectors.T is (N, 3).",
    ),
    oracle=colour_shifts,
    cases=_pixels,
    mistakes={
        _wrong_shifts(scale=lambda values: values):
            "you scaled by the eigenvalues. They are variances: the square root is a standard "
            "deviation, in steps of brightness. (The paper prints eigenvalues; the code of 2012 "
            "takes their roots.)",
        _wrong_shifts(scale=torch.ones_like):
            "the eigenvalues are missing: all three directions vary alike.",
        _wrong_shifts(turn=lambda vectors: vectors):
            "the eigenvectors are the columns. (factors * scales) @ vectors.T adds up columns.",
        _wrong_shifts(flip=True):
            "the smallest eigenvalue came first. eigh sorts upwards: flip values and vectors.",
        _wrong_shifts(centred=False):
            "you didn't subtract the mean colour, so the first direction is the mean's.",
        _wrong_shifts(by=1): "you divided by M - 1. Here the covariance is divided by M.",
        _wrong_shifts(scale=lambda values: (values / 255).sqrt()):
            "you scaled to 0..1 on the way. Keep the pixels' own scale.",
        _wrong_shifts(scale=lambda values: 0.1 * values.sqrt()):
            "you multiplied by 0.1. The factors hold it already: use them as they are.",
        _wrong_shifts(scale=lambda values: values.sqrt() / 1.1):
            "you divided the shift by 1.1. In 2012 the shifted picture is divided; this function "
            "returns the shift alone.",
        _wrong_shifts(scale=lambda values: 0.1 * values.sqrt() / 1.1):
            "leave out the 0.1, which the factors hold already, and the 1.1, by which the shifted "
            "picture is divided and not the shift.",
        _unsigned:
            "an eigenvector may point either way. Turn each so that its red part is above 0.",
        (lambda pixels, factors: -_unsigned(pixels, factors)):
            "an eigenvector may point either way. Turn each so that its red part is above 0.",
        (lambda pixels, factors: factors * _moments(pixels)[0].sqrt()):
            "these are lengths along the three directions. Multiply by the vectors and add up.",
        (lambda pixels, factors: factors * pixels.std(0, correction=0)):
            "you scaled red, green and blue each alone. Colours vary together: the directions "
            "are eigenvectors.",
        (lambda pixels, factors: colour_shifts(pixels, factors) + pixels.mean(0)):
            "you added the mean colour. Return the shift alone.",
        (lambda pixels, factors: colour_shifts(pixels, factors).sum(0, keepdim=True)):
            "you summed over the pictures. Each has a shift of its own.",
    },
    lesson=(
        "Most of what changes in photos is brightness, all three colours together: that is the "
        "first direction, and most of the noise."
    ),
    errors={
        "RuntimeError": "Do the shapes fit? (N, 3) times (3,) stretches, (N, 3) @ (3, 3) adds up.",
    },
)  # fmt: skip

EXERCISES = (COUNT, DROPOUT, COLOUR)
