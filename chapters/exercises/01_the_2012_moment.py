"""Exercises on counting errors and on features made by hand: chapter 01."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from alexnet_lib.analysis import hog
from alexnet_lib.course.grading import Exercise
from alexnet_lib.datasets import ilsvrc_history

__all__ = ["EXERCISES"]


def error_removed(before: float, after: float) -> float:
    return ilsvrc_history.percent_removed(before, after)


def _pairs(rng: np.random.Generator) -> Iterator[tuple[float, float]]:
    yield 50.0, 25.0  # half of it is gone
    yield 26.172, 15.315  # 2012: the runner-up and the winner
    yield 25.77, 15.315
    yield 3.581, 3.567  # 2015: hardly anything between them
    yield 28.191, 25.77
    yield 10.0, 10.0
    yield 10.0, 0.0
    yield 5.0, 6.0  # the error rose
    for _ in range(6):
        yield round(float(rng.uniform(1, 60)), 2), round(float(rng.uniform(0, 60)), 2)


ERROR_REMOVED = Exercise(
    name="error_removed",
    chapter="01",
    minutes=3,
    difficulty=1,
    question=(
        "An error falls from `before` to `after`, both in percent of the pictures. Which share of "
        "the error is gone, in percent? Half of it gone is 50. A risen error gives a negative "
        "number. Returns a float."
    ),
    hints=(
        "From 50% to 25%: the difference is 25 points. What is that in percent of the 50?",
        "Divide the difference by what was there before, and multiply by 100.",
    ),
    oracle=error_removed,
    cases=_pairs,
    mistakes={
        (lambda before, after: before - after):
            "those are points, the plain difference. Asked is the share of the error before.",
        (lambda before, after: (before - after) / before):
            "that's a share of 1. Asked are percent: times 100.",
        (lambda before, after: 100 * (before - after) / after if after else 0.0):
            "you divided by the error after. What is gone is a part of what was there before.",
        (lambda before, after: 100 * (after - before) / before):
            "the sign is the other one: an error that falls gives a positive number.",
        (lambda before, after: 100 * after / before):
            "that's the share which is left. Asked is the share which is gone.",
        (lambda before, after: 100 * abs(before - after) / before):
            "a risen error must give a negative number; yours has lost its sign.",
        (lambda before, after: 100 * (before - after) / (100 - before)):
            "you divided by the pictures that were right. Divide by the error before.",
        (lambda before, after: 200 * (before - after) / (before + after)):
            "you divided by the mean of both. What is gone is a part of what was there before.",
    },
    lesson=(
        "From 26.2% to 15.3% two errors in five were gone; in points it's 10.9, and near 3% no "
        "such fall in points is possible any more."
    ),
    errors={"ZeroDivisionError": "Divide by the error before; it's never 0 here."},
    where={
        lambda before, after: after > before: "It fails only where the error rose.",
        lambda before, after: after == 0: "It fails only where no error is left.",
    },
)  # fmt: skip


def strict_top_k(scores: torch.Tensor, labels: torch.Tensor, k: int) -> float:
    own = scores.gather(1, labels[:, None])  # (N, 1)
    ahead = (scores >= own).sum(dim=1) - 1  # others that are level or higher
    return (ahead < k).double().mean().item()


def _scores(rng: np.random.Generator) -> Iterator[tuple]:
    yield torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]]), torch.tensor([0, 2]), 1  # no ties
    yield torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]]), torch.tensor([2, 0]), 2
    yield torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([0]), 1  # two share the first place
    yield torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([1]), 2
    yield torch.zeros(4, 6), torch.tensor([0, 1, 2, 5]), 5  # a network that says nothing
    yield torch.zeros(4, 6), torch.tensor([0, 1, 2, 5]), 6
    for size, k in ((8, 1), (8, 3), (10, 5), (12, 5), (5, 2)):
        scores = torch.from_numpy(rng.integers(0, 5, (9, size))).float()  # full of ties
        yield scores, torch.from_numpy(rng.integers(0, size, 9)), k
    yield torch.from_numpy(rng.normal(size=(20, 30))), torch.from_numpy(rng.integers(0, 30, 20)), 5


def _counted(right: Callable, finish: Callable = lambda right: right.double().mean()) -> Callable:
    """Return an answer that asks right(others above, others level, k) of each picture."""

    def wrong(scores, labels, k):
        own = scores.gather(1, labels[:, None])
        above, level = (scores > own).sum(dim=1), (scores == own).sum(dim=1) - 1
        return finish(right(above, level, k)).item()

    return wrong


def _strictly(above: torch.Tensor, level: torch.Tensor, k: int) -> torch.Tensor:
    return above + level < k


def _library_order(scores: torch.Tensor, labels: torch.Tensor, k: int) -> float:
    best = scores.topk(k, dim=1).indices
    return (best == labels[:, None]).any(dim=1).double().mean().item()


def _sorted_order(scores: torch.Tensor, labels: torch.Tensor, k: int) -> float:
    best = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
    return (best == labels[:, None]).any(dim=1).double().mean().item()


def _lowest(scores: torch.Tensor, labels: torch.Tensor, k: int) -> float:
    return strict_top_k(-scores, labels, k)


STRICT_TOP_K = Exercise(
    name="strict_top_k",
    chapter="01",
    minutes=12,
    difficulty=2,
    question=(
        "scores has the shape (N, C), labels (N,). A picture counts as right if fewer than k "
        "other classes score as high as its label, or higher: where scores tie, the label gets "
        "the worst place among equals. Returns the share of pictures that are right, a float."
    ),
    hints=(
        "The label's own score: scores.gather(1, labels[:, None]), of shape (N, 1).",
        "Compare all scores with it by >=, and count along the classes. The label itself is among "
        "those counted.",
        "Right is a picture with (scores >= own).sum(dim=1) - 1 < k.",
    ),
    oracle=strict_top_k,
    cases=_scores,
    mistakes={
        _counted(lambda above, level, k: above < k):
            "your label gets the best place among equals. A network that gives every class the "
            "same score would be right on every picture.",
        _library_order:
            "you leave ties to topk, which takes whichever it likes. Count the others instead.",
        _sorted_order:
            "you leave ties to the order of the classes: a label with a small number wins them.",
        _counted(lambda above, level, k: above + level + 1 < k):
            "you count the label among those ahead of it: take 1 off, or allow k.",
        _counted(lambda above, level, k: above + level <= k):
            "you allow one too many: k others ahead leave place k + 1 for the label.",
        _counted(_strictly, lambda right: right.double().sum()):
            "that's a count of pictures. Asked is their share: divide by N.",
        _counted(lambda above, level, k: above < k, lambda right: right.double().sum()):
            "that's a count of pictures, where the share is asked; and your label gets the best "
            "place among equals.",
        _counted(_strictly, lambda right: 1 - right.double().mean()):
            "that's the error. Asked is the share that is right.",
        _counted(lambda above, level, k: above + level < 1):
            "you look at the first place only. k is left out.",
        _counted(lambda above, level, k: above + level < 5):
            "you wrote 5 where k belongs.",
        _counted(_strictly, lambda right: 100 * right.double().mean()):
            "those are percent. Asked is a share of 1.",
        _lowest:
            "you took the lowest scores. A high score means that the network believes in a class.",
    },
    lesson=(
        "With ties settled in its favour, a dead network that gives all classes the same score "
        "looks perfect: settle them against it."
    ),
    errors={
        "RuntimeError": "gather wants labels as a column: labels[:, None], of shape (N, 1).",
        "IndexError": "labels has one number a picture, and scores one row a picture.",
    },
    where={
        lambda scores, labels, k: any(len(row.unique()) < len(row) for row in scores):
            "It fails only where scores tie.",
    },
)  # fmt: skip


def orientation_histogram(patch: torch.Tensor, bins: int) -> torch.Tensor:
    strength, direction = hog.gradients(patch.numpy())
    return _vote(strength[1:-1, 1:-1], direction[1:-1, 1:-1], bins)


def _vote(strength: np.ndarray, place: np.ndarray, bins: int, whole: float = 180) -> torch.Tensor:
    number = np.minimum((place * bins / whole).astype(np.int64), bins - 1)
    counts = np.bincount(number.ravel(), weights=strength.ravel(), minlength=bins)
    return torch.from_numpy(counts)


def _patches(rng: np.random.Generator) -> Iterator[tuple[torch.Tensor, int]]:
    corner = [[0, 0, 0], [0, 7, 3], [0, 4, 0]]  # one inner pixel: 3 to the right, 4 down
    yield torch.tensor(corner, dtype=torch.float64), 9
    yield torch.tensor(corner, dtype=torch.float64), 4
    yield torch.tensor(corner, dtype=torch.float64).flip(1), 9  # bright on the left: 126.9 degrees
    yield torch.tensor(corner, dtype=torch.float64).flip(0), 9
    steps = torch.arange(5.0, dtype=torch.float64).repeat(4, 1)
    yield steps, 9  # brighter to the right
    yield steps.flip(1), 9  # and to the left: the same direction
    yield torch.full((4, 4), 3.0, dtype=torch.float64), 6  # nothing changes
    for bins, height, width in ((9, 6, 6), (9, 8, 5), (4, 5, 9), (6, 10, 10), (1, 4, 4), (8, 7, 7)):
        yield _clear_of_edges(rng, bins, height, width), bins


def _clear_of_edges(rng: np.random.Generator, bins: int, height: int, width: int) -> torch.Tensor:
    """Draw a patch with no direction so near the edge between two bins that rounding decides."""
    while True:
        patch = rng.uniform(0, 9, (height, width)).round(2)
        _, direction = hog.gradients(patch)
        place = direction * bins / 180
        if np.abs(place - place.round()).min() > 1e-4:
            return torch.from_numpy(patch)


def _differences(patch: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return right minus left and below minus above of the inner pixels."""
    x = patch.numpy()
    return x[1:-1, 2:] - x[1:-1, :-2], x[2:, 1:-1] - x[:-2, 1:-1]


