"""What a learner leaves behind: one file, `learner/progress.json`, which git ignores.

    {"format": 2, "predictions": {...}, "passed": {...}, "hints": {...}, "solutions": {...}}

ALEXNET_LEARNER names another folder. The file keeps what it holds, also what this version doesn't
know: changes are read, merged and written by one process at a time. Nothing is ever lost: a file
that can't be read is set aside, and one of a newer format is left as it is. Files of format 1 (a
progress.json without a number, predictions.json beside it) are taken over at the first change.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import _files
from .._files import ROOT

__all__ = ["FORMAT", "NewerFormatError", "change", "folder", "note", "read", "trouble"]

FORMAT = 2
SECTIONS = ("predictions", "passed", "hints", "solutions")


class NewerFormatError(OSError):
    """The file was written by a newer version of the course, which may mean other things."""


def folder() -> Path:
    """Return the learner's folder; it may not be there yet."""
    named = os.environ.get("ALEXNET_LEARNER")
    return Path(named).expanduser() if named else ROOT / "learner"


def read() -> dict[str, dict[str, Any]]:
    """Return the sections, each a dict; what is missing or can't be read counts as empty.

    predictions: key -> what the learner said. passed: exercise -> {"chapter", "on"}.
    hints: exercise -> how many were looked at. solutions: exercise -> the day of the first look.
    """
    try:
        content = _with_old_predictions(_content(_file()) or {})
    except OSError:  # not readable, or newer
        content = {}
    return {name: _section(content, name) for name in SECTIONS}


def trouble() -> str:
    """Return in one sentence why what was kept can't be shown, or "" where all is well."""
    path = _file()
    try:
        if _content(path) is None:
            return (
                f"{_shown(path)} can't be read, so nothing in it counts. It will be set aside "
                "when something new is kept; nothing is deleted."
            )
    except NewerFormatError as error:
        return f"{error}."
    except OSError as error:
        return f"{_shown(path)} can't be opened: {error.strerror or error}."
    return ""


def change(edit: Callable[[dict[str, dict[str, Any]]], None]) -> None:
    """Let `edit` change what is kept, and write it back in one step.

    edit: gets the file's whole content, each section a dict. Files of format 1 are taken over
    first; predictions.json is renamed to predictions.taken-over.json. A file that can't be read is
    renamed to progress.unreadable.json, and one with a damaged section is copied there.
    Raises NewerFormatError for a file of a newer format, OSError where the folder can't be written.
    """
    path = _file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with _files.lock(path.with_suffix(".lock")):
        content = _content(path)
        if content is None:
            os.replace(path, _free_name(path, "unreadable"))
            content = {}
        if any(name in content and not isinstance(content[name], dict) for name in SECTIONS):
            shutil.copy2(path, _free_name(path, "unreadable"))
        old = path.with_name("predictions.json")
        older = _content(old, numbered=False)
        content = _with_old_predictions(content)
        content = {
            "format": FORMAT,
            **{name: _section(content, name) for name in SECTIONS},
            **{name: value for name, value in content.items() if name not in ("format", *SECTIONS)},
        }
        edit(content)
        _files.write_json(path, content)
        if old.exists():  # only now that its answers are safe
            os.replace(old, _free_name(old, "unreadable" if older is None else "taken-over"))


def note(section: str, name: str, value: Any, first_only: bool = False) -> None:
    """Keep one value in a section; with first_only, a value that is there already stays.

    Raises ValueError for a section that doesn't exist, and what `change` raises.
    """
    if section not in SECTIONS:
        raise ValueError(f"there is no section {section!r}; there are: {', '.join(SECTIONS)}.")

    def edit(content: dict[str, dict[str, Any]]) -> None:
        if not (first_only and name in content[section]):
            content[section][name] = value

    change(edit)


def _file() -> Path:
    return folder() / "progress.json"


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _section(content: dict[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name)
    return value if isinstance(value, dict) else {}


def _content(path: Path, numbered: bool = True) -> dict[str, Any] | None:
    """Return a file's JSON object, {} where there is no file, None where it isn't one of ours.

    numbered: the object bears a format; without one it is format 1. Raises NewerFormatError, and
    OSError where the file is there but can't be opened.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    if not numbered:
        return content
    number = content.get("format", 1)
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        return None
    if number > FORMAT:
        raise NewerFormatError(
            f"{_shown(path)} was written by a newer version of this course (format {number}, "
            f"while this one knows formats up to {FORMAT}). It is left as it is; update the "
            "course to go on with it"
        )
    return content


def _with_old_predictions(content: dict[str, Any]) -> dict[str, Any]:
    """Add what predictions.json of format 1 holds; an answer kept since then goes first."""
    with contextlib.suppress(OSError):
        old = _content(_file().with_name("predictions.json"), numbered=False)
        if old:
            return {**content, "predictions": {**old, **_section(content, "predictions")}}
    return content


def _free_name(path: Path, word: str) -> Path:
    """Return a name for a file that is set aside which no other file has."""
    candidate, number = path.with_suffix(f".{word}.json"), 2
    while candidate.exists():
        candidate, number = path.with_suffix(f".{word}-{number}.json"), number + 1
    return candidate
