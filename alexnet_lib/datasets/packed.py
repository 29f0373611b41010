"""The packed format: uint8 pixels in one memory-mapped array, labels, and a manifest."""

from __future__ import annotations

import contextlib
import hashlib
import json
import lzma
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm import tqdm

from .. import _files
from .._errors import unknown_name

__all__ = [
    "FORMAT_VERSION",
    "HEADER_BYTES",
    "ImageSet",
    "is_packed",
    "pack",
    "read_manifest",
    "read_packed",
    "write_header",
    "write_packed",
]

FORMAT_VERSION = 1
SECONDS_BETWEEN_SAVES = 5.0
MANIFEST_KEYS = {
    "name", "split", "classes", "source", "note", "resize", "fingerprint", "count", "shape",
    "skipped", "sha256",
}  # fmt: skip
HASH_BYTES = 1 << 24
HEADER_BYTES = 128  # of a .npy file, whatever the count

#: One item of a stream to pack: the image (H, W, C) with its label, or, in the image's place,
#: a sentence that says why there is none.
Item = tuple[np.ndarray | str, int]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with their labels.

    images: (N, H, W, C) uint8, an array, a read-only memory map or a shards.ShardedImages, which
        is indexed along its first axis only; C is 1 or 3.
    labels: (N,) int64, each an index into `classes`.
    classes: the names, in the order of the labels.
    name, split: what was loaded, such as "imagenette" and "train".
    note: one sentence on what exactly the pictures are; results quote it.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: list[str]
    name: str
    split: str
    note: str = ""

    def __post_init__(self) -> None:
        check_arrays(self.images, self.labels, self.classes)

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Iterable[int] | np.ndarray) -> ImageSet:
        """The images at `indices` (integers, a slice's range or a boolean mask), copied.

        Pictures in shards stay on disk: only their numbers are kept.
        """
        chosen = np.asarray(indices if isinstance(indices, np.ndarray) else list(indices))
        if chosen.size == 0:
            chosen = chosen.astype(np.int64)
        in_memory = isinstance(self.images, np.ndarray)
        images = np.asarray(self.images[chosen]) if in_memory else self.images.select(chosen)
        return replace(self, images=images, labels=self.labels[chosen])

    def only(self, classes: Sequence[str]) -> ImageSet:
        """The images of some classes, copied; labels then count in the order given.

        Raises ValueError for a name that isn't among the classes, with the nearest one.
        """
        for name in classes:
            if name not in self.classes:
                raise unknown_name(f"class of {self.name}", name, self.classes)
        new_label = {self.classes.index(name): label for label, name in enumerate(classes)}
        kept = self.subset(np.isin(self.labels, list(new_label)))
        labels = np.array([new_label[label] for label in kept.labels.tolist()], np.int64)
        return replace(kept, labels=labels, classes=list(classes))

    def __repr__(self) -> str:
        height, width, channels = self.images.shape[1:]
        return (
            f"ImageSet({self.name}/{self.split}: {len(self):,} images, "
            f"{height} x {width} x {channels}, {len(self.classes)} classes)"
        )


def check_arrays(images: np.ndarray, labels: np.ndarray, classes: list[str]) -> None:
    """Raise ValueError unless images, labels and classes belong together."""
    if images.ndim != 4 or images.shape[3] not in (1, 3) or images.dtype != np.uint8:
        raise ValueError(
            f"images have shape {images.shape} and type {images.dtype}; an image set needs "
            "(N, H, W, 1 or 3) and uint8. Convert them before."
        )
    if labels.shape != (len(images),) or labels.dtype != np.int64:
        raise ValueError(
            f"labels have shape {labels.shape} and type {labels.dtype} for {len(images)} images; "
            "an image set needs one int64 label an image."
        )
    if len(labels) and not (0 <= labels.min() and labels.max() < len(classes)):
        raise ValueError(
            f"labels run from {labels.min()} to {labels.max()}, but there are {len(classes)} "
            f"classes; they must lie in 0..{len(classes) - 1}."
        )


