"""Every exercise of the course by name, in the order of the chapters."""

from __future__ import annotations

from . import (
    exercises_contest,
    exercises_conventions,
    exercises_inside,
    exercises_lrn,
    exercises_network,
    exercises_overfitting,
    exercises_pooling,
    exercises_recipe,
    exercises_relu,
    exercises_sizes,
    exercises_towers,
    exercises_training,
    exercises_windows,
)
from .judging import Exercise
from .paper import unknown_name

__all__ = ["EXERCISES", "find"]

EXERCISES: dict[str, Exercise] = {
    exercise.name: exercise
    for exercise in (
        *exercises_sizes.EXERCISES,
        *exercises_contest.EXERCISES,
        *exercises_windows.EXERCISES,
        *exercises_pooling.EXERCISES,
        *exercises_relu.EXERCISES,
        *exercises_lrn.EXERCISES,
        *exercises_conventions.EXERCISES,
        *exercises_towers.EXERCISES,
        *exercises_network.EXERCISES,
        *exercises_overfitting.EXERCISES,
        *exercises_recipe.EXERCISES,
        *exercises_training.EXERCISES,
        *exercises_inside.EXERCISES,
    )
}


def find(name: str) -> Exercise:
    """Return the exercise called `name`; ValueError with the nearest name for an unknown one."""
    if not isinstance(name, str) or name not in EXERCISES:
        raise unknown_name("exercise", name, EXERCISES)
    return EXERCISES[name]
