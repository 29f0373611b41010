"""Image folders: which pictures they hold, and each picture as a square of RGB bytes."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = [
    "EXTENSIONS",
    "MOST_PIXELS",
    "RESIZE_RULE",
    "SPLITS",
    "ImageFolder",
    "balanced_indices",
    "decode_all",
    "read_image",
    "read_upload",
    "scan",
]

EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff", ".ppm"}
MOST_PIXELS = 100_000_000  # of a learner's photo: 300 MB once it's decoded
RESIZE_RULE = "centre square, PIL bicubic with antialiasing, RGB, alpha on white"
#: The names a split may have, as asked for and as folders on disk; the first is its own.
SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
#: Path, label and bytes of every picture.
Listing = list[tuple[str, int, int]]
HELD_OUT = 5  # where no folder for validation exists, every fifth image of a class is held out


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """The pictures of one split: paths, labels and bytes (N,) int64, class names, a fingerprint."""

    root: Path
    paths: list[Path]
    labels: np.ndarray
    classes: list[str]
    split: str
    fingerprint: str  # changes when a picture is added, removed, renamed or changes its bytes
    sizes: np.ndarray  # bytes of each file

    def limited(self, limit: int | None) -> ImageFolder:
        """The first `limit` pictures, taken evenly from all classes; all of them for None."""
        if limit is None or limit >= len(self.paths):
            return self
        chosen = balanced_indices(self.labels, limit)
        return ImageFolder(
            self.root, [self.paths[i] for i in chosen], self.labels[chosen], self.classes,
            self.split, f"{self.fingerprint}-first{limit}", self.sizes[chosen],
        )  # fmt: skip


def balanced_indices(labels: np.ndarray, limit: int) -> np.ndarray:
    """The first `limit` places, taken in turn from every class, in ascending order."""
    turn = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        turn[members] = np.arange(len(members))
    return np.sort(np.argsort(turn, kind="stable")[: max(0, limit)])


def scan(root: str | Path, split: str = "train") -> ImageFolder:
    """List one split of an image folder: one folder a class, perhaps below train, val or test.

    root: the folder. split: "train", "val", "test" or "all". Where `root` has no folder for
    splits, every fifth picture of a class is "val" (and "test"), the rest "train".
    Class numbers follow the sorted names of the class folders, those of "train" if it is there.
    Errors: FileNotFoundError for a missing folder or split; ValueError for an empty one, a class
    folder without images, fewer than two classes, or a class that the training folder lacks.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder. Give a folder with one folder a class.")
    folders = _split_folders(root)
    if not folders:
        return _scan_undivided(root, split)
    wanted = [split, *{"val": ["test"], "test": ["val"]}.get(split, [])]
    found = next((name for name in wanted if name in folders), None)
    if found is None:
        raise FileNotFoundError(
            f"{root} has no folder for split {split!r}; it has {', '.join(sorted(folders))}."
        )
    classes = _class_names(folders.get("train", folders[found]))
    present = _class_names(folders[found])
    if strangers := sorted(set(present) - set(classes)):
        raise ValueError(
            f"{folders[found]} has classes that {folders['train']} lacks: "
            f"{', '.join(strangers[:5])}. Every split must have the same folders, one a kind."
        )
    return _image_folder(folders[found], _list(folders[found], classes, present), classes, found)


def _scan_undivided(root: Path, split: str) -> ImageFolder:
    classes = _class_names(root)
    listing = _list(root, classes, classes)
    sizes = np.bincount([label for _, label, _ in listing], minlength=len(classes))
    held_out = np.concatenate([np.arange(size) % HELD_OUT == HELD_OUT - 1 for size in sizes])
    keep = {"all": np.ones_like(held_out), "train": ~held_out}.get(split, held_out)
    if not keep.any():
        raise ValueError(
            f"{root} has too few pictures to keep some apart for {split!r}: every {HELD_OUT}th of "
            "each kind is. Add pictures, or make the folders train and val yourself."
        )
    listing = [row for row, kept in zip(listing, keep, strict=True) if kept]
    return _image_folder(root, listing, classes, split)


def _image_folder(root: Path, listing: Listing, classes: list[str], split: str) -> ImageFolder:
    hashed = hashlib.sha256(repr(classes).encode())
    for path, label, size in listing:  # a million: never all of it as one text
        hashed.update(f"{label}/{os.path.basename(path)}/{size}\n".encode())
    labels = np.array([label for _, label, _ in listing], np.int64)
    paths = [Path(path) for path, _, _ in listing]
    sizes = np.array([size for _, _, size in listing], np.int64)
    return ImageFolder(root, paths, labels, classes, split, hashed.hexdigest()[:16], sizes)


def _split_folders(root: Path) -> dict[str, Path]:
    """The folders below `root` that stand for splits (they hold folders), by the split's name."""
    below = {
        folder.name.lower(): folder
        for folder in root.iterdir()
        if folder.is_dir() and any(entry.is_dir() for entry in folder.iterdir())
    }
    return {
        split: below[name]
        for split, names in SPLITS.items()
        for name in reversed(names)
        if name in below
    }


def _class_names(folder: Path) -> list[str]:
    names = sorted(
        entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] not in "._"
    )
    if len(names) < 2:
        raise ValueError(_too_few_classes(folder, names))
    return names


