"""What a network takes for what: confusions counted, and its worst mistakes found.

Arrays in, arrays out; `mistake_pictures` draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Worst", "confusion", "most_confused", "sentence", "worst"]


def confusion(labels: np.ndarray, said: np.ndarray, classes: int) -> np.ndarray:
    """Count what is taken for what: (classes, classes), a row for each right answer.

    labels: (N,) the right classes. said: (N,) the network's. In row i and column j stands how
    many pictures of class i were called j, so what is right lies on the diagonal.
    Raises ValueError where the two differ in length or a number is no class.
    """
    right, answers = np.asarray(labels, dtype=np.int64), np.asarray(said, dtype=np.int64)
    if right.shape != answers.shape or right.ndim != 1:
        raise ValueError(
            f"labels has shape {right.shape} and said {answers.shape}; give one answer a picture."
        )
    for name, values in (("labels", right), ("said", answers)):
        if values.size and not (values.min() >= 0 and values.max() < classes):
            strange = int(values[(values < 0) | (values >= classes)][0])
            raise ValueError(f"{name} holds {strange}; the classes are 0 to {classes - 1}.")
    counts = np.bincount(right * classes + answers, minlength=classes * classes)
    return counts.reshape(classes, classes)


def most_confused(matrix: np.ndarray, count: int = 3) -> list[tuple[int, int, int]]:
    """Return the commonest mistakes as (right class, what was said, how many), commonest first.

    Of equally common ones the lower class comes first; what never happened isn't listed.
    """
    wrong = np.array(matrix)
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    places = [divmod(int(place), len(wrong)) for place in order]
    return [(i, j, int(wrong[i, j])) for i, j in places if wrong[i, j]]


def sentence(matrix: np.ndarray, classes: Sequence[str], count: int = 2) -> str:
    """Say in words how many are right, which class is hardest and what is confused most."""
    counts = np.asarray(matrix)
    total, right = int(counts.sum()), int(np.trace(counts))
    if not total:
        return "There are no pictures to judge by."
    line = f"{right:,} of {total:,} pictures are named rightly ({right / total:.1%})."
    there = counts.sum(axis=1)
    shares = np.divide(np.diag(counts), there, out=np.full(len(counts), np.inf), where=there > 0)
    hardest = int(shares.argmin())
    line += f" Hardest is {classes[hardest]}, with {shares[hardest]:.0%} right."
    common = [
        f"{classes[i]} taken for {classes[j]} ({times:,} times)"
        for i, j, times in most_confused(counts, count)
    ]
    return f"{line} Commonest: {', then '.join(common)}." if common else line


@dataclass(frozen=True)
class Worst:
    """Pictures that a network got wrong, the surest first.

    places: (M,) which pictures. right, said: (M,) the right class and the network's.
    sure: (M,) the probability that it gave its own answer. given: (M,) what it gave the right one.
    """

    places: np.ndarray
    right: np.ndarray
    said: np.ndarray
    sure: np.ndarray
    given: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    def lines(self, classes: Sequence[str]) -> list[str]:
        """Return two lines for below each picture: what the network says, and what it is."""
        return [
            f"says {classes[said]}, {sure:.0%}\nis {classes[right]}, {given:.0%}"
            for right, said, sure, given in zip(
                self.right.tolist(), self.said.tolist(), self.sure, self.given, strict=True
            )
        ]


def worst(labels: np.ndarray, probabilities: np.ndarray, count: int = 8) -> Worst:
    """Find the mistakes that a network was surest of.

    labels: (N,). probabilities: (N, classes), as `evaluation.probabilities` gives them. count: at
    most so many; fewer where fewer are wrong. Raises ValueError for shapes that don't match.
    """
    right, shares = np.asarray(labels, dtype=np.int64), np.asarray(probabilities)
    if shares.ndim != 2 or right.shape != shares.shape[:1]:
        raise ValueError(
            f"labels has shape {right.shape}, probabilities {shares.shape}; they must be (N,) and "
            "(N, classes)."
        )
    said = shares.argmax(axis=1)
    every = np.arange(len(right))
    sure = shares[every, said]
    wrong = every[said != right]
    places = wrong[np.argsort(-sure[wrong], kind="stable")][:count]
    return Worst(places, right[places], said[places], sure[places], shares[places, right[places]])
