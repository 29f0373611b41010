"""The ILSVRC classification contest, 2010 to 2017: who came first and second, how, and how well.

Reads and checks `data/history/ilsvrc.csv`, in which every value has its source beside it.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._files import ROOT

__all__ = ["METHODS", "QUANTITIES", "Entry", "history", "percent_removed", "value", "winners"]

FILE = ROOT / "data" / "history" / "ilsvrc.csv"
METHODS = ("hand-made features", "convolutional network")
#: What can be drawn over the years: an entry's field -> what it counts.
QUANTITIES = {
    "error": "top-5 error, %", "depth": "layers with weights", "parameters": "million parameters",
}  # fmt: skip
YEARS = (2010, 2017)


@dataclass(frozen=True)
class Entry:
    """One team's best result in the ILSVRC classification contest of one year; None: not known.

    place: 1 for the winner, 2 for the runner-up. error: top-5 on the test set, per cent.
    method: "hand-made features" or "convolutional network". network: the architecture's name.
    depth: layers with weights of the network. parameters: of the network, millions.
    note: what a reader should know about the number. *_source: where each value is printed.
    """

    year: int
    place: int
    team: str
    network: str | None
    method: str
    error: float
    depth: int | None
    parameters: float | None
    note: str
    error_source: str
    depth_source: str
    parameters_source: str

    @property
    def name(self) -> str:
        """The network's name, or the team's first where the network has none."""
        return self.network or self.team.split(" (")[0]


def history(path: str | Path | None = None) -> list[Entry]:
    """Return winners and runners-up by year and place.

    path: another CSV file with the same columns, default the one that ships. Raises
    FileNotFoundError for a missing file and ValueError, with line and column, for a value that
    can't be, a value without its source, and a place that is given twice or isn't in order.
    """
    path = Path(path or FILE)
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing. The one that ships comes back with 'git checkout -- data'."
        )
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        wanted, found = list(Entry.__dataclass_fields__), list(reader.fieldnames or [])
        if found != wanted:
            raise ValueError(
                f"{path.name} has the columns {', '.join(found) or 'none'}; it needs "
                f"{', '.join(wanted)}, in this order."
            )
        entries = [_entry(row, f"{path.name}, line {reader.line_num}") for row in reader]
    _check_order(entries, path.name)
    return entries


def _entry(row: Mapping[str, Any], where: str) -> Entry:
    if None in row or None in row.values():
        raise ValueError(
            f"{where} doesn't have {len(Entry.__dataclass_fields__)} cells; put a text that "
            "holds commas in double quotes."
        )
    cells = {name: text.strip() for name, text in row.items()}
    for name in ("error", "depth", "parameters"):
        if bool(cells[name]) != bool(cells[f"{name}_source"]):
            lacks = f"{name}_source" if cells[name] else name
            raise ValueError(f"{where}: {lacks} is empty; a value and its source come together.")
    if cells["method"] not in METHODS:
        raise ValueError(f"{where}: method is {cells['method']!r}; give one of {METHODS}.")
    if not cells["team"]:
        raise ValueError(f"{where}: team is empty; name the team as the contest did.")
    return Entry(
        year=_number(cells, "year", where, *YEARS, whole=True),
        place=_number(cells, "place", where, 1, 2, whole=True),
        error=_number(cells, "error", where, 0, 100),
        depth=_number(cells, "depth", where, 1, 10_000, whole=True) if cells["depth"] else None,
        parameters=(
            _number(cells, "parameters", where, 0.001, 1e6) if cells["parameters"] else None
        ),
        network=cells["network"] or None,
        **{key: cells[key] for key in ("team", "method", "note")},
        **{f"{key}_source": cells[f"{key}_source"] for key in ("error", "depth", "parameters")},
    )


def _number(cells: Mapping[str, str], name: str, where: str, low: float, high: float, whole=False):
    kind = "a whole number" if whole else "a number"
    try:
        number = int(cells[name]) if whole else float(cells[name])
    except ValueError:
        number = None
    if number is None or not low <= number <= high:
        raise ValueError(f"{where}: {name} is {cells[name]!r}; give {kind}, {low:g} to {high:g}.")
    return number


def _check_order(entries: Sequence[Entry], name: str) -> None:
    """Check that years rise, places count up from 1, and no runner-up beats the winner."""
    for before, entry in zip([None, *entries], entries, strict=False):
        same_year = before is not None and before.year == entry.year
        place = before.place + 1 if same_year else 1
        if entry.place != place or (before is not None and entry.year < before.year):
            raise ValueError(
                f"{name}: {entry.year} place {entry.place} stands where place {place} should; "
                "give each year once, in order, the winner first."
            )
        if same_year and entry.error < before.error:
            raise ValueError(
                f"{name}: in {entry.year} place {entry.place} has {entry.error}% and place "
                f"{before.place} has {before.error}%; the smaller error comes first."
            )


def winners(entries: Sequence[Entry] | None = None) -> dict[int, Entry]:
    """Return year -> the winner."""
    entries = history() if entries is None else entries
    return {entry.year: entry for entry in entries if entry.place == 1}


def value(entry: Entry, quantity: str) -> float | None:
    """Return an entry's value of one of QUANTITIES, None where it isn't known."""
    if quantity not in QUANTITIES:
        raise ValueError(f"quantity is {quantity!r}; choose one of: {', '.join(QUANTITIES)}.")
    return getattr(entry, quantity)


def percent_removed(before: float, after: float) -> float:
    """Return which share of an error is gone, in percent of the error before.

    before: above 0; after: 0 or more, both in the same unit. Negative where the error rose.
    """
    if before <= 0 or after < 0:
        raise ValueError(f"errors are {before} and {after}; give one above 0 and one of 0 or more.")
    return 100 * (before - after) / before
