"""What ships in `data/`: photos, the ILSVRC history, and where the Fashion-MNIST subset lies."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .paper import unknown_name

__all__ = ["FOLDER", "PHOTOS", "Entry", "fashion_mnist", "history", "photo"]

#: The folder `data/` of the course.
FOLDER = Path(__file__).resolve().parents[1] / "data"
#: The photos' names; authors and licences stand in data/photos/SOURCES.md.
PHOTOS = ["astronaut", "cat", "coffee", "grace_hopper", "rocket"]


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


def photo(name: str) -> np.ndarray:
    """One of `PHOTOS` as (H, W, 3) uint8, at most 512 pixels a side."""
    if name not in PHOTOS:
        raise unknown_name("photo", name, PHOTOS)
    with Image.open(_present(FOLDER / "photos" / f"{name}.jpg")) as image:
        return np.asarray(image.convert("RGB"))


def history() -> list[Entry]:
    """Winners and runners-up of the ILSVRC classification contest, 2010 to 2017, by year."""
    with open(_present(FOLDER / "history" / "ilsvrc.csv"), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        Entry(
            **{
                **row,
                "year": int(row["year"]),
                "place": int(row["place"]),
                "network": row["network"] or None,
                "error": float(row["error"]),
                "depth": int(row["depth"]) if row["depth"] else None,
                "parameters": float(row["parameters"]) if row["parameters"] else None,
            }
        )
        for row in rows
    ]


def fashion_mnist(split: str) -> Path:
    """The packed folder of the Fashion-MNIST subset; "val" gives the test images."""
    return _present(FOLDER / "fashion_mnist" / ("train" if split == "train" else "test"))


def _present(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing. It belongs to the course: run 'git checkout -- data', or work "
            "from a full clone."
        )
    return path
