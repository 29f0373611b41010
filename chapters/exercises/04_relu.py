"""Exercises on ReLU: its gradient, units that are dead, and the way back through a stack of layers.
Chapter 04."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from alexnet_lib.course.grading import Exercise

__all__ = ["EXERCISES"]

AUTOGRAD = ("autograd", "backward", "requires_grad_", "requires_grad")


def relu_backward(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 0, g, torch.zeros_like(g))


def _normal(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.from_numpy(rng.normal(0, 2, shape).round(2)).float()


def _gradients(rng: np.random.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    yield torch.tensor([-2.0, 3.0]), torch.tensor([5.0, 7.0])  # by hand
    yield torch.tensor([-1.0, 0.0, 1.0, 2.0]), torch.tensor([1.0, 2.0, -3.0, 4.0])
    yield torch.tensor([0.5, -0.5, 4.0]), torch.tensor([-1.0, -2.0, 0.0])
    yield torch.zeros(2, 3), _normal(rng, 2, 3)
    yield -_normal(rng, 4).abs() - 1, _normal(rng, 4)  # asleep, all of it
    yield _normal(rng, 3, 5).double(), _normal(rng, 3, 5).double()
    yield _normal(rng, 2, 3, 4, 5), _normal(rng, 2, 3, 4, 5)
    for _ in range(4):
        shape = [int(rng.integers(1, 7)) for _ in range(int(rng.integers(1, 4)))]
        yield _normal(rng, *shape), _normal(rng, *shape)


RELU_BACKWARD = Exercise(
    name="relu_backward",
    chapter="04",
    minutes=5,
    difficulty=1,
    question=(
        "A ReLU was given x. From behind comes g, the gradient of the loss by its output, of the "
        "same shape. Write the gradient of the loss by x; where x is 0 it is 0, as in torch. "
        "Without autograd. Returns a new tensor of x's shape."
    ),
    hints=(
        "What is the slope of max(0, x) at x = 3? At x = -2? The chain rule multiplies g by it.",
        "The slope is 1 where x > 0 and 0 elsewhere: a mask.",
        "g * (x > 0), or torch.where(x > 0, g, 0.0).",
    ),
    oracle=relu_backward,
    cases=_gradients,
    mistakes={
        (lambda x, g: g * (x >= 0)):
            "at exactly 0 you let the gradient through. The slope there counts as 0: x > 0.",
        (lambda x, g: (x > 0).to(g)):
            "that's the slope alone. The chain rule multiplies it by g, which came from behind.",
        (lambda x, g: x > 0):
            "that's the mask alone. The chain rule multiplies it by g, which came from behind.",
        (lambda x, g: g * x.clamp(min=0)):
            "you multiplied g by ReLU's output. The chain rule wants its slope: 1 or 0.",
        (lambda x, g: x.clamp(min=0)):
            "that's the way forward, ReLU itself. On the way back it is g that passes or doesn't.",
        (lambda x, g: g.clamp(min=0)):
            "you asked for the sign of g. The sign of x decides; g may be negative or not.",
        (lambda x, g: g.clamp(min=0) * (x > 0)):
            "you also cut off negative gradients. What decides is the sign of x alone.",
        (lambda x, g: x * (g > 0)):
            "x and g are swapped: x decides, g passes.",
        (lambda x, g: g * (x < 0)):
            "the mask is upside down: the gradient passes where x is above 0.",
        (lambda x, g: g * x.sign()):
            "for negative x you turned g's sign. The slope there is 0, not -1.",
        (lambda x, g: g.clone()):
            "g passes everywhere. Where x is 0 or less the output doesn't move, so nothing passes.",
        (lambda x, g: g * (1 - x.tanh() ** 2)):
            "that's the slope of tanh.",
    },
    lesson=(
        "A ReLU passes a gradient on whole or not at all: where it is active nothing shrinks, "
        "where it is silent nothing is learned."
    ),
    forbidden=AUTOGRAD,
    where={
        lambda x, g: bool((x == 0).any()): "It fails only where some x is exactly 0.",
        lambda x, g: x.dim() > 1: "It fails only for tensors of more than one axis.",
        lambda x, g: bool((g < 0).any()): "It fails only where some g is negative.",
    },
)  # fmt: skip


def dead_units(z: torch.Tensor) -> list[int]:
    return (~(z > 0).any(dim=3).any(dim=2).any(dim=0)).nonzero().flatten().tolist()


def _maps(rng: np.random.Generator) -> Iterator[tuple[torch.Tensor]]:
    yield (torch.tensor([[-1.0, 2.0, -3.0]]).reshape(1, 3, 1, 1),)  # by hand: 0 and 2
    yield (torch.tensor([[-1.0, 2.0], [3.0, -1.0]]).reshape(2, 2, 1, 1),)  # each for one picture
    yield (torch.tensor([0.0, 1.0, -1.0]).reshape(1, 3, 1, 1),)  # 0 stays 0 after ReLU
    one_spot = -_normal(rng, 2, 4, 3, 5).abs() - 0.1
    one_spot[1, 2, 2, 4] = 0.5  # a single answer keeps a channel alive
    yield (one_spot,)
    yield (_normal(rng, 3, 5, 4, 4),)
    yield (-_normal(rng, 2, 3, 4, 2).abs() - 0.1,)
    for _ in range(6):
        N, C, H, W = (int(rng.integers(1, high)) for high in (4, 9, 5, 6))
        z = _normal(rng, N, C, H, W)
        z[:, torch.from_numpy(rng.random(C) < 0.5)] -= 9
        yield (z,)


def _wrong_dead(alive: Callable[[torch.Tensor], torch.Tensor]) -> Callable:
    """Return dead_units with another idea of what is alive: z (N, C, H, W) -> (C,) or so."""
    return lambda z: (~alive(z)).nonzero().flatten().tolist()


DEAD_UNITS = Exercise(
    name="dead_units",
    chapter="04",
    minutes=10,
    difficulty=2,
    question=(
        "z of shape (N, C, H, W) is what goes into a layer of ReLUs: N pictures, C channels. Find "
        "the channels that are dead for these pictures: after ReLU they are 0 for every picture, "
        "at every position. Returns a list of their numbers, in order."
    ),
    hints=(
        "A channel lives if any of its values, of any picture and at any position, is above 0.",
        "Three of the four axes go away: images, rows, columns. The channels stay.",
        "alive = (z > 0).any(dim=3).any(dim=2).any(dim=0), then the numbers where it is False: "
        "(~alive).nonzero().flatten().tolist().",
    ),
    oracle=dead_units,
    cases=_maps,
    mistakes={
        _wrong_dead(lambda z: (z > 0).all(dim=3).all(dim=2).all(dim=0)):
            "you call a channel dead as soon as one of its values is 0 or less. It's dead only if "
            "all of them are: any, where you have all.",
        _wrong_dead(lambda z: (z > 0)[0].any(dim=2).any(dim=1)):
            "you looked at the first picture only. A channel that answers to a later one lives.",
        _wrong_dead(lambda z: z.mean(dim=(0, 2, 3)) > 0):
            "you looked at the mean or the sum. A channel may answer somewhere though that is "
            "negative.",
        _wrong_dead(lambda z: (z >= 0).any(dim=3).any(dim=2).any(dim=0)):
            "you count an input of exactly 0 as alive. ReLU makes 0 of it: it passes nothing on.",
        _wrong_dead(lambda z: (z != 0).any(dim=3).any(dim=2).any(dim=0)):
            "z comes before the ReLU, and there dead channels are negative. Ask for z > 0.",
        _wrong_dead(lambda z: (z > 0).any(dim=3).any(dim=2).all(dim=0)):
            "you call a channel dead as soon as one picture leaves it silent. It takes all.",
        _wrong_dead(lambda z: (z > 0)[:, :, 0, 0].any(dim=0)):
            "you looked at one position only, row 0 and column 0.",
        _wrong_dead(lambda z: (z > 0).any(dim=3).any(dim=2).any(dim=1)):
            "those are dead pictures: you kept the axis of images (0). Keep the channels, axis 1.",
        (lambda z: [1 + number for number in dead_units(z)]):
            "you counted the channels from 1. Count from 0.",
        (lambda z: (z > 0).any(dim=3).any(dim=2).any(dim=0).nonzero().flatten().tolist()):
            "those are the channels that live. The dead are the others: ~ turns a mask around.",
    },
    lesson=(
        "Dead is said of a unit and a set of pictures: a unit that none of them wakes gets no "
        "gradient from them, so nothing in its own layer can bring it back."
    ),
    errors={
        "IndexError": "z has four axes: images 0, channels 1, rows 2, columns 3. Each any(dim=...) "
        "takes one away and renumbers those behind it; start with the last.",
    },
    where={
        lambda z: len(z) > 1: "It fails only where there is more than one picture.",
        lambda z: bool((z == 0).any()): "It fails only where a value is exactly 0.",
        lambda z: z.shape[2] * z.shape[3] > 1: "It fails only for maps larger than one position.",
    },
)  # fmt: skip


SLOPES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": lambda z: (z > 0).to(z),
    "tanh": lambda z: 1 - z.tanh() ** 2,
    "sigmoid": lambda z: z.sigmoid() * (1 - z.sigmoid()),
}
FUNCTIONS = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


def _chain(
    transposed: bool = True, backwards: bool = True, at_output: bool = False,
    slopes: Callable[[str], Callable] = SLOPES.__getitem__,
    functions: Callable[[str], Callable] = FUNCTIONS.__getitem__,
    slope_last: bool = True, slope_first: bool = True, weights_too: bool = True,
    after: bool = False,
) -> Callable:  # fmt: skip
    """Return deep_gradient, or with other arguments than the defaults something like it.

    transposed: W.T on the way back. backwards: from the last layer. at_output: slopes taken of a
    layer's output. slope_last, slope_first: of those layers. after: the slope multiplied only
    after the weights.
    """

    def gradient(name, x, weights, g):
        h, before = x, []
        for W in weights:
            before.append(h @ W)
            h = functions(name)(before[-1])
        layers = list(zip(before, weights, strict=True))
        for number, (z, W) in enumerate(layers[::-1] if backwards else layers):
            slope = slopes(name)(functions(name)(z) if at_output else z)
            last, first = number == 0, number == len(weights) - 1
            used = (slope_last or not last) and (slope_first or not first)
            if used and not after:
                g = g * slope
            if weights_too:
                g = g @ (W.T if transposed else W)
            if used and after:
                g = g * slope
        return g

    return gradient


deep_gradient = _chain()


def _stacks(rng: np.random.Generator) -> Iterator[tuple]:
    one = torch.tensor([[1.0]])
    yield "relu", 2 * one, torch.full((1, 1, 1), 3.0), one  # by hand: 3
    yield "sigmoid", 0 * one, torch.full((1, 1, 1), 2.0), one  # by hand: 1/4 of 2
    yield "tanh", one, torch.tensor([0.5, 2.0]).reshape(2, 1, 1), one
    for name in ("relu", "tanh", "sigmoid"):
        for depth in (1, 2, 5):
            N, D = int(rng.integers(1, 5)), int(rng.integers(2, 6))
            weights = _normal(rng, depth, D, D).double() / 2
            yield name, _normal(rng, N, D).double(), weights, _normal(rng, N, D).double()


def _without(name: str) -> Callable[[str], Callable]:
    return lambda given: torch.ones_like if given == name else SLOPES[given]


DEEP_GRADIENT = Exercise(
    name="deep_gradient",
    chapter="04",
    minutes=20,
    difficulty=3,
    question=(
        "A stack of L layers without biases: h starts as x of shape (N, D), and each W of weights, "
        "of shape (L, D, D), makes it f(h @ W), with f one of 'relu', 'tanh', 'sigmoid', as name "
        "says. g of shape (N, D) is the gradient of the loss by the last output. Walk back by "
        "hand, without autograd. Returns the gradient of the loss by x, of shape (N, D)."
    ),
    hints=(
        "Go forward first and keep z = h @ W of every layer: the slopes are needed on the way "
        "back.",
        "Back through one layer are two steps: g = g * slope(z), then g = g @ W.T. Start with the "
        "last layer.",
        "Slopes at z: z > 0 for ReLU, 1 - tanh(z) ** 2, and s * (1 - s) with s = sigmoid(z).",
    ),
    oracle=deep_gradient,
    cases=_stacks,
    mistakes={
        _chain(transposed=False):
            "on the way back you multiplied by W. Each number of h went out along a row of W, so "
            "its gradient is gathered along that row: g @ W.T.",
        _chain(backwards=False):
            "you walked through the layers in the order of the way forward. Back starts with the "
            "last one.",
        _chain(at_output=True):
            "you took the slopes at the layers' outputs. They belong to z = h @ W, before f.",
        _chain(slopes=lambda name: torch.ones_like):
            "the slopes are missing: back through f multiplies g by f's slope at z.",
        _chain(slopes=lambda name: FUNCTIONS[name]):
            "you multiplied g by f itself. The chain rule wants its slope at z.",
        _chain(weights_too=False):
            "the weights are missing: the slope is taken at z = h @ W, and after it comes "
            "g @ W.T.",
        _chain(slope_last=False):
            "you left out the slope of the last layer. It has an f as well.",
        _chain(slope_first=False):
            "you left out the slope of the first layer.",
        _chain(slopes=lambda name: SLOPES["relu"]):
            "you took ReLU's slope throughout. `name` says which one it is.",
        _chain(after=True):
            "the two steps are in the wrong order: on the way back f comes before W.",
        _chain(slopes=_without("sigmoid")):
            "sigmoid's slope is missing: s * (1 - s), with s = sigmoid(z).",
        _chain(slopes=_without("tanh")):
            "tanh's slope is missing: 1 - tanh(z) ** 2.",
        _chain(slopes=_without("relu")):
            "ReLU's slope is missing: 1 where z > 0, else 0.",
        _chain(slopes=lambda name: torch.sigmoid if name == "sigmoid" else SLOPES[name]):
            "sigmoid's slope is s * (1 - s); you wrote s alone.",
        _chain(slopes=lambda name: (lambda z: 1 - z.tanh()) if name == "tanh" else SLOPES[name]):
            "tanh's slope is 1 - tanh(z) ** 2; the square is missing.",
    },
    lesson=(
        "A gradient that walks back through a stack is multiplied by a slope and by weights at "
        "every layer: sigmoid's slope is a quarter at most, ReLU's is 1 or 0."
    ),
    errors={
        "KeyError": "The names are 'relu', 'tanh' and 'sigmoid'.",
    },
    forbidden=AUTOGRAD,
    where={
        lambda name, x, weights, g: name == "relu": "It is right but for ReLU.",
        lambda name, x, weights, g: name == "tanh": "It is right but for tanh.",
        lambda name, x, weights, g: name == "sigmoid": "It is right but for sigmoid.",
        lambda name, x, weights, g: len(weights) > 1:
            "It is right for one layer only: which z belongs to which layer?",
        lambda name, x, weights, g: len(x) > 1: "It is right for a single picture only.",
    },
)  # fmt: skip

EXERCISES = (RELU_BACKWARD, DEAD_UNITS, DEEP_GRADIENT)
