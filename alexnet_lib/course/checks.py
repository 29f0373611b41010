"""Exercises for the learner: check an answer, take a hint, read the solution, see one's progress.

    checks.check("lrn", my_lrn)

prints a verdict and never raises. What was passed is kept in `learner/progress.json`.
"""

from __future__ import annotations

import ast
import contextlib
import datetime
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._files import ROOT
from . import exercises, grading, progress_file
from .progress import Progress, progress

__all__ = ["Progress", "check", "hint", "progress", "question", "solution", "solution_function"]

CHAPTERS = ROOT / "chapters"
MARKS = {"passed": "✓", "failed": "✗", "not attempted": "○"}
_hints_given: dict[str, int] = {}


def _say(*lines: str) -> None:
    """Print, also where the terminal's encoding knows no ticks."""
    text = "\n".join(lines)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))


def check(name: str, answer: Any = None) -> None:
    """Judge a learner's answer to an exercise, and print the verdict; never raises.

    name: of the exercise. answer: the function that the learner wrote. Prints that it isn't
    attempted yet; or the first input that fails, with what was expected, what came out and what
    probably went wrong; or a tick and what was learned, which is kept (see `progress`).
    """
    try:
        exercise = exercises.find(name)
    except ValueError as error:
        _say(f"{MARKS['failed']} {error}")
        return
    try:
        verdict = grading.judge(exercise, answer)
    except KeyboardInterrupt:
        _say(f"{MARKS['not attempted']} {name}: you stopped the check.")
        return
    except BaseException as error:  # noqa: B036 - an answer may be any object whatever
        verdict = grading.Verdict("failed", (f"it can't be judged: {type(error).__name__}",))
    head = f"{MARKS[verdict.status]} {name}"
    if verdict.status == "not attempted":
        _say(
            f"{head}: not attempted yet (about {exercise.minutes} minutes, {exercise.stars}). "
            f'Stuck? checks.hint("{name}")'
        )
    elif verdict.status == "failed":
        first, *rest = verdict.lines
        _say(f"{head}: {first}", *rest, f'Stuck? checks.hint("{name}")')
    else:
        first, *rest = verdict.lines
        _say(f"{head}: {first}. {exercise.lesson}", *rest)
        _keep(exercise)


def _keep(exercise: grading.Exercise) -> None:
    """Note that an exercise is passed; the first time counts."""
    entry = {"chapter": exercise.chapter, "on": datetime.date.today().isoformat()}
    try:
        progress_file.note("passed", exercise.name, entry, first_only=True)
    except OSError as error:
        _say(f"(This can't be kept in {progress_file.folder()}: {error.strerror or error}.)")


def _keep_look(section: str, name: str, value: Any) -> None:
    """Note that a hint or a solution was looked at, where that can be kept."""
    with contextlib.suppress(OSError):
        progress_file.note(section, name, value)


def question(name: str) -> None:
    """Print what an exercise asks for, how long it takes and how hard it is; never raises."""
    exercise = _find(name)
    if exercise:
        call = f"{exercise.name}({', '.join(exercise.parameters())})"
        _say(f"{call}   about {exercise.minutes} minutes, {exercise.stars}", exercise.question)


def hint(name: str, step: int | None = None) -> None:
    """Print the next hint, or hint number `step` (from 1); never raises."""
    exercise = _find(name)
    if not exercise:
        return
    count = len(exercise.hints)
    if step is None:
        step = _hints_given[name] = min(_hints_given.get(name, 0) + 1, count)
    elif step not in range(1, count + 1):
        _say(f"{name} has the hints 1 to {count}; {step!r} is none of them.")
        return
    more = f'checks.hint("{name}") gives the next' if step < count else (
        f'the last one; checks.solution("{name}") shows an answer'
    )
    _say(f"Hint {step} of {count}: {exercise.hints[step - 1]}", f"({more})")
    looked_at = progress_file.read()["hints"].get(name)
    if not isinstance(looked_at, int) or step > looked_at:
        _keep_look("hints", name, step)


def solution(name: str) -> None:
    """Print the solution of an exercise, as chapters/solutions holds it; never raises."""
    exercise = _find(name)
    if not exercise:
        return
    try:
        path = _solution_file(exercise)
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        imports = [
            ast.get_source_segment(source, node)
            for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        function = next(
            node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name
        )
    except (OSError, SyntaxError, StopIteration) as error:
        _say(f"The solution of {name} can't be read: {error!r}. Restore chapters/solutions.")
        return
    _say(
        f"# {path.relative_to(CHAPTERS.parent).as_posix()}",
        *imports, *([""] if imports else []), ast.get_source_segment(source, function),
    )  # fmt: skip
    if name not in progress_file.read()["solutions"]:
        _keep_look("solutions", name, datetime.date.today().isoformat())


def solution_function(name: str) -> Callable:
    """Return the solution of an exercise as a function.

    Raises ValueError for an unknown exercise, FileNotFoundError where the solution is missing.
    """
    exercise = exercises.find(name)
    path = _solution_file(exercise)
    return getattr(exercises.read_module(path), name)


def _find(name: str) -> grading.Exercise | None:
    try:
        return exercises.find(name)
    except ValueError as error:
        _say(f"{MARKS['failed']} {error}")
        return None


def _solution_file(exercise: grading.Exercise) -> Path:
    folder = CHAPTERS / "solutions"
    found = sorted(folder.glob(f"{exercise.chapter}_*.py"))
    if not found:
        raise FileNotFoundError(f"{folder} holds no solutions of chapter {exercise.chapter}")
    return found[0]
