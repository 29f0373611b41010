"""Exercises on the recipe: one step of 2012, the rates of the diary, a diagnosis from numbers.
Chapter 09."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from alexnet_lib.course.grading import Exercise
from alexnet_lib.paper import DIARY_2012, STOPPED_2012

__all__ = ["EXERCISES"]


def step_2012(
    w: float, v: float, g: float, rate: float, momentum: float, decay: float
) -> list[float]:
    v = momentum * v - rate * (g + decay * w)
    return [w + v, v]


def _steps(rng: np.random.Generator) -> Iterator[tuple]:
    yield 1.0, 0.0, 2.0, 0.1, 0.0, 0.0  # plain descent, by hand: 0.8
    yield 1.0, 0.5, 2.0, 0.1, 0.9, 0.0  # by hand: v = .45 - .2
    yield 2.0, 0.0, 0.0, 0.5, 0.9, 0.1  # no gradient: the decay alone
    yield 1.0, 0.5, 2.0, 0.1, 0.9, 0.5
    yield -3.0, -0.25, 1.5, 0.01, 0.9, 0.0005
    yield 0.5, 0.25, -1.0, 0.0, 0.9, 0.5  # rate 0: the ball rolls on
    for _ in range(6):
        w, v, g = (round(float(value), 2) for value in rng.normal(0, 2, 3))
        yield w, v, g, float(rng.choice([0.01, 0.1, 0.5])), 0.9, float(rng.choice([0.01, 0.2]))


def _wrong_step(rule: Callable[..., tuple[float, float]]) -> Callable:
    """Return a wrong step from (w, v, g, rate, momentum, decay) -> (w, v)."""

    def step(
        w: float, v: float, g: float, rate: float, momentum: float, decay: float
    ) -> list[float]:
        return list(rule(w, v, g, rate, momentum, decay))

    return step


def _with_velocity(velocity: Callable[..., float]) -> Callable:
    """Return a step with another velocity, from (w, v, g, rate, momentum, decay)."""

    def step(
        w: float, v: float, g: float, rate: float, momentum: float, decay: float
    ) -> list[float]:
        new = velocity(w, v, g, rate, momentum, decay)
        return [w + new, new]

    return step


STEP_2012 = Exercise(
    name="step_2012",
    chapter="09",
    minutes=8,
    difficulty=1,
    question=(
        "One step of 2012 for one weight w, whose velocity is v and whose gradient is g: the "
        "velocity is damped by momentum, and pushed against the gradient and against the weight "
        "itself, both times rate. Then the weight moves by the new velocity. Returns [w, v], both "
        "new."
    ),
    hints=(
        "First the velocity, then the weight: the weight moves by the new velocity.",
        "Decay counts as a part of the gradient: g + decay * w. The rate multiplies the whole sum.",
        "v = momentum * v - rate * (g + decay * w), then w = w + v.",
    ),
    oracle=step_2012,
    cases=_steps,
    mistakes={
        _with_velocity(lambda w, v, g, rate, m, d: m * v - rate * (g - d * w)):
            "your decay has the wrong sign: the weight grows, and it grows the faster the larger "
            "it is.",
        _with_velocity(lambda w, v, g, rate, m, d: m * v - rate * g - d * w):
            "your decay isn't scaled by the rate. In 2012 the rate multiplies both: "
            "rate * (g + decay * w).",
        _with_velocity(lambda w, v, g, rate, m, d: m * v + rate * (g + d * w)):
            "you go up the gradient. The loss falls against it: minus.",
        _with_velocity(lambda w, v, g, rate, m, d: m * v - rate * g):
            "the weight decay is missing.",
        _with_velocity(lambda w, v, g, rate, m, d: -rate * (g + d * w)):
            "the momentum is missing: the old velocity, times momentum, goes on.",
        _with_velocity(lambda w, v, g, rate, m, d: m * v - (1 - m) * rate * (g + d * w)):
            "you averaged old and new, with 1 - momentum. In 2012 the new part counts in full.",
        _with_velocity(lambda w, v, g, rate, m, d: v - rate * (g + d * w)):
            "nothing damps the old velocity: multiply it by momentum.",
        _wrong_step(lambda w, v, g, rate, m, d: (w + v, m * v - rate * (g + d * w))):
            "you moved the weight by the old velocity. First the velocity, then the weight.",
        _wrong_step(lambda w, v, g, rate, m, d: (w - (m * v + rate * (g + d * w)),
                                                 m * v + rate * (g + d * w))):
            "that's a velocity with the opposite sign, as in PyTorch's buffer. Here v carries the "
            "minus, and the weight moves by + v.",
        _wrong_step(lambda w, v, g, rate, m, d: (w - (m * v - rate * (g + d * w)),
                                                 m * v - rate * (g + d * w))):
            "your velocity is right, but the weight moves by + v: v carries the minus already.",
        _wrong_step(lambda w, v, g, rate, m, d: (w - rate * (m * v + g + d * w),
                                                 m * v + g + d * w)):
            "that's PyTorch's rule: the rate outside of the velocity. In 2012 it is inside.",
        _wrong_step(lambda w, v, g, rate, m, d: step_2012(w, v, g, rate, m, d)[::-1]):
            "the two are swapped: return [w, v].",
    },
    lesson=(
        "The rate is inside of the velocity, so a lower rate does not slow a ball that already "
        "rolls; and decay is a pull toward 0 that is scaled by the rate."
    ),
    where={
        lambda w, v, g, rate, momentum, decay: v != 0: "It is right only where v is 0.",
        lambda w, v, g, rate, momentum, decay: decay != 0: "It is right only without decay.",
    },
)  # fmt: skip


def diary_rate(layer: str, epoch: float) -> float:
    if epoch >= STOPPED_2012:
        return 0.0
    first, rest = [(a, b) for start, a, b, _ in DIARY_2012 if start <= epoch][-1]
    return first if layer == "conv1" else rest


def _moments(rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    yield "conv2", 0.0
    yield "conv2", 22.9
    yield "conv2", 23.0
    yield "fc8", 51.0
    yield "fc8", 69.0
    yield "conv1", 30.0
    yield "conv1", 68.0
    yield "conv1", 71.99
    yield "conv1", 72.0
    yield "conv5", 72.0
    yield "conv1", 80.0
    yield "conv3", 78.0
    yield "conv3", 92.5
    yield "fc6", 93.0
    for _ in range(8):
        layer = str(rng.choice(["conv1", "conv4", "fc7"]))
        yield layer, round(float(rng.uniform(0, 95)), 1)


def _diary(
    entries: tuple = DIARY_2012, stopped: float = STOPPED_2012, late: bool = False,
    apart: bool = True, frozen: float = 0.0, whole: bool = False,
) -> Callable[[str, float], float]:  # fmt: skip
    """Return a rate by the diary, or with other arguments something like it."""

    def rate(layer: str, epoch: float) -> float:
        epoch = round(epoch) if whole else epoch
        if epoch >= stopped:
            return 0.0
        past = [row for row in entries if row[0] < epoch or (row[0] == epoch and not late)]
        first, rest = (past or [entries[0]])[-1][1:3]
        return (first or frozen) if layer == "conv1" and apart else rest

    return rate


DIARY_RATE = Exercise(
    name="diary_rate",
    chapter="09",
    minutes=12,
    difficulty=2,
    question=(
        "The diary of 2012 as a function of a layer's name and of the epoch, counted from 0 and in "
        "fractions: .01 at first; from epoch 23 on .001; from 51 on .0001; from 68 on conv1 alone "
        "at 1e-5; from 72 on conv1 at 0; from 78 on all the others at 1e-5; from 93 on 0 for all. "
        "Returns the rate as a float."
    ),
    hints=(
        "Begin with the layers other than conv1: three dates, four rates, and the end.",
        "conv1 goes its own way from epoch 68 on; before that it does what all do.",
        "if epoch >= 93: return 0.0; then conv1's own two dates, latest first; then 78, 51, 23.",
    ),
    oracle=diary_rate,
    cases=_moments,
    mistakes={
        _diary(late=True):
            "a rate holds from its epoch on, that epoch included: >=, not >.",
        _diary(whole=True):
            "you rounded the epoch: at 22.9 the rate of epoch 23 doesn't hold yet.",
        _diary(apart=False):
            "conv1 has rates of its own from epoch 68 on.",
        _diary(stopped=1e9):
            "the run was stopped at 93. Nothing learns after that: 0.0.",
        _diary(frozen=1e-5):
            "from epoch 72 on conv1 is frozen: 0.0, not 1e-5.",
        _diary(entries=tuple(row for row in DIARY_2012 if row[0] != 78)):
            "the entry at 78 is missing: all layers but conv1 go down to 1e-5.",
        _diary(entries=DIARY_2012[:3]):
            "you stopped reading after 51. Three more entries follow: 68, 72 and 78.",
        _diary(entries=tuple((e, a, a, n) for e, a, b, n in DIARY_2012)):
            "the entries at 68 and 72 are for conv1 alone; the other layers stay at .0001 until "
            "78.",
        _diary(entries=(*DIARY_2012[:5], (78, 1e-5, 1e-5, ""))):
            "at 78 the other layers change. conv1 stays frozen.",
    },
    lesson=(
        "A schedule was a person: someone looked at the curve, stopped the run, changed a number "
        "and wrote it down. \"Divided by ten three times\" is the summary."
    ),
    where={
        lambda layer, epoch: layer == "conv1": "It fails for conv1 only.",
        lambda layer, epoch: layer != "conv1": "It is right for conv1 only.",
        lambda layer, epoch: epoch in (23, 51, 68, 72, 78, 93):
            "It fails at the very epoch of a change: a rate holds from its epoch on.",
    },
)  # fmt: skip


def diagnose(
    losses: list, chance: float, dead: list, update: list, across: list, changed: float
) -> str:
    if losses[-1] != losses[-1] or losses[-1] > 10 * chance:
        return "rate"
    if max(dead) == 1:
        return "dead"
    if min(update) == 0:
        return "frozen"
    if across[-1] < 0.01:
        return "faint"
    if changed > 0:
        return "dropout"
    return "labels" if losses[-1] > 0.95 * chance else "healthy"


NAN = float("nan")
LN10 = 2.3026


def _files(rng: np.random.Generator) -> Iterator[tuple]:
    fine, moving, wide = [0.0, 0.02, 0.0], [0.002, 0.001, 0.003], [7.0, 2.0, 0.4]
    falling, flat = [2.31, 2.0, 1.2], [2.31, 2.30, 2.29]
    yield falling, LN10, fine, moving, wide, 0.0
    yield [2.3, 9.0, 31.0], LN10, fine, [0.9, 0.5, 0.7], wide, 0.0
    yield [2.3, 9.0, NAN], LN10, fine, [0.9, 0.5, 0.7], wide, 0.0
    yield flat, LN10, [0.0, 1.0, 0.1], moving, wide, 0.0
    yield falling, LN10, fine, [0.0, 0.0, 0.002], wide, 0.0
    yield flat, LN10, fine, [1e-6, 1e-6, 1e-5], [7.0, 0.02, 0.0009], 0.0
    yield falling, LN10, fine, [0.0, 0.0, 0.0], wide, 0.0
    yield falling, LN10, fine, moving, wide, 0.2
    yield flat, LN10, fine, moving, [7.0, 0.02, 0.0009], 0.2  # faint comes before dropout
    yield flat, LN10, fine, moving, wide, 0.0
    yield flat, LN10, [0.0, 1.0, 1.0], [1e-6, 0.0, 1e-6], [7.0, 0.0, 0.0], 0.0  # dead comes first
    yield [2.3, NAN, NAN], LN10, [0.0, 1.0, 1.0], [0.9, 0.0, 0.1], [7.0, 0.0, 0.0], 0.1
    yield [1.1, 1.09, 1.08], 1.0986, fine, moving, wide, 0.0  # three classes: chance is 1.1
    yield [1.1, 0.9, 0.6], 1.0986, fine, moving, wide, 0.0
    yield [1.1, 1.2, 12.0], 1.0986, fine, moving, wide, 0.0
    yield flat, LN10, [0.0, 0.99, 0.3], moving, wide, 0.3
    yield falling, LN10, fine, moving, [7.0, 0.004, 0.4], 0.0  # faint in the middle only
    yield [31.0, 9.0, 1.2], LN10, fine, moving, wide, 0.0  # a bad start, and over
    yield [2.4, 2.3, 2.0], LN10, fine, moving, wide, 0.0  # the mean is above .95 of chance


def _doctor(order: str, **limits: Any) -> Callable:
    """Return diagnose with its questions in another order, or with other limits."""
    chosen = {"loud": 10.0, "by_chance": True, "nan": True, "all_dead": 1.0, "near": 0.95,
              "moving": min, "dying": max, "across": lambda across: across[-1],
              "loudest": lambda losses: losses[-1], "loss": lambda losses: losses[-1]
              } | limits  # fmt: skip

    def guess(
        losses: list, chance: float, dead: list, update: list, across: list, changed: float
    ) -> str:
        last, level = chosen["loss"](losses), chance if chosen["by_chance"] else LN10
        loudest = max(last, chosen["loudest"](losses))
        answers = {
            "rate": (chosen["nan"] and last != last) or loudest > chosen["loud"] * level,
            "dead": chosen["dying"](dead) >= chosen["all_dead"],
            "frozen": chosen["moving"](update) == 0,
            "faint": chosen["across"](across) < 0.01,
            "dropout": changed > 0,
            "labels": last > chosen["near"] * level,
        }
        return next((name for name in order.split() if answers[name]), "healthy")

    return guess


ORDER = "rate dead frozen faint dropout labels"
DIAGNOSE = Exercise(
    name="diagnose",
    chapter="09",
    minutes=15,
    difficulty=3,
    question=(
        "A patient's file in numbers: losses, in order; chance, the loss of guessing; and of each "
        "layer from first to last its share of dead units, its update-to-weight ratio (update) and "
        "how much its outputs differ across pictures (across); changed, the share of answers that "
        "differ when a test is asked twice. Ask in this order, the first yes decides. Is the last "
        "loss NaN, or above ten times chance? 'rate'. Is some layer dead as a whole? 'dead'. Does "
        "some layer not move at all? 'frozen'. Does the last layer's across lie below .01? "
        "'faint'. Did any answer change? 'dropout'. Is the last loss above .95 of chance? "
        "'labels'. Else 'healthy'. Returns one of these words."
    ),
    hints=(
        "Seven returns, six ifs. The order of the questions is part of the answer.",
        "NaN is not above anything: x > 10 is False for it. But math.isnan(x) is True.",
        "A whole layer dead: any share equal to 1. A layer that doesn't move: any update equal "
        "to 0.",
    ),
    oracle=diagnose,
    cases=_files,
    mistakes={
        _doctor(ORDER, nan=False):
            "NaN slips through: every comparison with it is False. Ask math.isnan(losses[-1]).",
        _doctor("dead rate frozen faint dropout labels"):
            "ask for the rate first: where the loss is NaN, units die as a consequence.",
        _doctor("rate frozen dead faint dropout labels"):
            "ask for dead units before frozen layers: behind a dead layer nothing moves, but that "
            "isn't the cause.",
        _doctor("rate dead frozen dropout faint labels"):
            "the order is another one: faint comes before dropout.",
        _doctor("rate labels dead frozen faint dropout"):
            "a loss at chance is the last question, not the second: most faults end at chance, and "
            "the others have a name.",
        _doctor("rate dead frozen faint labels dropout"):
            "ask about changed answers before you blame the labels.",
        _doctor(ORDER, by_chance=False):
            "chance isn't always ln 10: it is given, and depends on the number of classes.",
        _doctor(ORDER, all_dead=0.5):
            "a layer counts as dead when all of its units are: a share of 1.",
        _doctor(ORDER, all_dead=1e-9):
            "some dead units are normal. A layer counts as dead when all of its units are.",
        _doctor(ORDER, dying=min):
            "one dead layer is enough: any, not all.",
        _doctor(ORDER, across=lambda across: across[0]):
            "across of the last layer decides: it is what the answer is made of.",
        _doctor(ORDER, across=min):
            "you took the smallest across. That of the last layer decides.",
        _doctor(ORDER, loudest=max):
            "a high loss that came down again isn't asked about: it's the last loss.",
        _doctor(ORDER, loss=lambda losses: sum(losses) / len(losses)):
            "you took the mean of the losses: it's the last loss.",
        _doctor(ORDER, moving=max):
            "one layer that doesn't move is enough: any, not all.",
        _doctor("rate dead frozen faint dropout"):
            "the last fault is missing: a loss above .95 of chance though all else is well.",
        _doctor("dead frozen faint dropout labels"):
            "the first question is missing: a loss of NaN, or above ten times chance.",
        _doctor("rate dead faint dropout labels"):
            "you never ask whether a layer doesn't move.",
    },
    lesson=(
        "Look at causes before consequences: size of the loss, then what goes forward, what moves, "
        "what is repeatable, and only then the data."
    ),
    errors={
        "IndexError": "The lists have one number a layer; losses[-1] is the last loss.",
    },
)  # fmt: skip

EXERCISES = (STEP_2012, DIARY_RATE, DIAGNOSE)
