"""What the training desk says: errors without the command line's words, and how a run ended."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from ... import records
from ...runs import Run

__all__ = ["end_words", "free_bytes", "in_desk_words", "left_out_words", "next_free"]

FEW = 50  # pictures; a share of fewer says little


def in_desk_words(error: Exception) -> str:
    """Return an error's words, with buttons and fields where they speak of the command line."""
    words = str(error) or type(error).__name__
    for pattern, instead in (
        (r"lower the rate \(--rate\) and go on from the last checkpoint \(--resume\), or start "
         "anew",
         "this recipe's steps are too large for these pictures: take another recipe and another "
         "folder in 'keep in'. The last checkpoint is still there"),
        (r"go on with it by --resume, or choose another --out", "press Resume to go on with it, or "
         "write another folder into 'keep in'"),
        (r"choose another folder with --out", "write another folder into 'keep in'"),
        (r"use --device cpu", "choose the processor"),
        (r"or train again without --resume", "or start anew in another folder"),
        (r"train first: python -m alexnet_lib train --out \S+", "press Start first"),
        (r"Get it with: (python -m alexnet_lib data \S+?)\.(\s|$)",
         r"Get it in a terminal with: \1 (some minutes).\2"),
    ):  # fmt: skip
        words = re.sub(pattern, instead, words)
    return words


def free_bytes(folder: Path) -> int | None:
    """Return the bytes free where a folder is or will be, None where the system won't tell."""
    there = next((f for f in (folder.absolute(), *folder.absolute().parents) if f.exists()), None)
    try:
        return None if there is None else shutil.disk_usage(there).free
    except OSError:
        return None


def next_free(folder: Path) -> Path:
    """Return a folder's name with the first number behind it under which there is no run."""
    number = 2
    while (records.root() / folder.with_name(f"{folder.name}-{number}").expanduser()).exists():
        number += 1
    return folder.with_name(f"{folder.name}-{number}")


def left_out_words(lines: list[str], train: int) -> str:
    """Say which pictures were left out, the first three by name, and how many are trained on."""
    if not lines:
        return ""
    more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
    return f" Left out: {'; '.join(lines[:3])}{more}. That leaves {train:,} to train on."


def end_words(run: Run, out: str, measured: int) -> str:
    """Say how a run ended, and what can be done now. measured: pictures it was measured by."""
    if run.status == "stopped":
        steps = len(run.losses)
        return (
            f"Stopped after {steps} step{'s' * (steps != 1)}, and kept in {out}. Resume goes on as "
            "if nothing had happened."
        )
    top1, right = run.epochs[-1]["val_top1"], ""
    if top1 is not None and measured < FEW:
        right = f", {round(top1 * measured)} of {measured} new pictures right"
        right += " (too few to tell much)"
    elif top1 is not None:
        right = f", {top1:.1%} of new pictures right"
    epochs = f"{run.total_epochs} epoch{'s' * (run.total_epochs != 1)}"
    return f"Finished: {epochs}{right}. It is kept in {out}."
