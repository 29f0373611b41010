"""Exercises on training and measuring: chapter 10."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from alexnet_lib.course.grading import Exercise

__all__ = ["EXERCISES"]


def training_hours(images: int, epochs: int, rate: float) -> float:
    return images * epochs / rate / 3600


def _budgets(rng: np.random.Generator) -> Iterator[tuple]:
    yield 3600, 1, 1.0  # one hour
    yield 7200, 3, 2.0
    yield 9469, 16, 50.0  # Imagenette on two cores
    yield 1_200_000, 90, 230.0  # the paper's
    for _ in range(6):
        images, epochs = int(rng.integers(100, 10**6)), int(rng.integers(1, 100))
        yield images, epochs, round(float(rng.uniform(5, 5000)), 1)


HOURS = Exercise(
    name="training_hours",
    chapter="10",
    minutes=3,
    difficulty=1,
    question=(
        "A set has a number of images, a run goes through all of them epochs times, and the "
        "machine manages rate images a second. How many hours does the run take? Returns a float."
    ),
    hints=(
        "How many images does the machine see in the whole run?",
        "Divide that by the rate: seconds. An hour has 3600.",
    ),
    oracle=training_hours,
    cases=_budgets,
    mistakes={
        (lambda images, epochs, rate: images * epochs / rate): "that's in seconds. Divide by 3600.",
        (lambda images, epochs, rate: images * epochs / rate / 60):
            "that's in minutes. An hour has 3600 seconds.",
        (lambda images, epochs, rate: images * epochs / rate / 86400):
            "that's in days. An hour has 3600 seconds.",
        (lambda images, epochs, rate: images / rate / 3600):
            "that's for one epoch. Every epoch sees all images.",
        (lambda images, epochs, rate: images * epochs * rate / 3600):
            "you multiplied by the rate. Twice the rate takes half the time: divide.",
        (lambda images, epochs, rate: float(images * epochs // rate // 3600)):
            "you rounded down on the way. / keeps the fraction, // doesn't.",
        (lambda images, epochs, rate: round(images * epochs / rate / 3600, 2)):
            "you rounded the result. Return all its digits, round when you print.",
    },
    lesson=(
        "1.2 million images, 90 epochs, 230 images a second: 130 hours, the paper's five to six "
        "days on two GPUs."
    ),
)  # fmt: skip


def top_k_error(logits: torch.Tensor, labels: torch.Tensor, k: int) -> float:
    ranks = (logits > logits.gather(1, labels[:, None])).sum(1)
    return (ranks >= k).double().mean().item()


def _scores(rng: np.random.Generator) -> Iterator[tuple]:
    small = torch.tensor([[3.0, 2.0, 1.0, 0.0], [0.0, 1.0, 2.0, 3.0], [1.0, 3.0, 0.0, 2.0]])
    yield small, torch.tensor([0, 3, 2]), 1
    yield small, torch.tensor([1, 3, 2]), 2
    yield small, torch.tensor([2, 0, 1]), 3
    yield small, torch.tensor([2, 0, 1]), 4  # every class counts: no error is possible
    yield small[:1], torch.tensor([1]), 1
    for N, classes, k in ((6, 6, 2), (20, 10, 5), (50, 12, 1), (40, 100, 5), (33, 7, 3)):
        order = [rng.permutation(classes) for _ in range(N)]  # no ties
        logits = torch.from_numpy(np.stack(order) / 2 - rng.uniform(0, 9, (N, 1))).float()
        yield logits, torch.from_numpy(rng.integers(0, classes, N)), k


def _missed(hit: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]) -> Callable:
    """Return an error rate from (order, labels, k) -> (N,) hits; order ranks the classes, best
    first."""
    return lambda logits, labels, k: 1 - hit(
        logits.argsort(1, descending=True), labels[:, None], k
    ).double().mean().item()  # fmt: skip


TOP_K = Exercise(
    name="top_k_error",
    chapter="10",
    minutes=8,
    difficulty=2,
    question=(
        "A network gives logits (N, classes); labels (N,) holds the right classes. A picture "
        "counts as wrong if its label isn't among the k classes with the highest logits. "
        "Returns the share of wrong pictures as a float from 0 to 1."
    ),
    hints=(
        "logits.topk(k, dim=1).indices gives the k best classes of every picture: (N, k).",
        "Compare with labels[:, None]: broadcasting gives (N, k) of True and False.",
        "A picture is right if any of its k is True: .any(dim=1). The error is 1 minus their mean.",
    ),
    oracle=top_k_error,
    cases=_scores,
    mistakes={
        (lambda logits, labels, k: 1 - top_k_error(logits, labels, k)):
            "that's the accuracy: the share that is right. The error is 1 minus it.",
        (lambda logits, labels, k: 100 * top_k_error(logits, labels, k)):
            "that's in percent. Return a share from 0 to 1.",
        (lambda logits, labels, k: len(labels) * top_k_error(logits, labels, k)):
            "that's the number of wrong pictures. Divide it by N.",
        (lambda logits, labels, k: 100 * (1 - top_k_error(logits, labels, k))):
            "that's the accuracy in percent. The error is a share of 1, and counts the wrong ones.",
        _missed(lambda order, labels, k: order[:, k - 1 : k] == labels):
            "you looked at the k-th best class only. Any of the k best counts.",
        _missed(lambda order, labels, k: (order[:, -k:] == labels).any(1)):
            "you took the k lowest logits. The highest count: sort descending, or use topk.",
        _missed(lambda order, labels, k: order[:, :1] == labels):
            "that's the top-1 error whatever k is. Any of the k best classes counts.",
        _missed(lambda order, labels, k: (order[:, : k + 1] == labels).any(1)):
            "you looked at k + 1 classes. Slices leave out their end: order[:, :k] holds k.",
        _missed(lambda order, labels, k: (order[:, : k - 1] == labels).any(1)):
            "you looked at k - 1 classes.",
        (lambda logits, labels, k: 1 - (logits.topk(min(k, logits.shape[1])).indices
                                        == labels[:, None]).double().mean().item()):
            "you averaged over all N x k comparisons. Ask first: is any of a picture's k right?",
    },
    lesson=(
        "Top-5 forgives a network that takes one of five dogs for another: with 1000 classes it is "
        "the fairer measure, and the paper reports both."
    ),
    errors={
        "RuntimeError": "Comparing (N, k) with (N,) doesn't broadcast: labels[:, None] is (N, 1).",
    },
)  # fmt: skip


def ten_crop_average(logits: torch.Tensor) -> torch.Tensor:
    return logits.softmax(dim=2).mean(dim=1)


def _views(rng: np.random.Generator) -> Iterator[tuple]:
    for N, classes, scale in ((1, 2, 1), (1, 3, 3), (4, 5, 3), (10, 10, 3), (7, 1, 1), (10, 4, 2)):
        yield (torch.from_numpy(rng.normal(0, scale, (N, 10, classes)).round(2)).float(),)
    yield (torch.from_numpy(rng.normal(0, 2, (3, 10, 6))),)  # float64
    yield (torch.from_numpy(rng.normal(0, 300, (3, 10, 6))).float(),)  # exp(300) is infinite


def _naive_softmax(logits: torch.Tensor) -> torch.Tensor:
    powers = logits.exp()
    return (powers / powers.sum(2, keepdim=True)).mean(1)


TEN_CROP = Exercise(
    name="ten_crop_average",
    chapter="10",
    minutes=10,
    difficulty=3,
    question=(
        "A network has seen ten views of each picture and gives logits (N, 10, classes). Average "
        "its predictions as the paper does (section 4.1): the probabilities, not the logits. "
        "Returns a tensor (N, classes), each row summing to 1."
    ),
    hints=(
        "Two steps: a softmax, then a mean. Each along which axis?",
        "Probabilities sum to 1 over the classes (axis 2); the views are axis 1.",
    ),
    oracle=ten_crop_average,
    cases=_views,
    mistakes={
        (lambda logits: logits.mean(1).softmax(1)):
            "you averaged the logits and then took the softmax. The paper averages probabilities: "
            "softmax first. Your way a single very sure view can outvote the other nine.",
        (lambda logits: logits.mean(1)):
            "the softmax is missing: these are mean logits, not probabilities.",
        (lambda logits: logits.softmax(2)):
            "the mean over the ten views is missing: .mean(1) after the softmax.",
        (lambda logits: logits.softmax(2).sum(1)):
            "you summed over the views. The mean of ten keeps each row's sum at 1.",
        (lambda logits: logits.softmax(1).mean(1)):
            "your softmax runs over the views (axis 1). Probabilities sum to 1 over the classes.",
        (lambda logits: logits.softmax(0).mean(1)):
            "your softmax runs over the pictures (axis 0). Rows sum to 1 over the classes.",
        (lambda logits: logits.softmax(2).mean(0)):
            "you averaged over the pictures (axis 0). The views are axis 1.",
        (lambda logits: logits.softmax(2).mean(2)):
            "you averaged over the classes (axis 2). The views are axis 1.",
        (lambda logits: logits.flatten(1).softmax(1).unflatten(1, logits.shape[1:]).sum(1)):
            "your softmax runs over views and classes at once; each view has its own.",
        (lambda logits: logits.softmax(2).amax(1)):
            "you took the largest probability of the ten views. The paper averages.",
        (lambda logits: logits.softmax(2)[:, 0]):
            "you used the first view alone.",
        (lambda logits: logits.log_softmax(2).mean(1)):
            "you averaged log-probabilities. The paper averages the probabilities.",
        (lambda logits: logits.softmax(2).mean(1, keepdim=True)):
            "keepdim leaves an axis of size 1 behind. The result is (N, classes).",
        (lambda logits: logits.softmax(2).mean(1).argmax(1)):
            "you went on to the best class. Return the probabilities.",
        _naive_softmax:
            "exp of a large logit is infinite, and infinity / infinity is NaN. Subtract each "
            "view's largest logit first, or let softmax do it.",
    },
    lesson=(
        "Ten views vote with their probabilities, each at most 1, so no single view can outvote "
        "the other nine; in the paper this was worth 1.5 points of top-1 error."
    ),
)  # fmt: skip

EXERCISES = (HOURS, TOP_K, TEN_CROP)
