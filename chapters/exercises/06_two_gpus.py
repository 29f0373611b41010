"""Exercises on a network split over two GPUs: parameters, crossings, one sum. Chapter 06."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F

from alexnet_lib.course.grading import Exercise

__all__ = ["EXERCISES"]


def grouped_parameters(inputs: int, outputs: int, kernel: int, groups: int) -> int:
    return outputs * (inputs // groups) * kernel**2 + outputs


def _convolutions(rng: np.random.Generator) -> Iterator[tuple[int, ...]]:
    yield 4, 6, 1, 2  # 6 kernels that read 2 channels each: 12 weights, 6 biases
    yield 4, 6, 3, 1
    yield 96, 256, 5, 2  # conv2
    yield 256, 384, 3, 1  # conv3
    yield 384, 384, 3, 2  # conv4
    yield 384, 256, 3, 2  # conv5
    yield 8, 8, 3, 8  # a kernel a channel
    for _ in range(8):
        groups = int(rng.integers(1, 5))
        inputs, outputs = (groups * int(rng.integers(1, 9)) for _ in range(2))
        yield inputs, outputs, int(rng.integers(1, 8)), groups


GROUPED_PARAMETERS = Exercise(
    name="grouped_parameters",
    chapter="06",
    minutes=5,
    difficulty=1,
    question=(
        "A convolution reads `inputs` channels and gives `outputs`, with windows of kernel x "
        "kernel. In `groups` groups, each group of outputs reads its own share of the inputs. How "
        "many weights and biases has it? Returns an int."
    ),
    hints=(
        "Think of one kernel. How many channels does it read, if the inputs are shared out?",
        "One kernel has inputs // groups * kernel * kernel weights. There are `outputs` kernels.",
        "Each kernel has one bias, whatever the groups: + outputs.",
    ),
    oracle=grouped_parameters,
    cases=_convolutions,
    mistakes={
        (lambda inputs, outputs, kernel, groups: outputs * inputs * kernel**2 + outputs):
            "the groups are left out: a kernel reads inputs // groups channels, not all of them.",
        (lambda inputs, outputs, kernel, groups: outputs * (inputs // groups) * kernel**2):
            "the biases are missing: one for each of the outputs.",
        (lambda inputs, outputs, kernel, groups:
            outputs // groups * (inputs // groups) * kernel**2 + outputs // groups):
            "that's one group. There are `groups` of them.",
        (lambda inputs, outputs, kernel, groups:
            outputs // groups * (inputs // groups) * kernel**2 + outputs):
            "you divided twice. Each kernel reads fewer channels, but there are still `outputs` "
            "kernels.",
        (lambda inputs, outputs, kernel, groups: outputs * (inputs // groups) * kernel + outputs):
            "the window has two sides: kernel * kernel weights for each channel.",
        (lambda inputs, outputs, kernel, groups:
            outputs * (inputs // groups) * kernel**2 + outputs * groups):
            "a kernel has one bias, not one a group.",
        (lambda inputs, outputs, kernel, groups:
            outputs * (inputs // groups) * kernel**2 + outputs // groups):
            "the biases aren't shared out: each of the outputs has one.",
        (lambda inputs, outputs, kernel, groups: outputs * (inputs // groups * kernel**2 + groups)):
            "a kernel has one bias, not one a group.",
        (lambda inputs, outputs, kernel, groups: outputs * (inputs * groups) * kernel**2 + outputs):
            "you multiplied by the groups. More groups mean fewer weights: divide.",
    },
    lesson="Two groups halve a layer's weights, and its arithmetic with them; its biases stay.",
    errors={"TypeError": "All four inputs are whole numbers; the result is one as well."},
    where={
        lambda inputs, outputs, kernel, groups: groups > 1: "It fails only with several groups.",
        lambda inputs, outputs, kernel, groups: kernel > 1: "It fails only for kernels above 1.",
    },
)  # fmt: skip


def crossing_bytes(sizes: list[int], both: list[int], batch: int) -> int:
    crossing = sum(
        size if index < len(sizes) - 1 else size // 2
        for index, (size, reads) in enumerate(zip(sizes, both, strict=True)) if reads
    )
    return 2 * batch * 4 * crossing


def _networks(rng: np.random.Generator) -> Iterator[tuple[list[int], list[int], int]]:
    yield [100, 20], [1, 1], 1  # 50 numbers each way, then 10 one way; forward and backward
    yield [100, 20], [1, 0], 1
    yield [100, 20], [0, 1], 1  # the last: 10 numbers, one way
    yield [100, 20], [0, 0], 1
    yield [100, 50, 20], [1, 1, 0], 3
    # what conv2 to conv5 and fc6 to fc8 of AlexNet read
    sizes = [69984, 43264, 64896, 64896, 9216, 4096, 4096]
    yield sizes, [0, 1, 0, 0, 1, 1, 1], 1
    yield sizes, [0, 1, 0, 0, 1, 1, 1], 128
    yield sizes, [0] * 6 + [1], 128  # towers that meet at the end
    yield sizes, [1] * 7, 16
    for _ in range(6):
        count = int(rng.integers(2, 6))
        yield (
            [2 * int(n) for n in rng.integers(1, 500, count)],
            [int(n) for n in rng.integers(0, 2, count)],
            int(rng.integers(2, 64)),
        )


def _crossing(
    factor: Callable[[int], float] = lambda batch: 8 * batch, last: float = 0.5,
    share: float = 1.0, only: Callable[[int], bool] = bool,
) -> Callable:  # fmt: skip
    """Return crossing_bytes with something changed: factors, shares, which layers count."""

    def wrong(sizes, both, batch):
        ends = len(sizes) - 1
        total = sum(
            size * (share if index < ends else last)
            for index, (size, reads) in enumerate(zip(sizes, both, strict=True)) if only(reads)
        )
        return int(factor(batch) * total)

    return wrong


CROSSING_BYTES = Exercise(
    name="crossing_bytes",
    chapter="06",
    minutes=10,
    difficulty=2,
    question=(
        "A network on two GPUs. Layer i reads sizes[i] numbers of a picture, half of them from "
        "each GPU; both[i] is 1 where its two halves read both GPUs, 0 where each reads its own. "
        "The last layer lies whole on GPU 0. How many bytes cross in one training step, forward "
        "and backward together, with `batch` pictures and 4 bytes a number? Returns an int."
    ),
    hints=(
        "A layer whose halves read both: GPU 0 sends sizes[i] / 2 numbers, GPU 1 sends as many. "
        "A layer that reads its own tower sends nothing.",
        "The last layer is on GPU 0: its own half is there, only GPU 1's half travels.",
        "Backward, the gradient of each number that crossed goes back: twice as much in all. Then "
        "times 4 bytes, times batch.",
    ),
    oracle=crossing_bytes,
    cases=_networks,
    mistakes={
        _crossing(factor=lambda batch: 4 * batch):
            "that is half. Either backward is missing, or only one GPU's half is counted: both "
            "send, and the gradients of what crossed go back the same way.",
        _crossing(last=1.0):
            "the last layer lies whole on GPU 0. Only GPU 1's half has to travel there.",
        _crossing(factor=lambda batch: 4 * batch, last=1.0):
            "either backward is missing and the last layer, which gets GPU 1's half only, counts "
            "whole; or only one GPU's half is counted everywhere.",
        _crossing(factor=lambda batch: 8):
            "the batch is left out: each picture has maps of its own.",
        _crossing(factor=lambda batch: 2 * batch):
            "that counts numbers. Each takes 4 bytes.",
        _crossing(share=2.0):
            "each half crosses once: sizes[i] numbers in all, not twice as many.",
        _crossing(share=2.0, last=1.0):
            "each half crosses once: sizes[i] numbers in all, not twice as many.",
        _crossing(last=0.0):
            "the last layer reads GPU 1's half as well, and that has to travel.",
        _crossing(only=lambda reads: True):
            "a layer that reads its own tower needs nothing from the other one. Look at both[i].",
        _crossing(only=lambda reads: not reads):
            "you counted the layers that do not read both.",
    },
    lesson=(
        "The paper's network moves 234,496 bytes a picture forward and as many back: more "
        "pictures, more to move, while the size of the gradients never changes."
    ),
    errors={
        "IndexError": "sizes and both have one entry a layer: the last is sizes[-1].",
        "TypeError": "sizes and both are lists of the same length, batch a whole number.",
    },
    where={
        lambda sizes, both, batch: both[-1]:
            "It fails only where the last layer reads both: it lies whole on GPU 0.",
        lambda sizes, both, batch: batch > 1: "It fails only with more than one picture.",
    },
)  # fmt: skip


def conv_of_both(
    own: torch.Tensor, other: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    here = own.shape[1]
    y = F.conv2d(own, weight[:, :here], bias, padding=1)
    return y + F.conv2d(other, weight[:, here:], padding=1)


def _halves(rng: np.random.Generator) -> Iterator[tuple[torch.Tensor, ...]]:
    for N, here, there, K, H, W in (
        (1, 1, 1, 1, 3, 3), (1, 2, 2, 3, 4, 4), (2, 2, 2, 4, 5, 5), (1, 3, 3, 2, 4, 7),
        (3, 2, 2, 2, 6, 3), (1, 4, 4, 8, 6, 6), (1, 1, 3, 2, 4, 4), (2, 4, 2, 3, 3, 5),
    ):
        sizes = ((N, here, H, W), (N, there, H, W), (K, here + there, 3, 3), (K,))
        yield tuple(torch.from_numpy(rng.integers(-3, 4, size)).float() for size in sizes)
    sizes = ((1, 2, 4, 5), (1, 2, 4, 5), (3, 4, 3, 3), (3,))
    yield tuple(torch.from_numpy(rng.integers(-3, 4, size)).double() for size in sizes)


def _wrong_sum(
    first: Callable = lambda w, here: w[:, :here], second: Callable = lambda w, here: w[:, here:],
    biases: float = 1, padding: int = 1,
) -> Callable:  # fmt: skip
    """Return conv_of_both with something changed: the halves of the weights, biases, padding."""

    def wrong(own, other, weight, bias):
        here = own.shape[1]
        y = F.conv2d(own, first(weight, here), padding=padding)
        y = y + F.conv2d(other, second(weight, here), padding=padding)
        return y + biases * bias[:, None, None]

    return wrong


CONV_OF_BOTH = Exercise(
    name="conv_of_both",
    chapter="06",
    minutes=15,
    difficulty=3,
    question=(
        "conv3 reads both towers. GPU 0 holds the maps own (N, C, H, W) and got the other "
        "tower's, other (N, D, H, W), as a tensor of its own. weight is (K, C + D, 3, 3): the "
        "first C channels belong to own. bias is (K,). Compute the convolution with 1 zero around "
        "as the sum of two convolutions, one over each half, without joining the maps. Returns a "
        "tensor (N, K, H, W)."
    ),
    hints=(
        "A convolution sums over channels. A sum over C + D channels is a sum over the first C "
        "plus a sum over the other D.",
        "weight[:, :C] is what own meets, weight[:, C:] what other meets. C is own.shape[1].",
        "torch.nn.functional.conv2d(own, weight[:, :C], bias, padding=1) plus the same for other, "
        "without a bias.",
    ),
    oracle=conv_of_both,
    cases=_halves,
    mistakes={
        _wrong_sum(biases=2):
            "the bias is in it twice. Two convolutions, but one layer: one bias.",
        _wrong_sum(biases=0):
            "the bias is missing. It goes into one of the two convolutions.",
        _wrong_sum(biases=0.5):
            "half a bias: the two halves share one whole bias.",
        _wrong_sum(first=lambda w, here: w[:, here:], second=lambda w, here: w[:, :here]):
            "the halves of weight are swapped: the first C channels belong to own.",
        _wrong_sum(second=lambda w, here: w[:, :here]):
            "other meets own's weights. Its own are weight[:, C:].",
        _wrong_sum(second=lambda w, here: 0 * w[:, here:]):
            "the other tower's maps are left out.",
        _wrong_sum(first=lambda w, here: 0 * w[:, :here]):
            "the own maps are left out.",
        _wrong_sum(padding=0):
            "the zeros around are missing: padding=1 keeps the maps' size.",
        (lambda own, other, weight, bias: torch.relu(conv_of_both(own, other, weight, bias))):
            "there is no ReLU in the convolution; it comes after the sum.",
    },
    lesson=(
        "A layer over two towers is a sum, so each GPU can start with its own half while the "
        "other half is still on its way."
    ),
    errors={
        "RuntimeError": "If it's about channels: own has C, other D, weight C + D. Cut weight "
        "along its second axis.",
    },
    where={
        lambda own, other, weight, bias: own.shape[1] != other.shape[1]:
            "It fails only where the two halves differ in width: cut weight at own.shape[1].",
        lambda own, other, weight, bias: own.shape[2] != own.shape[3]:
            "It is right on square inputs only: somewhere height and width are taken for each "
            "other.",
        lambda own, other, weight, bias: own.shape[0] > 1:
            "It fails only with more than one picture: N comes first in the shape.",
        lambda own, other, weight, bias: own.dtype == torch.float64:
            "It fails only for float64: keep the type of own.",
    },
    forbidden=("cat", "concat", "concatenate", "hstack", "stack"),
    instead="which joins the two halves, and on a GPU that costs memory and time. Here they stay "
    "apart: add up two convolutions.",
    differentiable=("own", "other", "weight", "bias"),
)  # fmt: skip


EXERCISES = (GROUPED_PARAMETERS, CROSSING_BYTES, CONV_OF_BOTH)