def _wrong_vote(
    strength: Callable = np.hypot,
    angle: Callable = lambda gx, gy: np.arctan2(gy, gx),
    whole: float = 180,
    finish: Callable = lambda votes, patch: votes,
    differences: Callable = _differences,
) -> Callable:
    """Return orientation_histogram with something changed."""

    def wrong(patch, bins):
        gx, gy = differences(patch)
        place = np.degrees(angle(gx, gy)) % whole
        return finish(_vote(strength(gx, gy), place, bins, whole), patch)

    return wrong


def _with_border(patch: torch.Tensor, bins: int) -> torch.Tensor:
    return _vote(*hog.gradients(patch.numpy()), bins)


def _to_the_next(patch: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    x = patch.numpy()
    return x[1:-1, 2:] - x[1:-1, 1:-1], x[2:, 1:-1] - x[1:-1, 1:-1]


def _from_the_last(patch: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    x = patch.numpy()
    return x[1:-1, 1:-1] - x[1:-1, :-2], x[1:-1, 1:-1] - x[:-2, 1:-1]


def _neighbours(patch: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the differences of neighbours at every pixel that has one on the right and below."""
    x = patch.numpy()
    return x[:-1, 1:] - x[:-1, :-1], x[1:, :-1] - x[:-1, :-1]


def _divided(by: Callable[[np.ndarray], float], empty: float = 1e-12) -> Callable:
    """Return a `finish` that divides a histogram by something; empty: what 0 counts as there."""

    def finish(votes: torch.Tensor, patch: torch.Tensor) -> torch.Tensor:
        return votes / torch.tensor(max(float(by(votes.numpy())), empty), dtype=votes.dtype)

    return finish


def _always_twenty(beyond: str) -> Callable:
    """Return orientation_histogram with bins of 20 degrees; beyond: what becomes of the rest."""

    def wrong(patch, bins):
        gx, gy = _differences(patch)
        place = np.degrees(np.arctan2(gy, gx)) % 180
        if beyond == "dropped":
            return _vote(np.hypot(gx, gy), place, max(bins, 9), 20 * max(bins, 9))[:bins]
        return _vote(np.hypot(gx, gy), place, bins, 20 * bins)

    return wrong


def _nearest_bin(patch: torch.Tensor, bins: int) -> torch.Tensor:
    gx, gy = _differences(patch)
    number = np.round(np.degrees(np.arctan2(gy, gx)) % 180 * bins / 180).astype(np.int64) % bins
    votes = np.bincount(number.ravel(), weights=np.hypot(gx, gy).ravel(), minlength=bins)
    return torch.from_numpy(votes)


ORIENTATION_HISTOGRAM = Exercise(
    name="orientation_histogram",
    chapter="01",
    minutes=20,
    difficulty=3,
    question=(
        "patch is a float64 tensor (H, W) of brightness. At every inner pixel take right minus "
        "left (gx) and below minus above (gy). Its strength is the length of (gx, gy), its "
        "direction the angle of (gx, gy) in degrees, modulo 180. Each pixel adds its strength to "
        "one of the equal bins from 0 to 180. patch.new_zeros(bins) makes empty bins of the "
        "patch's own type. Returns a float64 tensor of shape (bins,)."
    ),
    hints=(
        "Inner pixels, all at once: gx = patch[1:-1, 2:] - patch[1:-1, :-2], and gy likewise with "
        "rows.",
        "torch.atan2(gy, gx) gives radians between -pi and pi. torch.rad2deg(...) % 180 brings "
        "them to 0 up to 180, without a sign.",
        "The bin is (direction * bins / 180).long(). One loop over the bins: "
        "strength[number == b].sum().",
    ),
    oracle=orientation_histogram,
    cases=_patches,
    mistakes={
        **{
            _wrong_vote(finish=_divided(by, empty)):
                f"you divided by {what}. Here the histogram stays as it is."
            for by, what in ((np.sum, "the sum"), (np.linalg.norm, "the histogram's length"),
                             (np.max, "the largest bin"))
            for empty in (1e-12, 0.0)
        },
        **{
            _always_twenty(beyond):
                "your bins stay 20 degrees wide. That fits 9 bins only: a bin is 180 / bins wide."
            for beyond in ("dropped", "in the last bin")
        },
        _wrong_vote(strength=lambda gx, gy: (np.hypot(gx, gy) > 0).astype(float)):
            "every pixel votes with 1 in yours. It votes with its strength, so that noise counts "
            "for little.",
        _wrong_vote(strength=lambda gx, gy: gx**2 + gy**2):
            "you left out the square root: strength is the length of (gx, gy).",
        _wrong_vote(strength=lambda gx, gy: np.abs(gx) + np.abs(gy)):
            "you added the two differences. Strength is the length of (gx, gy).",
        _wrong_vote(whole=360):
            "your bins span the full turn. From dark to bright and from bright to dark count "
            "alike here: modulo 180.",
        _wrong_vote(angle=lambda gx, gy: np.arctan2(gx, gy)):
            "gx and gy have changed places: it's atan2(gy, gx).",
        _wrong_vote(angle=lambda gx, gy: np.arctan2(-gy, gx)):
            "your gy is above minus below. Rows are counted downwards: below minus above.",
        _wrong_vote(angle=lambda gx, gy: np.arctan2(np.abs(gy), np.abs(gx))):
            "you took the differences without their signs, so that / and \\ fall together.",
        _wrong_vote(finish=lambda votes, patch: votes / max((patch.shape[0] - 2), 1)
                    / max((patch.shape[1] - 2), 1)):
            "you took the mean over the pixels. Asked is the sum.",
        _with_border:
            "pixels at the border vote in yours. They lack a neighbour: only inner pixels count.",
        **{
            _wrong_vote(differences=differences):
                "your differences are between direct neighbours. Take right minus left, two "
                "pixels apart, at inner pixels only."
            for differences in (_to_the_next, _from_the_last, _neighbours)
        },
        _nearest_bin:
            "you rounded to the nearest bin. Bin 0 goes from 0 to 180 / bins: round down.",
    },
    lesson=(
        "That's one cell of SIFT and HOG. Every choice in it, from the half turn to the number of "
        "bins, was made by a person; a network's first layer makes such choices by itself."
    ),
    errors={
        "TypeError": "patch is a tensor: torch.atan2, torch.hypot, not math's.",
        "IndexError": "Bins are numbered 0 to bins - 1, and each is 180 / bins degrees wide.",
    },
    where={
        lambda patch, bins: patch.shape[0] != patch.shape[1]:
            "It fails only where patches are not square.",
        lambda patch, bins: bins != 9: "It fails only where there aren't 9 bins.",
    },
)  # fmt: skip

EXERCISES = (ERROR_REMOVED, STRICT_TOP_K, ORIENTATION_HISTOGRAM)
