"""Chapter 1's exercises: bad answers that no list foresees, and what they are told."""

from __future__ import annotations

import pytest
import torch

from alexnet_lib.course import checks, grading
from alexnet_lib.course.exercises import EXERCISES


def verdict(name, answer) -> str:
    found = grading.judge(EXERCISES[name], answer)
    return "\n".join([f"{found.status}: ", *found.lines])


def test_strict_counting_agrees_with_topk_where_nothing_ties():
    scores = torch.randn(50, 12, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(50) % 12
    best = scores.topk(5, dim=1).indices
    share = (best == labels[:, None]).any(dim=1).double().mean().item()
    assert checks.solution_function("strict_top_k")(scores, labels, 5) == pytest.approx(share)


def test_a_dead_network_is_right_only_where_every_class_is_a_guess():
    strict = checks.solution_function("strict_top_k")
    scores, labels = torch.zeros(3, 4), torch.tensor([0, 1, 3])
    assert [strict(scores, labels, k) for k in (1, 3, 4)] == [0, 0, 1]


def generous(scores, labels, k):
    own = scores.gather(1, labels[:, None])
    return ((scores > own).sum(dim=1) < k).double().mean().item()


def points(before, after):
    return before - after


def square_only(patch, bins):
    right = EXERCISES["orientation_histogram"].oracle(patch, bins)
    return right if patch.shape[0] == patch.shape[1] else right + 1


def as_list(patch, bins):
    return EXERCISES["orientation_histogram"].oracle(patch, bins).tolist()


def unsigned_lost(patch, bins):
    gx = patch[1:-1, 2:] - patch[1:-1, :-2]
    gy = patch[2:, 1:-1] - patch[:-2, 1:-1]
    number = (torch.rad2deg(torch.atan2(gy, gx)) % 360 * bins / 360).long()
    strength = torch.hypot(gx, gy)
    return torch.stack([strength[number == b].sum() for b in range(bins)])


def histogram(patch, bins, width=None, start=1, finish=lambda votes: votes):
    """A learner's loop over pixels. width: of a bin; start: 0 for differences to the pixel."""
    votes = patch.new_zeros(bins)
    for row in range(1, patch.shape[0] - 1):
        for column in range(1, patch.shape[1] - 1):
            gx = patch[row, column + 1] - patch[row, column - start]
            gy = patch[row + 1, column] - patch[row - start, column]
            number = int(torch.rad2deg(torch.atan2(gy, gx)) % 180 / (width or 180 / bins))
            if number < bins:
                votes[number] += torch.hypot(gx, gy)
    return finish(votes)


def neighbours(patch, bins):
    gx, gy = patch.diff(dim=1)[:-1], patch.diff(dim=0)[:, :-1]
    number = (torch.rad2deg(torch.atan2(gy, gx)) % 180 * bins / 180).long()
    return torch.stack([torch.hypot(gx, gy)[number == b].sum() for b in range(bins)])


def counted(scores, labels, k):
    own = scores.gather(1, labels[:, None])
    return float((((scores >= own).sum(dim=1) - 1) < k).sum())


def counted_whole(scores, labels, k):
    return int(counted(scores, labels, k))


def test_the_loop_that_the_bad_answers_vary_is_right():
    assert verdict("orientation_histogram", histogram).startswith("passed")


@pytest.mark.parametrize("name, answer, line", [
    ("strict_top_k", counted, "that's a count of pictures"),
    ("strict_top_k", counted_whole, "that's a count of pictures"),
    ("orientation_histogram", lambda patch, bins: histogram(patch, bins, width=20),
     "Probably: your bins stay 20 degrees wide"),
    ("orientation_histogram", lambda patch, bins: histogram(patch, bins, start=0),
     "Probably: your differences are between direct neighbours"),
    ("orientation_histogram", neighbours,
     "Probably: your differences are between direct neighbours"),
    *(("orientation_histogram", lambda patch, bins, f=f: histogram(patch, bins, finish=f),
       f"Probably: you divided by {what}") for f, what in (
        (lambda votes: votes / votes.sum(), "the sum"),
        (lambda votes: votes / (votes.sum() + 1e-8), "the sum"),
        (lambda votes: votes / votes.norm(), "the histogram's length"),
        (lambda votes: votes / (votes.norm() + 1e-12), "the histogram's length"),
        (lambda votes: votes / votes.max(), "the largest bin"),
     )),
    ("error_removed", points, "those are points, the plain difference"),
    ("error_removed", lambda before, after: f"{before - after}%", "the result should be"),
    ("strict_top_k", generous, "your label gets the best place among equals"),
    ("strict_top_k", lambda scores, labels, k: scores.topk(k).indices, "should be a float"),
    ("orientation_histogram", square_only, "It fails only where patches are not square"),
    ("orientation_histogram", as_list, "the result should be a torch tensor"),
    ("orientation_histogram", unsigned_lost, "your bins span the full turn"),
])  # fmt: skip
def test_bad_answer_gets_its_own_line(name, answer, line):
    said = verdict(name, answer)
    assert said.startswith("failed: ") and line in said, said