def pack(
    folder: str | Path,
    items_from: Callable[[int], Iterable[Item]],
    total: int,
    shape: tuple[int, int, int],
    about: dict,
    max_skipped: int = 0,
    progress: bool = True,
) -> Path:
    """Write a packed folder from a stream of images, and take up again where it was interrupted.

    folder: where the finished set will stand; it appears only when complete.
    items_from: called with the number of items already done, gives the remaining ones in order.
    total: how many items there are in all.
    shape: (H, W, C) of every image.
    about: the manifest's `name`, `split`, `classes`, `source`, `note`, `resize`, `fingerprint`;
        work left by an interruption is used only if its `about` was the same.
    max_skipped: how many items may lack an image before ValueError.
    Returns the folder. Another process packing the same folder is waited for.
    """
    folder = Path(folder)
    partial = folder.with_name(folder.name + ".partial")
    advice = (
        "Free some space, change the permissions, or let the environment variable ALEXNET_CACHE "
        "name another folder."
    )
    with _files.errors_in_words(folder, advice):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _files.lock(folder.with_name(folder.name + ".lock")) as touch_lock:
            if is_packed(folder):
                return folder
            partial.mkdir(exist_ok=True)
            state = _resume(partial, about, shape)
            bar = tqdm(
                total=total, initial=state["done"], unit="image", disable=not progress,
                desc=f"packing {about['name']}/{about['split']} at {shape[0]} px", delay=0.5,
            )  # fmt: skip
            with bar:
                items = items_from(state["done"])
                hashes = _write_items(partial, items, state, shape, max_skipped, bar, touch_lock)
            if state["done"] != total:
                raise ValueError(f"the stream gave {state['done']} items instead of {total}.")
            manifest = {
                "format_version": FORMAT_VERSION,
                **about,
                "count": state["count"],
                "shape": [state["count"], *shape],
                "skipped": state["skipped"],
                "sha256": hashes,
            }
            _files.write_json(partial / "manifest.json", manifest)
            (partial / "progress.json").unlink(missing_ok=True)
            os.replace(partial, folder)
    return folder


def _write_items(
    partial: Path, items: Iterable[Item], state: dict, shape: tuple[int, int, int],
    max_skipped: int, bar: tqdm, touch_lock: Callable[[], None],
) -> dict[str, str]:  # fmt: skip
    """Append all items to the arrays, saving `state` now and then; return the checksums."""
    with (
        open(partial / "images.npy", "r+b") as images,
        open(partial / "labels.npy", "r+b") as labels,
    ):
        hashes = _reopen(images, labels, state["count"], shape)
        saved_at = time.monotonic()
        try:
            for image, label in items:
                if isinstance(image, str):
                    state["skipped"].append(image)
                else:
                    _append(images, labels, hashes, image, label, shape)
                    state["count"] += 1
                state["done"] += 1
                bar.update()
                if len(state["skipped"]) > max_skipped:
                    raise ValueError(_too_many_skipped(state, bar.total, max_skipped))
                if time.monotonic() - saved_at > SECONDS_BETWEEN_SAVES:
                    _save(partial, images, labels, state)
                    touch_lock()
                    saved_at = time.monotonic()
        except BaseException:
            with contextlib.suppress(OSError):
                _save(partial, images, labels, state)
            raise
        write_header(images, (state["count"], *shape), np.uint8)
        write_header(labels, (state["count"],), np.int64)
    return {name: hashed.hexdigest() for name, hashed in hashes.items()}


def write_packed(
    folder: str | Path, images: ImageSet, source: str = "", resize: str = "none"
) -> Path:
    """Write an image set as a packed folder; FileExistsError if the folder is there already.

    source: where the pictures came from. resize: the rule by which they got their size.
    """
    if Path(folder).exists():
        raise FileExistsError(f"{folder} exists. Delete it first, or give another folder.")
    about = {
        "name": images.name, "split": images.split, "classes": list(images.classes),
        "source": source, "note": images.note, "resize": resize, "fingerprint": "",
    }  # fmt: skip

    def items_from(start: int) -> Iterator[Item]:
        return ((images.images[i], int(images.labels[i])) for i in range(start, len(images)))

    shape = images.images.shape[1:]
    return pack(folder, items_from, len(images), shape, about, progress=False)


def is_packed(folder: str | Path) -> bool:
    """Whether a folder holds a finished packed set."""
    return (Path(folder) / "manifest.json").is_file()


def read_manifest(folder: str | Path) -> dict:
    """A packed folder's manifest; FileNotFoundError without one, ValueError if damaged."""
    folder = Path(folder)
    if not is_packed(folder):
        raise FileNotFoundError(f"{folder} holds no manifest.json, so it is not a packed set.")
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        version = manifest["format_version"]
        if version == FORMAT_VERSION:
            missing = MANIFEST_KEYS - manifest.keys()
            if not missing:
                return manifest
            raise KeyError(", ".join(sorted(missing)))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{folder / 'manifest.json'} is damaged ({error!r}). {_repair(folder)}"
        ) from error
    raise ValueError(
        f"{folder} has packed format {version!r}, this library reads {FORMAT_VERSION}. "
        + _repair(folder)
    )


def _repair(folder: Path) -> str:
    return f"Delete {folder} and load the set again: it will be packed anew."


