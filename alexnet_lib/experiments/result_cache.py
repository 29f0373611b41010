"""Finished parts of a long experiment, kept in a file so that one that was stopped can go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import records

__all__ = ["Kept"]


class Kept:
    """Finished races in a JSON file, so that an experiment that was stopped can go on.

    path: the file, or None to keep nothing. settings: everything that the races depend on; races
    kept under other settings are dropped.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any]) -> None:
        self.path, self.settings = path, dict(settings)
        self.races: dict[str, dict[str, Any]] = {}
        if path is not None and path.exists():
            kept = records.read(path)
            if kept["settings"] == self.settings:
                self.races = kept["races"]

    def get(self, key: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the race kept under `key`, or run it now and keep it."""
        if key not in self.races:
            self.races[key] = work()
            if self.path is not None:
                records.write(self.path, {"settings": self.settings, "races": self.races})
        return self.races[key]
