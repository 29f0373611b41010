"""Exercises on the sizes of maps: chapter 00."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from alexnet_lib import shapes
from alexnet_lib.course.grading import Exercise

__all__ = ["EXERCISES"]


def output_size(n: int, k: int, s: int, p: int) -> int:
    return shapes.output_size(n, k, s, p)


def _output_sizes(rng: np.random.Generator) -> Iterator[tuple[int, ...]]:
    yield 5, 3, 1, 0  # three places for the window: easy to count
    yield 7, 3, 2, 0
    yield 5, 3, 1, 1
    yield 227, 11, 4, 0  # AlexNet's first layer
    yield 224, 11, 4, 0
    yield 224, 11, 4, 2  # torchvision's
    yield 27, 5, 1, 2
    yield 55, 3, 2, 0
    yield 11, 11, 4, 0  # the window covers everything
    yield 3, 5, 2, 1
    for _ in range(10):
        k, s, p = (int(rng.integers(low, high)) for low, high in ((1, 9), (1, 5), (0, 4)))
        yield int(rng.integers(k, 60)), k, s, p


EXERCISES = (
    Exercise(
        name="output_size",
        chapter="00",
        minutes=3,
        difficulty=1,
        question=(
            "A window k pixels wide slides over a row of n pixels in steps of s, after p zeros "
            "were added at both ends. At how many places can it stand? "
            "Write floor((n - k + 2p) / s) + 1. Returns an int."
        ),
        hints=(
            "The last place starts at n + 2p - k at most. How many steps of s fit into that?",
            "The operator // divides and rounds down.",
            "The window stands at the start before it takes its first step: that's the + 1.",
        ),
        oracle=output_size,
        cases=_output_sizes,
        mistakes={
            (lambda n, k, s, p: -(-(n - k + 2 * p) // s) + 1):
                "you rounded up. A last window that would stick out is dropped here: round down.",
            (lambda n, k, s, p: round((n - k + 2 * p) / s) + 1):
                "you rounded to the nearest whole number. A window that would stick out is "
                "dropped: round down, with //.",
            (lambda n, k, s, p: (n - k + 2 * p) // s):
                "the + 1 is missing. That counts the steps; the places are one more.",
            (lambda n, k, s, p: (n - k + p) // s + 1):
                "you added p once. Padding is on both sides, so the row grows by 2p.",
            (lambda n, k, s, p: (n - k) // s + 1):
                "the padding p is left out.",
            (lambda n, k, s, p: (n - k - 2 * p) // s + 1):
                "you took the padding off. It makes the row longer: + 2p.",
            (lambda n, k, s, p: n - k + 2 * p + 1):
                "the stride s is left out: divide by it before you add 1.",
            (lambda n, k, s, p: n - k + 2 * p // s + 1):
                "brackets: // binds tighter than + and -, so only 2p is divided by s.",
            (lambda n, k, s, p: (n - k + 2 * p + 1) // s):
                "the + 1 belongs outside the division: divide first, then add 1.",
            (lambda n, k, s, p: (n + 2 * p) // s):
                "the window's own width k is left out: it can't start in the last k - 1 pixels.",
        },
        lesson=(
            "224 pixels give 54 places, 227 give 55: that is why AlexNet's pictures, printed as "
            "224, are 227 wide in most copies."
        ),
        errors={"TypeError": "All four inputs are whole numbers; the result is one as well."},
    ),
)  # fmt: skip
