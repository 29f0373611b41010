"""Every exercise of the course by name, in the order of the chapters.

What an exercise asks is data in chapters/exercises/, a file a chapter, each with a list EXERCISES.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from .._errors import unknown_name
from .._files import ROOT
from .grading import Exercise

__all__ = ["EXERCISES", "find", "read_module"]


def read_module(path: Path) -> ModuleType:
    """Run a Python file whose name may begin with a digit, and return it as a module."""
    specification = importlib.util.spec_from_file_location(f"chapter_{path.stem}", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


EXERCISES: dict[str, Exercise] = {
    exercise.name: exercise
    for path in sorted((ROOT / "chapters" / "exercises").glob("*.py"))
    for exercise in read_module(path).EXERCISES
}


def find(name: str) -> Exercise:
    """Return the exercise called `name`; ValueError with the nearest name for an unknown one."""
    if not isinstance(name, str) or name not in EXERCISES:
        raise unknown_name("exercise", name, EXERCISES)
    return EXERCISES[name]
