"""Exercises on the whole network: parameters of a layer, MACs of each, all neurons. Chapter 07."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from alexnet_lib.course.grading import Exercise

__all__ = ["EXERCISES"]


def fc_parameters(channels: int, side: int, units: int) -> int:
    return units * (channels * side**2 + 1)


def _blocks(rng: np.random.Generator) -> Iterator[tuple[int, int, int]]:
    yield 2, 3, 4  # 18 numbers in, 4 units: 72 weights, 4 biases
    yield 1, 1, 1
    yield 256, 6, 4096  # fc6
    yield 4096, 1, 4096  # fc7
    yield 4096, 1, 1000  # fc8
    yield 256, 13, 4096  # fc6 without the last pooling
    for _ in range(8):
        yield int(rng.integers(1, 40)), int(rng.integers(1, 9)), int(rng.integers(2, 60))


FC_PARAMETERS = Exercise(
    name="fc_parameters",
    chapter="07",
    minutes=5,
    difficulty=1,
    question=(
        "A fully connected layer reads a block of `channels` maps of side x side, and has `units` "
        "outputs. How many weights and biases has it? Returns an int."
    ),
    hints=(
        "Each unit reads every number of the block. How many are these?",
        "The block holds channels * side * side numbers: so many weights has each unit.",
        "Each unit has one bias as well: units * (weights + 1).",
    ),
    oracle=fc_parameters,
    cases=_blocks,
    mistakes={
        (lambda channels, side, units: units * channels * side**2):
            "the biases are missing: each unit has one.",
        (lambda channels, side, units: units * (channels * side + 1)):
            "a map has two sides: side * side numbers in each channel.",
        (lambda channels, side, units: units * (side**2 + 1)):
            "that's one map. A unit reads all channels.",
        (lambda channels, side, units: units * (channels + 1)):
            "a unit reads every place of every map, not one number a channel.",
        (lambda channels, side, units: units * channels * side**2 + 1):
            "that's one bias for the whole layer. Each unit has its own.",
        (lambda channels, side, units: units * channels * side**2 + channels):
            "a bias belongs to an output, not to an input: there are `units` of them.",
        (lambda channels, side, units: units * (channels // 2 * side**2 + 1)):
            "you let each unit read one tower. A fully connected layer reads both.",
        (lambda channels, side, units: (units + 1) * channels * side**2):
            "the 1 is in the wrong place: one bias for each unit, units * (weights + 1).",
    },
    lesson=(
        "In AlexNet fc6 alone holds 62% of the parameters, since each of its 4,096 units reads "
        "9,216 numbers."
    ),
    errors={"TypeError": "All three inputs are whole numbers; the result is one as well."},
    where={
        lambda channels, side, units: side > 1: "It fails only for maps larger than 1 x 1.",
    },
)  # fmt: skip


def layer_macs(
    inputs: list[int], outputs: list[int], windows: list[int], groups: list[int], sides: list[int]
) -> list[int]:
    return [
        side**2 * n_out * (n_in // group) * window**2
        for n_in, n_out, window, group, side in zip(
            inputs, outputs, windows, groups, sides, strict=True
        )
    ]


def _layers(rng: np.random.Generator) -> Iterator[tuple[list[int], ...]]:
    yield [2], [3], [1], [1], [1]  # 3 outputs that read 2 numbers each: 6
    yield [2], [3], [1], [1], [4]
    yield [3], [4], [2], [1], [1]
    yield [4], [2], [3], [2], [5]
    yield (  # AlexNet
        [3, 96, 256, 384, 384, 256, 4096, 4096], [96, 256, 384, 384, 256, 4096, 4096, 1000],
        [11, 5, 3, 3, 3, 6, 1, 1], [1, 2, 1, 2, 2, 1, 1, 1], [55, 27, 13, 13, 13, 1, 1, 1],
    )
    for _ in range(6):
        count = int(rng.integers(2, 5))
        groups = [int(n) for n in rng.integers(1, 4, count)]
        inputs, outputs = ([n * int(rng.integers(1, 9)) for n in groups] for _ in range(2))
        windows, sides = ([int(n) for n in rng.integers(1, 8, count)] for _ in range(2))
        yield inputs, outputs, windows, groups, sides


def _one_by_one(macs: Callable[[int, int, int, int, int], int]) -> Callable:
    """Return layer_macs with another count for each layer."""
    return lambda *lists: [macs(*layer) for layer in zip(*lists, strict=True)]


LAYER_MACS = Exercise(
    name="layer_macs",
    chapter="07",
    minutes=10,
    difficulty=2,
    question=(
        "Count the MACs of each layer for one picture. Layer i reads inputs[i] channels and gives "
        "outputs[i] maps of sides[i] x sides[i], both over all its groups together. Its windows "
        "are windows[i] x windows[i], and it has groups[i] groups. (A fully connected layer has "
        "side 1.) Returns a list of ints, one a layer."
    ),
    hints=(
        "One output number costs as many MACs as its kernel has weights. How many are those?",
        "A kernel has inputs // groups * window * window weights.",
        "There are outputs * side * side output numbers, and each costs that much.",
    ),
    oracle=layer_macs,
    cases=_layers,
    mistakes={
        _one_by_one(lambda i, o, k, g, s: o * (i // g) * k**2):
            "those are the weights. Each weight is used at every place of the map: side * side "
            "times.",
        _one_by_one(lambda i, o, k, g, s: s**2 * o * i * k**2):
            "the groups are left out: a kernel reads inputs // groups channels.",
        _one_by_one(lambda i, o, k, g, s: s**2 * o * i * g * k**2):
            "you multiplied by the groups. Groups save work: a kernel reads inputs // groups "
            "channels.",
        _one_by_one(lambda i, o, k, g, s: s * o * (i // g) * k**2):
            "a map has two sides: side * side output numbers in each.",
        _one_by_one(lambda i, o, k, g, s: s**2 * o * (i // g) * k):
            "a window has two sides: window * window weights a channel.",
        _one_by_one(lambda i, o, k, g, s: s**2 * (o // g) * (i // g) * k**2):
            "you divided twice: each kernel reads fewer channels, but all outputs are there.",
        _one_by_one(lambda i, o, k, g, s: s**2 * o * k**2):
            "the input channels are missing: a kernel has weights for each channel that it reads.",
        _one_by_one(lambda i, o, k, g, s: s**2 * (i // g) * k**2):
            "that's one kernel. There are `outputs` of them.",
        _one_by_one(lambda i, o, k, g, s: 2 * s**2 * o * (i // g) * k**2):
            "you counted multiplications and additions apart. One MAC is both.",
        _one_by_one(lambda i, o, k, g, s: s**2 * o * ((i // g) * k**2 + 1)):
            "the bias is no MAC: nothing is multiplied by it.",
        (lambda *lists: [sum(layer_macs(*lists))]):
            "that's the sum over all layers. Give one number a layer.",
    },
    lesson=(
        "In AlexNet conv2 has the most: 223,948,800, nearly a third of all. The fully connected "
        "layers hold nearly all parameters and do a twelfth of the arithmetic."
    ),
    errors={
        "TypeError": "All five inputs are lists, one entry a layer. Go through them together, with "
        "zip or by index.",
        "IndexError": "All five lists are as long as there are layers.",
    },
    where={
        lambda inputs, outputs, windows, groups, sides: max(groups) > 1:
            "It fails only with groups.",
        lambda inputs, outputs, windows, groups, sides: max(sides) > 1:
            "It fails only for maps larger than 1 x 1.",
    },
)  # fmt: skip


def count_neurons(
    side: int, channels: list[int], windows: list[int], strides: list[int], paddings: list[int]
) -> int:
    total = 0
    for count, window, stride, padding in zip(channels, windows, strides, paddings, strict=True):
        side = (side + 2 * padding - window) // stride + 1
        total += count * side**2
    return total


def _stacks(rng: np.random.Generator) -> Iterator[tuple]:
    yield 5, [2], [3], [1], [0]  # one layer: 3 x 3 x 2
    yield 5, [2], [3], [2], [0]
    yield 5, [2, 3], [3, 1], [1, 1], [0, 0]
    yield 5, [2], [3], [1], [1]
    yield 7, [2, 0, 3], [3, 3, 2], [1, 2, 1], [0, 0, 0]  # the second is a pooling
    yield 8, [4, 0], [3, 2], [1, 2], [1, 0]
    yield (  # AlexNet at 227: conv1, pool1, conv2, pool2, conv3 to 5, pool5, fc6 to fc8
        227, [96, 0, 256, 0, 384, 384, 256, 0, 4096, 4096, 1000],
        [11, 3, 5, 3, 3, 3, 3, 3, 6, 1, 1], [4, 2, 1, 2, 1, 1, 1, 2, 1, 1, 1],
        [0, 0, 2, 0, 1, 1, 1, 0, 0, 0, 0],
    )
    for _ in range(7):
        layers = int(rng.integers(2, 4))
        yield (
            int(rng.integers(24, 60)),
            [int(n) for n in rng.integers(1, 20, layers - 1)] + [int(rng.integers(0, 9))],
            [int(n) for n in rng.integers(1, 6, layers)],
            [int(n) for n in rng.integers(1, 3, layers)],
            [int(n) for n in rng.integers(0, 2, layers)],
        )


def _counted(
    size: Callable[..., int] = lambda n, k, s, p: (n + 2 * p - k) // s + 1,
    pooled: bool = False, numbers: Callable[[int, int], int] = lambda count, side: count * side**2,
    moves: bool = True, only_last: bool = False,
) -> Callable:  # fmt: skip
    """Return count_neurons with something changed."""

    def wrong(side, channels, windows, strides, paddings):
        total, before = 0, 0
        for count, *layer in zip(channels, windows, strides, paddings, strict=True):
            if moves or count:
                side = size(side, *layer)
            held = numbers(count or (before if pooled else 0), side)
            total = held if only_last else total + held
            before = count or before
        return int(total)

    return wrong


COUNT_NEURONS = Exercise(
    name="count_neurons",
    chapter="07",
    minutes=15,
    difficulty=3,
    question=(
        "A network reads a picture of side x side. Layer i has channels[i] maps, windows of "
        "windows[i], a stride strides[i] and paddings[i] zeros on each side; sizes are rounded "
        "down. Where channels[i] is 0 the layer is a pooling: it changes the maps' size, and has "
        "no neurons of its own. A fully connected layer comes as a convolution whose window is as "
        "large as what it reads, with stride 1: its side is then 1. How many neurons has the "
        "network, that is, outputs of the layers that aren't poolings? The picture isn't counted. "
        "Returns an int."
    ),
    hints=(
        "Follow the side through the layers: (side + 2 * padding - window) // stride + 1, pooling "
        "included.",
        "A layer with C maps of side x side has C * side * side neurons.",
        "Where channels[i] is 0 that product is 0, so a pooling needs no if: it only changes side.",
    ),
    oracle=count_neurons,
    cases=_stacks,
    mistakes={
        _counted(moves=False):
            "poolings change the size as well: the layers after them have smaller maps.",
        _counted(pooled=True):
            "you counted the poolings' outputs too. They have no neurons of their own.",
        _counted(numbers=lambda count, side: count * side):
            "a map has two sides: side * side neurons in each.",
        _counted(numbers=lambda count, side: count):
            "that counts maps. A neuron is one number of a map: side * side in each.",
        _counted(size=lambda n, k, s, p: (n + p - k) // s + 1):
            "the padding is on both sides: 2 * padding.",
        _counted(size=lambda n, k, s, p: (n - k) // s + 1):
            "the padding is left out: side + 2 * padding.",
        _counted(size=lambda n, k, s, p: (n + 2 * p - k) // s):
            "one place is missing: the first window starts at 0, so + 1.",
        _counted(size=lambda n, k, s, p: -((k - n - 2 * p) // s) + 1):
            "you rounded up. A window that would stick out is dropped here.",
        _counted(only_last=True):
            "that's the last layer alone. Sum over all of them.",
        (lambda side, *lists: count_neurons(side, *lists) + 3 * side**2):
            "you counted the picture as well. Its numbers are no neurons.",
    },
    lesson=(
        "AlexNet has 659,272, the paper's 650,000. Figure 2 prints 253,440 for the first layer, "
        "55 x 48 x 96: one side of its maps is off."
    ),
    errors={
        "TypeError": "side is a whole number, the other four are lists, one entry a layer.",
        "IndexError": "All four lists are as long as there are layers.",
    },
    where={
        lambda side, channels, windows, strides, paddings: 0 in channels:
            "It fails only with poolings, where channels[i] is 0.",
        lambda side, channels, windows, strides, paddings: any(paddings):
            "It fails only with padding.",
    },
)  # fmt: skip


EXERCISES = (FC_PARAMETERS, LAYER_MACS, COUNT_NEURONS)