def read_packed(folder: str | Path, verify: bool = False) -> ImageSet:
    """Open a packed folder; the pixels stay on disk until they are used.

    Arrays with .xz after their names, as small sets may have, are unpacked into memory.

    verify: also compare the checksums, which reads every byte.
    Errors: FileNotFoundError without a manifest; ValueError for another format version, or when
    a file does not have the size or the checksum that the manifest states.
    """
    folder = Path(folder)
    repair = _repair(folder)
    manifest = read_manifest(folder)
    shape, hashes = tuple(manifest["shape"]), manifest["sha256"]
    about = [manifest[key] for key in ("classes", "name", "split", "note")]
    images = _open_array(folder / "images.npy", shape, np.uint8, repair)
    labels = np.array(_open_array(folder / "labels.npy", shape[:1], np.int64, repair))
    if verify:
        for name, array in (("images", images), ("labels", labels)):
            if _sha256(array) != hashes[name]:
                raise ValueError(f"{folder / name}.npy is damaged: wrong checksum. {repair}")
    return ImageSet(images, labels, *about)


def _open_array(path: Path, shape: tuple[int, ...], dtype: type, repair: str) -> np.ndarray:
    squeezed = path.with_name(path.name + ".xz")
    if not path.is_file() and not squeezed.is_file():
        raise ValueError(f"{path} is missing. {repair}")
    if math.prod(shape) == 0:
        return np.zeros(shape, dtype)
    try:
        if path.is_file():
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            with lzma.open(squeezed) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, OSError, EOFError, lzma.LZMAError) as error:
        raise ValueError(f"{path} is damaged or cut short ({error}). {repair}") from error
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(
            f"{path} is damaged: it holds {array.dtype} {array.shape}, "
            f"the manifest says {np.dtype(dtype)} {shape}. {repair}"
        )
    if path.is_file() and path.stat().st_size != array.offset + array.nbytes:
        raise ValueError(f"{path} is damaged: it has bytes after its array. {repair}")
    return array


def _sha256(array: np.ndarray) -> str:
    hashed, raw = hashlib.sha256(), array.reshape(-1).view(np.uint8)
    for start in range(0, len(raw), HASH_BYTES):
        hashed.update(raw[start : start + HASH_BYTES])
    return hashed.hexdigest()


def write_header(file: BinaryIO, shape: tuple[int, ...], dtype: type) -> None:
    """Write a .npy header at the file's start, over the one that is there."""
    file.seek(0)
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False}
    np.lib.format.write_array_header_1_0(file, {**header, "shape": shape})
    assert file.tell() == HEADER_BYTES, "numpy pads headers so that an array can grow"


def _reopen(images: BinaryIO, labels: BinaryIO, count: int, shape: tuple[int, int, int]) -> dict:
    """Cut both files back to `count` rows, stand at their ends, and hash what is there."""
    hashes = {}
    rows = {"images": (images, shape, np.uint8), "labels": (labels, (), np.int64)}
    for name, (file, row_shape, dtype) in rows.items():
        row_bytes = math.prod(row_shape) * np.dtype(dtype).itemsize
        write_header(file, (count, *row_shape), dtype)
        file.truncate(HEADER_BYTES + count * row_bytes)
        hashes[name] = hashlib.sha256()
        while chunk := file.read(HASH_BYTES):
            hashes[name].update(chunk)
    return hashes


def _append(
    images: BinaryIO, labels: BinaryIO, hashes: dict, image: np.ndarray, label: int, shape: tuple
) -> None:
    if image.shape != shape or image.dtype != np.uint8:
        raise ValueError(f"an image is {image.dtype} {image.shape}; all must be uint8 {shape}.")
    for name, file, row in (("images", images, image), ("labels", labels, np.int64(label))):
        raw = row.tobytes()
        file.write(raw)
        hashes[name].update(raw)


def _resume(partial: Path, about: dict, shape: tuple[int, int, int]) -> dict:
    """What an interrupted run left, if it is whole and of the same set; else a fresh start."""
    images, labels = partial / "images.npy", partial / "labels.npy"
    with contextlib.suppress(OSError, ValueError, KeyError):
        state = json.loads((partial / "progress.json").read_text(encoding="utf-8"))
        least_image_bytes = HEADER_BYTES + state["count"] * math.prod(shape)
        least_label_bytes = HEADER_BYTES + state["count"] * 8
        whole = (
            images.stat().st_size >= least_image_bytes
            and labels.stat().st_size >= least_label_bytes
        )
        if state["about"] == about and whole:
            return state
    for path in (images, labels):
        path.write_bytes(b"")
    return {"about": about, "done": 0, "count": 0, "skipped": []}


def _save(partial: Path, images: BinaryIO, labels: BinaryIO, state: dict) -> None:
    images.flush()
    labels.flush()
    _files.write_json(partial / "progress.json", state)


def _too_many_skipped(state: dict, total: int, max_skipped: int) -> str:
    return (
        f"{len(state['skipped'])} of the first {state['done']} images (of {total}) cannot be "
        f"read; at most {max_skipped} may be skipped:\n  " + "\n  ".join(state["skipped"][:5]) +
        "\nReplace or delete them, or load with skip_broken=True to leave out every such image."
    )
