"""What ships in `data/`: photos, and where the Fashion-MNIST subset lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from .._errors import unknown_name
from .._files import ROOT

__all__ = ["FOLDER", "PHOTOS", "fashion_mnist", "photo"]

#: The folder `data/` of the course.
FOLDER = ROOT / "data"
#: The photos' names; authors and licences stand in data/photos/SOURCES.md.
PHOTOS = ["astronaut", "cat", "coffee", "grace_hopper", "rocket"]


def photo(name: str) -> np.ndarray:
    """One of `PHOTOS` as (H, W, 3) uint8, at most 512 pixels a side."""
    if name not in PHOTOS:
        raise unknown_name("photo", name, PHOTOS)
    with Image.open(_present(FOLDER / "photos" / f"{name}.jpg")) as image:
        return np.asarray(image.convert("RGB"))


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