def _too_few_classes(folder: Path, names: list[str]) -> str:
    """Say what a folder with no class folder or a single one holds instead, and what to do."""
    loose = sum(path.suffix.lower() in EXTENSIONS for path in folder.iterdir())
    has = f"one folder of a kind, {names[0]!r}" if names else "no folders of kinds"
    beside = f", and {loose} picture{'s' * (loose > 1)} outside" if loose else ""
    inside = (folder / names[0]).iterdir() if names else ()
    below = sorted(entry.name for entry in inside if entry.is_dir() and entry.name[0] not in "._")
    if len(below) > 1:
        return (
            f"{folder} has {has}, and that one holds {len(below)} folders ({', '.join(below[:3])}"
            f"{', ...' * (len(below) > 3)}). If those are your classes, give {folder / names[0]}."
        )
    return (
        f"{folder} has {has}{beside}; a classifier needs two or more. Put the images of each class "
        "into a folder of its own, such as pets/cats and pets/dogs, and give the folder above them."
    )


def _list(folder: Path, classes: list[str], present: list[str]) -> Listing:
    """Every picture of the classes `present`, with its label and its bytes, by class and name."""
    listing: Listing = []
    for name in present:
        files = _pictures(folder / name, deep=False) or _pictures(folder / name, deep=True)
        if not files:
            others = sorted({p.suffix.lower() for p in (folder / name).iterdir() if p.suffix})
            found = f"; its {', '.join(others[:3])} files must be saved as .jpg" if others else ""
            raise ValueError(
                f"the folder {folder / name} holds no pictures ({', '.join(sorted(EXTENSIONS))})"
                f"{found}. Fill it or delete it."
            )
        label = classes.index(name)
        listing += [(path, label, size) for path, size in files]
    return listing


def _pictures(folder: str | Path, deep: bool) -> list[tuple[str, int]]:
    """Paths and sizes in bytes of the pictures in a folder, and below it if `deep`, by name."""
    found = []
    with os.scandir(folder) as entries:  # a million files: no Path objects in here
        for entry in entries:
            if deep and entry.is_dir():
                found += _pictures(entry.path, deep)
            elif os.path.splitext(entry.name)[1].lower() in EXTENSIONS and entry.name[0] != ".":
                found.append((entry.path, entry.stat().st_size))
    return sorted(found)


def read_image(path: str | Path, size: int | None = None) -> np.ndarray:
    """One picture as (size, size, 3) uint8, or (H, W, 3) in its own size for None.

    The largest centred square is scaled to size x size (PIL bicubic, antialiased). The camera's
    orientation is applied; grey, palette and CMYK become RGB; transparent parts become white;
    16-bit grey keeps its upper eight bits. Errors: OSError or ValueError, naming the file.
    """
    try:
        with Image.open(path) as image:
            if size is not None:
                image.draft("RGB", (2 * size, 2 * size))  # JPEG only: decodes big ones smaller
            image = _as_rgb(ImageOps.exif_transpose(image))
        if size is not None:
            width, height = image.size
            side = min(width, height)
            left, top = (width - side) / 2, (height - side) / 2
            box = (left, top, left + side, top + side)
            image = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
        return np.asarray(image)
    except PermissionError:
        raise
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise ValueError(
            f"{path} is too large to be read safely: it has more than {most / 1e6:,.0f} million "
            "pixels. Scale it down first"
        ) from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        unknown = isinstance(error, UnidentifiedImageError)  # its words give the path once more
        why = "it is damaged, or no picture" if unknown else error
        raise ValueError(f"{path} is not a readable image: {why}") from error


def read_upload(data: bytes, name: str = "the file") -> np.ndarray:
    """Read a learner's picture from a file's bytes: uint8 (H, W, 3), at most 454 pixels a side.

    Turned as the camera says, grey and palettes as RGB, transparent parts white; larger ones are
    cut to their central square and made smaller. Raises ValueError, in words, for an empty or
    broken file, for what isn't a picture, and for more than MOST_PIXELS.
    """
    if not data:
        raise ValueError(f"{name} is empty: 0 bytes. Choose another picture.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
    except Image.DecompressionBombError:
        width = height = MOST_PIXELS  # more than Pillow wants to open
    except (OSError, ValueError, SyntaxError, EOFError):
        raise ValueError(
            f"{name} is not a picture that can be read: its first bytes belong to no image format "
            "known here. Choose a JPEG, PNG, WebP, GIF or TIFF file."
        ) from None
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"{name} has more than {MOST_PIXELS // 10**6} million pixels, too many to decode here. "
            "Make it smaller and choose it again."
        )
    side = 454 if max(width, height) > 454 else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return read_image(io.BytesIO(data), side)
    except ValueError as error:
        cause = str(error.__cause__ or error)
        raise ValueError(
            f"{name} looks like a picture but can't be decoded ({cause}): it may be cut off or "
            "damaged. Choose another one."
        ) from None


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        values = values >> 8 if values.max() > 255 or image.mode.startswith("I;16") else values
        return Image.fromarray(values.clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers without a known range")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def decode_all(
    folder: ImageFolder, size: int, start: int = 0, workers: int | None = None
) -> Iterator[tuple[np.ndarray | str, int]]:
    """Yield (image, label) for every picture from `start` on, in order, decoded in parallel.

    A picture that cannot be read gives a sentence in its place. Threads serve as well as
    processes here: Pillow lets go of Python's lock while it decodes and scales.
    """
    workers = workers or os.cpu_count() or 1

    def decode(index: int) -> tuple[np.ndarray | str, int]:
        try:
            return read_image(folder.paths[index], size), int(folder.labels[index])
        except ValueError as error:
            return str(error), int(folder.labels[index])

    with ThreadPoolExecutor(workers) as pool:
        pending: deque = deque()
        try:
            for index in range(start, len(folder.paths)):
                pending.append(pool.submit(decode, index))
                if len(pending) >= 32 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
