"""How soon the demos answer to a key: the figures wanted, statistics, and the measuring itself.

Measuring needs a browser and lives with the browser tests, in tests/browser/sliders.py.
"""

from __future__ import annotations

import importlib.util
import math
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .. import records

__all__ = [
    "LIMITS_MS", "NO_CHROMIUM", "NoBrowserError", "PRESSES", "by_chapter", "chapters", "measure",
    "script", "summarize", "table",
]  # fmt: skip

LIMITS_MS = {"JavaScript": (16, 50), "Python": (50, 100)}  # kind: most for median and p95
PRESSES = 30
NO_CHROMIUM = 3  # exit status of the script where there is no Chromium


class NoBrowserError(OSError):
    """This machine lacks what the sliders are measured with."""


def summarize(kind: str, times: Sequence[float], unanswered: int = 0) -> dict[str, Any]:
    """Return a slider's figures from the milliseconds of its presses.

    kind: a key of LIMITS_MS. unanswered: presses that moved the slider and nothing else. The 95th
    percentile is the nearest rank: at least 95% of the times are no longer. A slider meets the
    figure if median and p95 do and every press was answered; without times all figures are None.
    """
    median = p95 = most = None
    if times:
        ordered = sorted(times)
        median = round(statistics.median(ordered), 1)
        p95 = round(ordered[math.ceil(0.95 * len(ordered)) - 1], 1)
        most = round(ordered[-1], 1)
    for_median, for_p95 = LIMITS_MS[kind]
    meets = bool(times) and not unanswered and median <= for_median and p95 <= for_p95
    return {
        "kind": kind, "presses": len(times) + unanswered, "unanswered": unanswered,
        "median_ms": median, "p95_ms": p95, "most_ms": most, "meets": meets,
    }  # fmt: skip


def table(rows: Iterable[dict[str, Any]]) -> str:
    """Return measured sliders as lines of text, one a slider, in milliseconds."""
    head = ["chapter", "demo", "slider", "kind", "presses", "median", "p95", "most", "figure"]
    lines = [head]
    for row in rows:
        figures = [row["presses"], row["median_ms"], row["p95_ms"], row["most_ms"]]
        lines.append(
            [row["chapter"][:2], row["demo"], row["slider"], row["kind"]]
            + ["-" if figure is None else str(figure) for figure in figures]
            + [_verdict(row)]
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    sides = "<<<<>>>><"  # words to the left, figures to the right
    return "\n".join(
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def _verdict(row: dict[str, Any]) -> str:
    if row["meets"]:
        return "met"
    missed = row["unanswered"]
    return f"missed, {missed} unanswered" if missed else "missed"


def by_chapter(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one summary for each chapter and kind, in the order of the rows.

    Keys: chapter, kind, sliders (how many), median_ms (median of their medians), worst_p95_ms,
    meet (how many meet the figure).
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["chapter"], row["kind"]), []).append(row)
    found = []
    for (chapter, kind), members in groups.items():
        timed = [row for row in members if row["median_ms"] is not None]
        found.append({
            "chapter": chapter, "kind": kind, "sliders": len(members),
            "median_ms": statistics.median(row["median_ms"] for row in timed) if timed else None,
            "worst_p95_ms": max((row["p95_ms"] for row in timed), default=None),
            "meet": sum(row["meets"] for row in members),
        })  # fmt: skip
    return found


def chapters(asked: Sequence[str] = ()) -> list[Path]:
    """Return the notebooks of the chapters asked for, such as "05"; all of them for none.

    Raises ValueError for a chapter that isn't there, with those that are.
    """
    there = {path.stem[:2]: path for path in sorted((records.root() / "chapters").glob("*.ipynb"))}
    wanted = {Path(name).stem.partition("_")[0].zfill(2): name for name in asked}
    for number, name in wanted.items():
        if number not in there:
            raise ValueError(f"there is no chapter {name!r}; there are: {', '.join(there)}.")
    return [path for number, path in there.items() if not wanted or number in wanted]


def script() -> Path:
    """Return the program that measures.

    Raises NoBrowserError, with the next step, where only the library is installed and where
    playwright is missing.
    """
    path = records.root() / "tests" / "browser" / "sliders.py"
    if not path.is_file():
        raise NoBrowserError(
            f"{path} is not there: the sliders are measured from a checkout of the course, not "
            "from the library alone. Clone the course and call it there."
        )
    if importlib.util.find_spec("playwright") is None:
        raise NoBrowserError(
            "the package playwright is missing. Install it: python -m pip install playwright"
        )
    return path


def measure(
    asked: Sequence[str] = (), out: str | Path = "runs/bench/sliders.json", presses: int = PRESSES
) -> int:
    """Measure the sliders of chapters in a headless browser; print a table, write a record.

    asked, presses: the chapters, default all, and how often a key is pressed on each slider.
    Returns the exit status: 0, or 1 where a chapter had errors.
    Raises what `chapters` and `script` raise, NoBrowserError without a Chromium, ValueError for
    less than one press.
    """
    if presses < 1:
        raise ValueError(f"{presses} presses can't be timed; ask for 1 or more.")
    numbers = [path.stem[:2] for path in chapters(asked)] if asked else []
    command = [sys.executable, str(script()), *numbers, "--presses", str(presses)]
    command += ["--out", str(out)]
    # a key's interruption reaches the program too, which closes its server by itself
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        _, complaints = process.communicate()
    if process.returncode == NO_CHROMIUM:
        raise NoBrowserError(complaints.strip())
    sys.stderr.write(complaints)
    return process.returncode
