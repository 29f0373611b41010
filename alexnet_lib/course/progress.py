"""A learner's progress, chapter by chapter: predictions made, exercises passed.

How many there are comes from the notebooks and from `exercises`, what was done from `learner`.
Chapters write `checks.progress()`.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .._files import ROOT
from . import exercises, grading, progress_file

__all__ = ["Chapter", "Progress", "chapters", "progress"]

CHAPTERS = ROOT / "chapters"
FILE_NAME = re.compile(r"(\d\d)_([a-z0-9_]+)\.ipynb")
PREDICT = re.compile(r"\bpredict\(\s*(['\"])(.+?)\1")
TITLE = re.compile(r"^# Chapter \d+ · (.+)$", re.MULTILINE)
DONE, OPEN = "✓", "○"


@dataclass(frozen=True)
class Chapter:
    """What a chapter asks for. predictions: their keys. exercises: in their order."""

    number: str
    title: str
    predictions: tuple[str, ...] = ()
    exercises: tuple[grading.Exercise, ...] = ()


def chapters(folder: Path = CHAPTERS) -> list[Chapter]:
    """Return all chapters of which there is a notebook in `folder`, or an exercise, in order.

    A notebook that can't be read counts as one without predictions; never raises.
    """
    found = {}
    for path in sorted(folder.glob("*.ipynb")):
        if match := FILE_NAME.fullmatch(path.name):
            title, keys = _title_and_predictions(path)
            found[match[1]] = title or match[2].replace("_", " ").capitalize(), keys
    asked: dict[str, list[grading.Exercise]] = {}
    for exercise in exercises.EXERCISES.values():
        asked.setdefault(exercise.chapter, []).append(exercise)
    return [
        Chapter(number, *found.get(number, ("", ())), tuple(asked.get(number, ())))
        for number in sorted(found.keys() | asked.keys())
    ]


def _title_and_predictions(path: Path) -> tuple[str, tuple[str, ...]]:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    except (OSError, ValueError, KeyError, TypeError):
        return "", ()
    title = TITLE.search(sources[0][1]) if sources else None
    code = "\n".join(source for kind, source in sources if kind == "code")
    keys = dict.fromkeys(match[2] for match in PREDICT.finditer(code))
    return title[1].strip() if title else "", tuple(keys)


@dataclass(frozen=True)
class Progress:
    """What a learner has done of all that the chapters ask for, shown as a table.

    predicted: keys of predictions. passed: names of exercises. hints, solutions: how many were
    looked at. trouble: why nothing kept can be shown, or "".
    """

    chapters: tuple[Chapter, ...]
    predicted: frozenset[str] = frozenset()
    passed: frozenset[str] = frozenset()
    hints: int = 0
    solutions: int = 0
    trouble: str = ""

    def _counts(self, chapter: Chapter) -> tuple[str, str]:
        made = sum(key in self.predicted for key in chapter.predictions)
        passed = sum(exercise.name in self.passed for exercise in chapter.exercises)
        return f"{made} of {len(chapter.predictions)}", f"{passed} of {len(chapter.exercises)}"

    @cached_property
    def _rows(self) -> list[tuple[str, str, str]]:
        """Chapter, predictions and exercises in words; the last row is the sum."""
        rows = [(f"{c.number} {c.title}".rstrip(), *self._counts(c)) for c in self.chapters]
        everything = Chapter(
            "all", "",
            tuple(key for c in self.chapters for key in c.predictions),
            tuple(exercise for c in self.chapters for exercise in c.exercises),
        )  # fmt: skip
        return [*rows, ("all", *self._counts(everything))]

    def __repr__(self) -> str:
        width = max(len(row[0]) for row in [*self._rows, ("chapter",)])
        lines = [self.trouble] if self.trouble else []
        lines.append(f"{'chapter':{width}}   predictions   exercises")
        for (name, predictions, passed), chapter in zip(
            self._rows, [*self.chapters, Chapter("all", "")], strict=True
        ):
            marks = "   ".join(
                f"{DONE if exercise.name in self.passed else OPEN} {exercise.name} {exercise.stars}"
                for exercise in chapter.exercises
            )
            lines.append(f"{name:{width}}   {predictions:>11}   {passed:>9}   {marks}".rstrip())
        return "\n".join(lines + ([self._looks] if self._looks else []))

    @property
    def _looks(self) -> str:
        """Say what was looked at, where anything was."""
        found = [
            f"{count} {word}{'' if count == 1 else 's'}"
            for count, word in ((self.hints, "hint"), (self.solutions, "solution")) if count
        ]  # fmt: skip
        return f"looked at: {' and '.join(found)}" if found else ""

    def _repr_html_(self) -> str:
        left = 'style="text-align: left"'
        heads = "".join(
            f'<th scope="col" {left}>{head}</th>'
            for head in ("chapter", "predictions", "exercises", "which")
        )
        body = []
        for row, chapter in zip(self._rows, [*self.chapters, None], strict=True):
            name, *counts = (html.escape(cell, quote=False) for cell in row)
            which = ", ".join(map(self._mark, chapter.exercises)) if chapter else ""
            cells = "".join(f"<td {left}>{cell}</td>" for cell in [*counts, which])
            body.append(f'<tr><th scope="row" {left}>{name}</th>{cells}</tr>')
        caption = "Your predictions and exercises, chapter by chapter"
        notes = "".join(
            f"<p>{html.escape(line, quote=False)}</p>"
            for line in (self.trouble, self._looks) if line
        )  # fmt: skip
        return (
            f'<table class="alexnet-progress"><caption {left}>{caption}</caption>'
            f"<thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table>{notes}"
        )

    def _mark(self, exercise: grading.Exercise) -> str:
        """Return an exercise with its mark and its stars, which screen readers get as words."""
        sign, word = (DONE, "passed") if exercise.name in self.passed else (OPEN, "open")
        level = f"difficulty {exercise.difficulty} of 3"
        return (
            f'<span style="white-space: nowrap"><span role="img" aria-label="{word}">{sign}</span> '
            f"{html.escape(exercise.name)} "
            f'<span role="img" aria-label="{level}">{exercise.stars}</span></span>'
        )


def progress() -> Progress:
    """Return what the learner has done so far, shown as a table of the chapters; never raises."""
    kept = progress_file.read()
    return Progress(
        tuple(chapters()), frozenset(kept["predictions"]), frozenset(kept["passed"]),
        sum(count for count in kept["hints"].values() if isinstance(count, int)),
        len(kept["solutions"]), progress_file.trouble(),
    )  # fmt: skip
