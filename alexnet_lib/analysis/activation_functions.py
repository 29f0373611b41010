"""tanh, sigmoid and ReLU, their slopes, and what becomes of a signal in a stack of such layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .._errors import unknown_name

__all__ = ["ACTIVATIONS", "FLAT", "Activation", "Depth", "through_layers"]

FLAT = 0.01  # where the slope is below this, a unit hardly learns


@dataclass(frozen=True)
class Activation:
    """A function of single numbers, and its slope at the same numbers. name: as it is written."""

    name: str
    function: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # never overflows, unlike 1 / (1 + exp(-x))


def _sigmoid_slope(x: np.ndarray) -> np.ndarray:
    return 0.25 * (1 - np.tanh(0.5 * x) ** 2)


ACTIVATIONS: dict[str, Activation] = {
    "tanh": Activation("tanh", np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "sigmoid": Activation("sigmoid", _sigmoid, _sigmoid_slope),
    # At 0 the slope is 0, as in torch: the corner has none of its own.
    "relu": Activation("ReLU", lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
}


@dataclass(frozen=True)
class Depth:
    """What arrives where in a stack of layers.

    forward: (depth + 1,), from the input to the last layer: the standard deviation of one unit
    over the pictures, root-mean-squared over the units. backward: (depth + 1,), the same places:
    the root-mean-square of the gradient, as a share of the one that enters at the end. flat:
    (depth,), the share of all answers of a layer where the slope is below FLAT. dead: (depth,),
    the share of its units that are flat for every picture.
    """

    forward: np.ndarray
    backward: np.ndarray
    flat: np.ndarray
    dead: np.ndarray


@lru_cache(maxsize=4)
def _noise(depth: int, units: int, pictures: int, seed: int) -> tuple[np.ndarray, ...]:
    """Return weights (depth, units, units) of variance 1 / units, pictures and a last gradient."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, units**-0.5, (depth, units, units))
    x, g = rng.normal(0, 1, (2, pictures, units))
    return weights, x, g


def through_layers(
    activation: str, depth: int = 8, gain: float = 1.0, bias: float = 0.0,
    units: int = 64, pictures: int = 64, seed: int = 0,
) -> Depth:
    """Send made-up pictures through fully connected layers, and a gradient back.

    activation: tanh, sigmoid or relu. depth: layers, at least 1. gain: of the first weights, whose
    standard deviation is gain / sqrt(units). bias: of every unit. units: of every layer, and
    numbers of every picture. pictures: drawn from a normal distribution, as is the gradient that
    enters at the end. Raises ValueError for an unknown activation or no layers.
    """
    if activation not in ACTIVATIONS:
        raise unknown_name("activation", activation, ACTIVATIONS)
    if depth < 1:
        raise ValueError(f"depth is {depth}; give at least 1 layer.")
    rule = ACTIVATIONS[activation]
    weights, h, g = _noise(depth, units, pictures, seed)
    slopes, forward = [], [_across(h)]
    for w in weights:
        z = gain * (h @ w) + bias  # (pictures, units)
        h = rule.function(z)
        slopes.append(rule.slope(z))
        forward.append(_across(h))
    backward = [_size(g)]
    for w, slope in zip(weights[::-1], slopes[::-1], strict=True):
        g = gain * ((g * slope) @ w.T)
        backward.append(_size(g))
    flat = [slope < FLAT for slope in slopes]
    return Depth(
        np.array(forward), np.array(backward[::-1]) / backward[0],
        np.array([each.mean() for each in flat]),
        np.array([each.all(axis=0).mean() for each in flat]),
    )  # fmt: skip


def _across(h: np.ndarray) -> float:
    return float(np.sqrt(h.var(axis=0).mean()))


def _size(g: np.ndarray) -> float:
    return float(np.sqrt(np.square(g).mean()))
