"""Sharded image sets: a million pictures in a few hundred files, read as if they were one array."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

__all__ = [
    "FORMAT_VERSION",
    "ShardedImages",
    "cores",
    "find",
    "hash_file",
    "is_sharded",
    "read",
    "read_manifest",
    "shard_name",
]

FORMAT_VERSION = 2  # 1 is the format of `packing`, with all images in one file
MANIFEST_KEYS = {
    "name", "split", "classes", "source", "note", "resize", "fingerprint", "count", "shape",
    "quality", "shard_size", "shards", "sha256", "skipped",
}  # fmt: skip
OPEN_FILES = 128  # memory maps held at once; systems allow a process 256 files and more
LEAST_BYTES = 1 << 21  # decoded bytes from which on threads are worth starting
HASH_BYTES = 1 << 24
STAND_INS = {"val": "test", "test": "val"}  # which split serves where the other is missing


def shard_name(number: int, quality: int | None) -> str:
    """The file name of a shard: .npy for raw pixels, .jpegs for pictures one after another."""
    return f"shard-{number:05}.{'npy' if quality is None else 'jpegs'}"


def is_sharded(folder: str | Path) -> bool:
    """Whether a folder is one split of a sharded set, finished or not."""
    return (Path(folder) / "plan.json").is_file()


def find(path: str | Path, split: str) -> Path | None:
    """The folder of a split: `path` itself, or the one below it; None where nothing is sharded.

    val and test stand in for each other. FileNotFoundError where only other splits are packed.
    """
    path = Path(path)
    if is_sharded(path):
        return path
    for name in (split, STAND_INS.get(split, split)):
        if is_sharded(path / name):
            return path / name
    there = [name for name in ("train", "val", "test") if is_sharded(path / name)]
    if not there:
        return None
    raise FileNotFoundError(
        f"{path} holds the packed split {', '.join(there)}, but no {split!r}. "
        f"{_repair(path / there[0], f'--split {split}')}"
    )


class ShardedImages:
    """Pictures (N, H, W, 3) uint8 in shards on disk, indexed as a numpy array along the first axis.

    An integer, a slice, a list or array of integers or a boolean mask gives a numpy array with
    these pictures, and nothing else is read. Files are mapped at their first use, in every
    process anew, so an instance may be used by threads, forked and pickled. Damage found while
    reading is a ValueError that says how to mend it.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self, folder: Path, names: Sequence[str], counts: Sequence[int],
        size: int, ends: np.ndarray | None = None, rows: np.ndarray | None = None,
    ) -> None:
        """names, counts: each shard's file and pictures. ends: where each picture ends in its
        JPEG shard, int64 (N,), or None for raw shards. rows: only these pictures; None for all.
        """
        self._folder, self._names, self._counts = Path(folder), list(names), list(counts)
        self._firsts = np.concatenate([[0], np.cumsum(self._counts)]).astype(np.int64)
        self._ends, self._rows, self._size = ends, rows, size
        self._open: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return int(self._firsts[-1]) if self._rows is None else len(self._rows)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, 3)."""
        return (len(self), self._size, self._size, 3)

    @property
    def nbytes(self) -> int:
        """The bytes of all the pixels once decoded."""
        return len(self) * self._size * self._size * 3

    def select(self, indices: np.ndarray) -> ShardedImages:
        """Some of the pictures, by number or boolean mask, still on disk."""
        return ShardedImages(
            self._folder, self._names, self._counts, self._size, self._ends, self._places(indices)
        )

    def __getitem__(self, key: int | slice | Sequence[int] | np.ndarray) -> np.ndarray:
        if isinstance(key, int | np.integer):
            return self._fetch(self._places(np.array([key])))[0]
        return self._fetch(self._places(key))

    def __array__(self, dtype: type | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("pictures in shards can't become an array without a copy.")
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def __getstate__(self) -> dict:
        return {**vars(self), "_open": {}}

    def __repr__(self) -> str:
        kind = "raw" if self._ends is None else "JPEG"
        return f"ShardedImages({len(self):,} x {self._size} x {self._size} x 3, {kind})"

    def _places(self, key: slice | Sequence[int] | np.ndarray) -> np.ndarray:
        """The pictures' numbers in the whole set."""
        count = len(self)
        if isinstance(key, slice):
            chosen = np.arange(*key.indices(count))
        else:
            # a tuple would mean one row of one picture
            chosen = np.array("") if isinstance(key, tuple) else np.asarray(key)
            chosen = chosen.astype(np.int64) if chosen.shape == (0,) else chosen
            if chosen.dtype == bool and chosen.shape == (count,):
                chosen = np.flatnonzero(chosen)
            if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
                raise IndexError(
                    f"pictures in shards were asked for by {key!r:.80}; give an integer, a slice, "
                    f"a list of integers or a mask of {count} booleans, and index the array that "
                    "comes back further."
                )
            outside = chosen[(chosen < -count) | (chosen >= count)]
            if len(outside):
                raise IndexError(f"there is no picture {outside[0]}; there are {count}.")
            chosen = chosen.astype(np.int64)
            chosen = np.where(chosen < 0, chosen + count, chosen)
        return chosen if self._rows is None else self._rows[chosen]

    def mapped(self, key: slice | Sequence[int] | np.ndarray) -> tuple[np.ndarray, list] | None:
        """Where pictures of raw shards lie in the mapped files, int64 addresses, and these files,
        to be kept while they are read; None for JPEG."""
        if self._ends is not None:
            return None
        rows = self._places(key)
        numbers = np.searchsorted(self._firsts, rows, side="right") - 1
        files = {number: self._content(number) for number in np.unique(numbers).tolist()}
        bases = np.zeros(len(self._names), np.int64)
        bases[list(files)] = [file.ctypes.data for file in files.values()]
        step = self._size * self._size * 3
        return bases[numbers] + (rows - self._firsts[numbers]) * step, list(files.values())

    def _fetch(self, rows: np.ndarray) -> np.ndarray:
        pictures = np.empty((len(rows), self._size, self._size, 3), np.uint8)
        numbers = np.searchsorted(self._firsts, rows, side="right") - 1

        def fill(places: np.ndarray) -> None:
            for place in places.tolist():
                pictures[place] = self._picture(int(numbers[place]), int(rows[place]))

        # by shard, so that a batch opens each file once; neighbours go to the same thread
        places = np.argsort(rows, kind="stable")
        threads = min(cores(), len(rows)) if pictures.nbytes >= LEAST_BYTES else 1
        if threads == 1:
            fill(places)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(fill, np.array_split(places, 4 * threads)))
        return pictures

    def _picture(self, number: int, row: int) -> np.ndarray:
        """One picture of a shard; row: its number in the whole set."""
        first = int(self._firsts[number])
        content = self._content(number)
        if self._ends is None:
            return content[row - first]
        start = int(self._ends[row - 1]) if row > first else 0
        try:
            with Image.open(io.BytesIO(content[start : int(self._ends[row])])) as image:
                if image.size != (self._size, self._size) or image.mode != "RGB":
                    raise ValueError(f"it is {image.mode} of {image.size}")
                return np.asarray(image)
        except (OSError, ValueError, SyntaxError) as error:
            path = self._folder / self._names[number]
            raise ValueError(
                f"picture {row - first} of {path} is damaged ({error}). "
                + _repair(self._folder, "--verify")
            ) from error

    def _content(self, number: int) -> np.ndarray:
        content = self._open.get(number)
        return self._map(number) if content is None else content

    def _map(self, number: int) -> np.ndarray:
        """Map a shard into memory. No lock: two threads that map the same do no harm."""
        path, count = self._folder / self._names[number], self._counts[number]
        try:
            if self._ends is None:
                content = np.load(path, mmap_mode="r", allow_pickle=False)
                expected = (count, *self.shape[1:])
            else:
                content = np.memmap(path, np.uint8, "r")
                expected = (int(self._ends[self._firsts[number + 1] - 1]),)
        except (OSError, ValueError, EOFError) as error:
            if isinstance(error, PermissionError):
                raise
            raise ValueError(
                f"{path} can't be read ({error}). {_repair(self._folder, '--verify')}"
            ) from error
        if content.shape != expected or content.dtype != np.uint8:
            raise ValueError(
                f"{path} is damaged: it holds {content.dtype} {content.shape}, expected uint8 "
                f"{expected}. {_repair(self._folder, '--verify')}"
            )
        while len(self._open) >= OPEN_FILES:
            with contextlib.suppress(KeyError, RuntimeError, StopIteration):
                self._open.pop(next(iter(self._open)))
        self._open[number] = content
        return content


