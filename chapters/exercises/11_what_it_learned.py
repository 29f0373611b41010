"""Exercises on looking inside and on judging: chapter 11."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from alexnet_lib.course.grading import Exercise
from alexnet_lib.experiments import significance

__all__ = ["EXERCISES"]


def colour_share(weights: torch.Tensor) -> float:
    weights = weights.double()
    grey = weights.mean(dim=0)
    return (((weights - grey) ** 2).sum() / (weights**2).sum()).item()


def _filters(rng: np.random.Generator) -> Iterator[tuple]:
    yield (torch.tensor([3.0, 0.0, 0.0]).reshape(3, 1, 1),)
    yield (torch.ones(3, 1, 1),)
    yield (torch.tensor([1.0, -1.0, 0.0]).reshape(3, 1, 1),)
    yield (torch.tensor([[3.0, 1.0], [0.0, 1.0], [0.0, 1.0]]).reshape(3, 1, 2),)
    for side in (2, 3, 5, 11):
        grey = rng.normal(0, 1, (1, side, side))
        colour = rng.normal(0, rng.uniform(0.1, 1), (3, side, side))
        yield (torch.from_numpy(np.round(grey + colour, 3)),)


def _share(part: Callable[[torch.Tensor], torch.Tensor], power: int = 2) -> Callable:
    """Return a wrong share: part of the weights over all of them, to a power."""

    def wrong(weights):
        weights = weights.double()
        top = part(weights).abs() ** power
        return (top.sum() / (weights.abs() ** power).sum()).item()

    return wrong


def _root(weights):
    return colour_share(weights) ** 0.5


def _ratio(weights):
    share = colour_share(weights)
    return share / (1 - share) if share < 1 else float("inf")


COLOUR = Exercise(
    name="colour_share",
    chapter="11",
    minutes=6,
    difficulty=1,
    question=(
        "weights has shape (3, h, w): one filter's weights for red, green and blue. Its grey part "
        "is the mean of the three at each place. What share of the filter's energy (the sum of "
        "the squares of all weights) is left when the grey part is taken away? Returns a float "
        "from 0 to 1."
    ),
    hints=(
        "The mean over the three colours is weights.mean(dim=0), of shape (h, w).",
        "weights - grey broadcasts (h, w) over the three colours. That is the colour part.",
        "Divide the sum of its squares by the sum of the weights' squares; .item() makes a float.",
    ),
    oracle=colour_share,
    cases=_filters,
    mistakes={
        (lambda weights: 1 - colour_share(weights)):
            "that's the grey part's share. Colour is what's left without it.",
        _share(lambda w: w - w.mean()):
            "you took one mean over the whole filter. Grey is a mean over the three colours, at "
            "each place: weights.mean(dim=0).",
        _share(lambda w: w - w.mean(dim=(1, 2), keepdim=True)):
            "you took the mean over the places of each colour. Grey is the mean over the three "
            "colours at each place: dim=0.",
        _share(lambda w: w - w.mean(dim=0), power=1):
            "you summed absolute values. Energy is the sum of squares.",
        _share(lambda w: w - w.sum(dim=0)):
            "you took the sum of the three colours away. Grey is their mean.",
        _root:
            "you took the square root. The share of energy is a ratio of squares as it is.",
        _ratio:
            "you divided by the grey part's energy. Divide by the energy of the whole filter.",
        _share(lambda w: w.mean(dim=0)):
            "the grey part has one value for three colours, so its energy counts three times. But "
            "the colour part is asked for anyway: weights - grey.",
    },
    lesson="Noise has two thirds: of three directions only one is grey.",
    forbidden=("colourfulness",),
)  # fmt: skip


def occlusion_map(
    picture: torch.Tensor, weights: torch.Tensor, size: int, step: int
) -> torch.Tensor:
    H, W = picture.shape
    rows, columns = range(0, H - size + 1, step), range(0, W - size + 1, step)
    drops = picture.new_zeros(len(rows), len(columns))
    for i, top in enumerate(rows):
        for j, left in enumerate(columns):
            window = (slice(top, top + size), slice(left, left + size))
            drops[i, j] = (picture[window] * weights[window]).sum()
    return drops


def _pictures(rng: np.random.Generator) -> Iterator[tuple]:
    yield torch.tensor([[1.0, 2.0], [3.0, 4.0]]).double(), torch.ones(2, 2).double(), 1, 1
    yield torch.arange(9.0).reshape(3, 3).double(), torch.eye(3).double(), 2, 1
    yield torch.arange(16.0).reshape(4, 4).double(), -torch.ones(4, 4).double(), 2, 2
    yield torch.ones(5, 5).double(), torch.ones(5, 5).double(), 2, 2  # the last column is left out
    yield torch.ones(3, 6).double(), torch.arange(18.0).reshape(3, 6).double(), 3, 1
    for H, W, size, step in ((6, 6, 2, 1), (7, 5, 3, 2), (8, 8, 4, 4), (9, 6, 2, 3)):
        picture, weights = (torch.from_numpy(np.round(rng.normal(0, 2, (H, W)), 2)) for _ in "ab")
        yield picture, weights, size, step


def _wrong_map(
    drop: Callable = lambda whole, hidden: whole - hidden, fill: float | str = 0.0,
    stop: Callable[[int, int], int] = lambda side, size: side - size + 1, keep: bool = False,
    steps: Callable[[int, int], int] = lambda size, step: step,
) -> Callable:  # fmt: skip
    """Return occlusion_map with something changed. keep: the picture is never restored."""

    def wrong(picture, weights, size, step):
        H, W = picture.shape
        rows = range(0, stop(H, size), steps(size, step))
        columns = range(0, stop(W, size), steps(size, step))
        whole, hidden = (picture * weights).sum(), picture.clone()
        drops = picture.new_zeros(len(rows), len(columns))
        for i, top in enumerate(rows):
            for j, left in enumerate(columns):
                hidden = hidden if keep else picture.clone()
                hidden[top : top + size, left : left + size] = (
                    picture.mean() if fill == "mean" else fill
                )
                drops[i, j] = drop(whole, (hidden * weights).sum())
        return drops

    return wrong


OCCLUSION = Exercise(
    name="occlusion_map",
    chapter="11",
    minutes=12,
    difficulty=2,
    question=(
        "A tiny network looks at a picture (H, W), its mean subtracted, and answers with one "
        "score: (picture * weights).sum(). Hide a square of size x size pixels by setting it to 0. "
        "Its top left corner starts at row 0, column 0 and moves in steps of step, as long as the "
        "whole square is inside. Returns a tensor (rows, columns): how far the score drops for "
        "each place, that is the score of the whole picture minus the score with the square hidden."
    ),
    hints=(
        "How many places are there along H rows? len(range(0, H - size + 1, step)).",
        "For each place: hidden = picture.clone(), then hidden[top:top + size, left:left + size] "
        "= 0.",
        "drops[i, j] = (picture * weights).sum() - (hidden * weights).sum(), with "
        "drops = picture.new_zeros(rows, columns).",
    ),
    oracle=occlusion_map,
    cases=_pictures,
    mistakes={
        _wrong_map(drop=lambda whole, hidden: hidden - whole):
            "the sign is turned: a drop is the score before minus the score afterwards.",
        _wrong_map(drop=lambda whole, hidden: hidden):
            "that's the score with the square hidden. Take it from the whole picture's score.",
        _wrong_map(keep=True):
            "squares hidden before stay hidden. Start each place from a fresh picture.clone().",
        _wrong_map(fill=1.0):
            "you filled the square with 1. Grey is 0 here, because the mean was subtracted.",
        _wrong_map(fill="mean"):
            "you filled the square with this picture's mean. Fill it with 0.",
        _wrong_map(stop=lambda side, size: side - size):
            "the last place is missing: range leaves out its end, so add 1.",
        _wrong_map(stop=lambda side, size: side):
            "the square sticks out at the end. It stops where it still fits: H - size.",
        _wrong_map(steps=lambda size, step: size):
            "you moved by the square's size. It moves by step.",
        _wrong_map(steps=lambda size, step: 1):
            "you moved pixel by pixel. It moves by step.",
        _wrong_map(drop=lambda whole, hidden: (whole - hidden).abs()):
            "you took the absolute value. A score may also rise when something is hidden.",
    },
    lesson=(
        "For one layer the map could be read off the weights. For eight layers nobody can, and "
        "hiding squares works all the same."
    ),
    forbidden=("occlusion",),
)  # fmt: skip


STUDENT = significance.STUDENT


def verdict(each: list[float], paper: float | None, setting: str) -> str:
    return significance.of_effect(each, paper, setting == "the paper's")


def _spread(count: int, mean: float, margins: float) -> list[float]:
    """Return values whose mean is so many margins above 0, near a chosen mean."""
    ends = np.linspace(-1, 1, count)
    each = mean + ends * mean / (margins * significance.margin(ends.tolist()))
    return each.round(3).tolist()


def _effects(rng: np.random.Generator) -> Iterator[tuple]:
    yield [1.0, 1.2, 1.1], 1.4, "smaller"
    yield [], 1.4, "smaller"
    yield [2.0], 1.4, "the paper's"
    yield [1.0, -1.0, 0.5], 1.4, "smaller"
    yield [-1.0, -1.1, -0.9], 1.4, "smaller"
    yield [0.2, -1.0, -0.6], 1.4, "the paper's"
    yield [1.3, 1.5, 1.4, 1.4], 1.4, "the paper's"
    yield [1.3, 1.5, 1.4, 1.4], 1.4, "smaller"
    yield [3.3, 3.5, 3.4, 3.4], 1.4, "the paper's"
    # One step of the margin at a time; each mistake in it fails first at an input of its own
    yield _spread(8, 1.0, 0.3), 1.4, "smaller"  # no margin at all
    yield _spread(8, 1.0, 0.7), 1.4, "smaller"  # a margin without t
    yield _spread(8, 1.0, 0.9), 1.4, "smaller"  # 1.645 for t
    yield _spread(2, 1.0, 0.85), 1.4, "smaller"  # n for n - 1
    yield _spread(4, 1.0, 1.5), 1.4, "smaller"  # no root of n
    yield [0.0, 0.0, 0.0], 1.4, "smaller"  # exactly at the margin
    yield [1.4, 1.4], 1.4, "the paper's"
    yield [1.0, 3.0, 1.0, 3.0], 3.0, "the paper's"
    yield [1.0, 1.2, 1.1], None, "the paper's"
    yield _spread(12, 1.0, 1.1), 1.1, "the paper's"
    for count in (2, 3, 4, 5, 8):
        each = rng.normal(rng.uniform(0, 2), 0.6, count).round(2).tolist()
        paper = round(float(rng.uniform(0.4, 2)), 1)
        yield each, paper, ("smaller", "the paper's")[int(rng.integers(2))]


def _wrong_verdict(
    factor: Callable[[int], float] = lambda n: STUDENT[min(n, 10)], root: bool = True,
    sample: bool = True, few: int = 2, swap: bool = False, any_setting: bool = False,
    any_size: bool = False, both_ways: bool = False, negative: str = significance.OTHER_WAY,
) -> Callable:  # fmt: skip
    """Return verdict with something changed."""

    def wrong(each, paper, setting):
        n = len(each)
        if n < few:
            return significance.NOT_TESTED
        mean = sum(each) / n
        variance = sum((value - mean) ** 2 for value in each) / (max(n - 1, 1) if sample else n)
        off = factor(max(n, 2)) * variance**0.5 / (n**0.5 if root else 1)
        seen = abs(mean) > off if both_ways else mean > off
        if mean < -off and not both_ways:
            return negative
        if not seen:
            return significance.NOT_SEEN
        agrees = paper is not None and (any_size or abs(mean - paper) <= off)
        same = any_setting or setting == "the paper's"
        if swap:
            return significance.REPRODUCED if not (same and agrees) else significance.DIRECTION
        return significance.REPRODUCED if same and agrees else significance.DIRECTION

    return wrong


VERDICT = Exercise(
    name="verdict",
    chapter="11",
    minutes=15,
    difficulty=3,
    question=(
        "each is a list of an effect's values, one a seed, positive as the paper says; paper is "
        "its number, or None; setting is \"the paper's\" or 'smaller'. Fewer than 2 values: 'not "
        "tested'. Else take their mean and margin = t * s / sqrt(n), s the sample standard "
        "deviation (divided by n - 1), t = verdicts.STUDENT[n], for more than 10 values that of "
        "10. Mean plus margin below 0: 'the other way round at this scale'. Mean minus margin "
        "above 0: 'reproduced' in the paper's setting if there is a number and it is at most one "
        "margin from the mean, else 'in the same direction'. Anything between: 'not seen at this "
        "scale'. Returns one of these five strings."
    ),
    hints=(
        "First the case of fewer than two values: it must return before a mean is taken.",
        "statistics.mean(each) and statistics.stdev(each) give mean and s (from n - 1).",
        "margin = verdicts.STUDENT[min(n, 10)] * s / n ** 0.5. Then the ifs, in the question's "
        "order. 'Within the margin' is abs(mean - paper) <= margin.",
    ),
    oracle=verdict,
    cases=_effects,
    mistakes={
        _wrong_verdict(factor=lambda n: 0.0, any_size=True):
            "you looked at the mean alone. The margin must be taken from it first.",
        _wrong_verdict(factor=lambda n: 0.0):
            "you looked at the mean alone. The margin must be taken from it first.",
        _wrong_verdict(root=False):
            "the margin lacks the square root of n: means of many seeds are surer than one seed.",
        _wrong_verdict(sample=False):
            "you divided by n in the standard deviation. statistics.stdev divides by n - 1.",
        _wrong_verdict(factor=lambda n: 1.0):
            "the margin lacks Student's t: verdicts.STUDENT[n].",
        _wrong_verdict(factor=lambda n: 1.645):
            "you took 1.645, which is for a known spread. With few seeds t is larger: "
            "verdicts.STUDENT[n].",
        _wrong_verdict(few=1):
            "one value has no spread: 'not tested' for fewer than 2.",
        _wrong_verdict(any_setting=True):
            "'reproduced' needs the paper's own setting. In a smaller one it's a direction.",
        _wrong_verdict(any_size=True):
            "'reproduced' needs the paper's number within one margin of the mean.",
        _wrong_verdict(both_ways=True):
            "you took the absolute value of the mean, and the sign is what counts: below minus "
            "one margin it's the other way round.",
        _wrong_verdict(negative=significance.NOT_SEEN):
            "an effect beyond chance against the paper has a word of its own: mean plus margin "
            "below 0.",
        _wrong_verdict(negative=significance.NOT_SO):
            "'not so' is for counts, which know no scale. An effect that is measured here may "
            "come out otherwise at another scale.",
        _wrong_verdict(swap=True):
            "'reproduced' and 'in the same direction' are exchanged.",
    },
    errors={
        "StatisticsError": "statistics.stdev needs two values. Return 'not tested' before.",
        "KeyError": "verdicts.STUDENT has 2 to 10 seeds. For fewer than 2 values return 'not "
            "tested' before you look there; for more than 10 take 10.",
        "TypeError": "paper is None where the paper prints no number: ask that first.",
        "ZeroDivisionError": "an empty list has no mean. Return 'not tested' before.",
    },
    lesson=(
        "A rule that is fixed before the numbers are known can't be bent by them. That's all the "
        "objectivity there is."
    ),
    forbidden=("of_effect", "margin"),
    instead="which does the work for you. Here you write the rule yourself.",
)  # fmt: skip


EXERCISES = (COLOUR, OCCLUSION, VERDICT)
