"""An exercise on what the constants of LRN mean in different sources: chapter 05."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from alexnet_lib import ops
from alexnet_lib.course.grading import Exercise

__all__ = ["EXERCISES"]


def convert(convention: str, n: int, k: float, alpha: float, beta: float) -> dict[str, float]:
    size = sum(ops.window(convention, n)) + 1
    return {
        "size": size, "alpha": ops.coefficient(convention, n, alpha) * size, "beta": beta, "k": k
    }  # fmt: skip


def _constants(rng: np.random.Generator) -> Iterator[tuple]:
    yield "paper", 5, 2.0, 1e-4, 0.75
    yield "source2012", 5, 2.0, 1e-4, 0.75
    yield "seed", 2, 0.0, 2.0, 2.0
    yield "seed", 4, 1.0, 1e-4, 0.75
    yield "paper", 3, 1.0, 0.5, 0.5
    yield "paper", 1, 1.0, 0.5, 0.5
    for _ in range(6):
        convention = str(rng.choice(["paper", "source2012", "seed"]))
        n = 2 * int(rng.integers(1, 6)) + (convention != "seed")
        k, alpha, beta = (round(float(value), 2) for value in rng.uniform(0.3, 2.0, 3))
        yield convention, n, k, alpha, beta


def _wrong_convert(paper=None, source=None, seed=None) -> Callable:
    """Return convert with (size, alpha) computed otherwise for some conventions."""

    def wrong(convention, n, k, alpha, beta):
        change = {"paper": paper, "source2012": source, "seed": seed}[convention]
        right = convert(convention, n, k, alpha, beta)
        if change:
            right["size"], right["alpha"] = change(n, alpha)
        return right

    return wrong


def _same(n: int, alpha: float) -> tuple[int, float]:
    return n, alpha


EXERCISES = (
    Exercise(
        name="convert",
        chapter="05",
        minutes=15,
        difficulty=3,
        question=(
            "Given a convention's name and its constants n, k, alpha and beta, find the arguments "
            "with which torch.nn.LocalResponseNorm computes the very same. convention is 'paper' "
            "(alpha undivided, n odd), 'source2012' (alpha / n, n odd) or 'seed', the article's "
            "(alpha / n, n even, n / 2 channels on each side). torch divides alpha by size. "
            "Returns a dict with the keys size, alpha, beta and k."
        ),
        hints=(
            "Write each as k + c * S. What is c in each of them, and how many channels does S sum?",
            "size is the number of channels that S sums: n for the odd ones, n + 1 for the even.",
            "torch computes alpha / size, so alpha must be c * size.",
        ),
        oracle=convert,
        cases=_constants,
        mistakes={
            _wrong_convert(_same, _same, _same):
                "you passed everything on unchanged. torch divides alpha by size, the paper "
                "doesn't, and the article's window holds n + 1 channels.",
            _wrong_convert(paper=_same):
                "the paper's alpha is not divided, torch divides by size: multiply by size first.",
            _wrong_convert(lambda n, alpha: (n, alpha / n)):
                "you divided the paper's alpha by n. torch divides once more: multiply instead.",
            _wrong_convert(source=lambda n, alpha: (n, alpha * n)):
                "the 2012 source divides alpha by n, just as torch does: nothing to multiply.",
            _wrong_convert(source=lambda n, alpha: (n, alpha / n)):
                "the 2012 source divides alpha by n, and torch does that by itself: pass alpha on.",
            _wrong_convert(seed=_same):
                "with n = 2 torch sums 2 channels, the article 3: the one itself and n / 2 on each "
                "side. Take size n + 1, and make up for torch's division by it.",
            _wrong_convert(seed=lambda n, alpha: (n + 1, alpha)):
                "the size n + 1 is right for the article, but torch divides alpha by n + 1 and the "
                "article by n: alpha * (n + 1) / n.",
            _wrong_convert(seed=lambda n, alpha: (n + 1, alpha * (n + 1))):
                "the article divides alpha by n: alpha * (n + 1) / n.",
            _wrong_convert(seed=lambda n, alpha: (n + 1, alpha * n / (n + 1))):
                "the article's factor is upside down: alpha * (n + 1) / n.",
            _wrong_convert(seed=lambda n, alpha: (n, alpha * n)):
                "the article's window holds n + 1 channels, the one itself and n / 2 on each side.",
            _wrong_convert(*[lambda n, alpha: (n, alpha * n)] * 3):
                "you multiplied alpha by n for every convention. That's right for the paper alone; "
                "the others divide it themselves, and the article's window holds n + 1 channels.",
            _wrong_convert(
                lambda n, alpha: (n, alpha * n), lambda n, alpha: (n, alpha * n),
                lambda n, alpha: (n + 1, alpha * (n + 1)),
            ):
                "you multiplied alpha by size for every convention. The 2012 source and the "
                "article divide alpha by n themselves.",
        },
        lesson=(
            "The same constants mean different things: what counts is c, which multiplies the sum, "
            "and how many channels are summed. The printed alpha of 1e-4 is 5e-4 in torch."
        ),
        errors={
            "KeyError": "The conventions are called 'paper', 'source2012' and 'seed'.",
        },
        where={
            lambda convention, n, k, alpha, beta: convention == "paper":
                "It is right but for the paper, where c is alpha itself.",
            lambda convention, n, k, alpha, beta: convention == "source2012":
                "It is right but for the 2012 source, where c is alpha / n, as in torch.",
            lambda convention, n, k, alpha, beta: convention == "seed":
                "It is right but for the article, where c is alpha / n and S sums n + 1 channels.",
            lambda convention, n, k, alpha, beta: convention != "paper":
                "It is right for the paper alone; the two others divide alpha by n.",
        },
    ),
)  # fmt: skip