def read_manifest(folder: str | Path) -> dict:
    """The manifest of one split; ValueError if it is missing, damaged or of another version."""
    folder = Path(folder)
    path = folder / "manifest.json"
    if not path.is_file():
        raise ValueError(f"{folder} is not packed to its end. {_repair(folder)}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format_version"]
        if version == FORMAT_VERSION:
            if missing := MANIFEST_KEYS - manifest.keys():
                raise KeyError(", ".join(sorted(missing)))
            if sum(shard["count"] for shard in manifest["shards"]) != manifest["count"]:
                raise ValueError("its shards don't add up")
            return manifest
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error!r}). {_repair(folder)}") from error
    raise ValueError(
        f"{folder} has sharded format {version!r}, this library reads {FORMAT_VERSION}. Delete "
        f"the folder, then pack it anew. {_repair(folder)}"
    )


def read(
    folder: str | Path, verify: bool = False, progress: bool = False
) -> tuple[ShardedImages, np.ndarray, dict]:
    """Open one split of a sharded set: its pictures, labels (N,) int64 and manifest.

    Every file's size is compared with the manifest. verify: also the checksums, which reads every
    byte; progress shows a bar then. Errors: ValueError for a set that is unfinished, damaged or
    of another version; each says which command mends it.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    shards, sums = manifest["shards"], manifest["sha256"]
    for shard in shards:
        path = folder / shard["file"]
        size = path.stat().st_size if path.is_file() else None
        if size != shard["bytes"]:
            harm = "is missing" if size is None else f"has {size:,} bytes, not {shard['bytes']:,}"
            raise ValueError(f"{path} {harm}. {_repair(folder)}")
    labels = _read_numbers(folder, "labels", manifest["count"], sums)
    ends = _read_numbers(folder, "ends", manifest["count"], sums) if "ends" in sums else None
    if verify:
        paths = [folder / shard["file"] for shard in shards]
        with ThreadPoolExecutor(cores()) as pool:
            found = pool.map(hash_file, paths)
            bar = tqdm(
                zip(paths, found, shards, strict=True), f"verifying {folder}", len(paths),
                unit="shard", disable=not progress, delay=1,
            )  # fmt: skip
            for path, digest, shard in bar:
                if digest != shard["sha256"]:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise ValueError(
                        f"{path} is damaged: wrong checksum. {_repair(folder, '--verify')}"
                    )
    names, counts = [shard["file"] for shard in shards], [shard["count"] for shard in shards]
    return ShardedImages(folder, names, counts, manifest["shape"][1], ends), labels, manifest


def _read_numbers(folder: Path, name: str, count: int, sums: dict[str, str]) -> np.ndarray:
    """labels.npy or ends.npy, small enough to be compared with its checksum every time."""
    path = folder / f"{name}.npy"
    if not path.is_file() or hash_file(path) != sums[name]:
        harm = "is damaged: wrong checksum" if path.is_file() else "is missing"
        raise ValueError(f"{path} {harm}. {_repair(folder)}")
    numbers = np.load(path, allow_pickle=False)
    if numbers.shape != (count,) or numbers.dtype != np.int64:
        raise ValueError(f"{path} does not fit the manifest. {_repair(folder)}")
    return numbers


def hash_file(path: str | Path) -> str:
    """The SHA-256 of a file, as `sha256sum` prints it."""
    hashed = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(HASH_BYTES):
            hashed.update(chunk)
    return hashed.hexdigest()


def _repair(folder: Path, option: str = "") -> str:
    """How to mend a split: the command that packed it, which keeps what is whole."""
    command = f"python -m alexnet_lib data pack FOLDER --out {folder.parent}"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        command = json.loads((folder / "plan.json").read_text(encoding="utf-8"))["command"]
    command = f"{command} {option}".strip()
    return f"Mend it with: {command}  (it keeps what is whole and writes the rest anew)."


def cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
