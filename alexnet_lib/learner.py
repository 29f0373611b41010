"""What a learner leaves behind: JSON files in `learner/`, which git ignores.

ALEXNET_LEARNER names another folder. A file keeps what it holds: changes are read, merged and
written by one process at a time, and a file that can't be read is set aside, not overwritten.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import storage

__all__ = ["change", "folder", "read"]


def folder() -> Path:
    """Return the learner's folder; it may not be there yet."""
    named = os.environ.get("ALEXNET_LEARNER")
    return Path(named).expanduser() if named else Path(__file__).resolve().parents[1] / "learner"


def read(name: str) -> dict[str, Any]:
    """Return what `name`.json holds; a file that is missing or can't be read counts as empty."""
    return _content(folder() / f"{name}.json") or {}


def change(name: str, edit: Callable[[dict[str, Any]], None]) -> None:
    """Let `edit` change what `name`.json holds, and write it back in one step.

    A file that isn't a JSON object is renamed to `name`.unreadable.json first, or with a number
    behind, so that nothing is lost. Raises OSError where the folder can't be written.
    """
    path = folder() / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with storage.lock(path.with_suffix(".lock")):
        content = _content(path)
        if content is None:
            os.replace(path, _aside(path))
            content = {}
        edit(content)
        storage.write_json(path, content)


def _content(path: Path) -> dict[str, Any] | None:
    """Return a file's JSON object, {} where there is no file, None where it isn't an object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _aside(path: Path) -> Path:
    """Return a name for an unreadable file that no other file has."""
    candidate, number = path.with_suffix(".unreadable.json"), 2
    while candidate.exists():
        candidate, number = path.with_suffix(f".unreadable-{number}.json"), number + 1
    return candidate
