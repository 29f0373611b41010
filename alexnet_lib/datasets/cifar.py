"""CIFAR-10 as its authors publish it: five batches to train on and one to test."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np

__all__ = ["CLASSES", "has_batches", "read_batches"]

CLASSES = [
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
]  # fmt: skip
PIXELS = 3 * 32 * 32


def has_batches(folder: str | Path) -> bool:
    """Whether a folder holds CIFAR-10's batches, in the binary or the Python version."""
    return _paths(Path(folder), "test")[0].is_file()


def _paths(folder: Path, split: str) -> list[Path]:
    names = [f"data_batch_{n}" for n in range(1, 6)] if split == "train" else ["test_batch"]
    ending = ".bin" if (folder / "test_batch.bin").is_file() else ""
    return [folder / (name + ending) for name in names]


def read_batches(folder: str | Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 32, 32, 3) uint8 and labels (N,) int64 of "train", or else of the test batch.

    Errors: FileNotFoundError for a missing batch, ValueError for a damaged one.
    """
    images, labels = [], []
    for path in _paths(Path(folder), split):
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing. Delete {folder} and run: python -m alexnet_lib data cifar10"
            )
        read = _read_binary if path.suffix == ".bin" else _read_python
        try:
            batch_images, batch_labels = read(path)
            valid = len(batch_labels) > 0 and 0 <= batch_labels.min() <= batch_labels.max() < 10
            if not valid or batch_images.shape != (len(batch_labels), PIXELS):
                raise ValueError("its sizes or labels are not CIFAR-10's")
        except (ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
            raise ValueError(
                f"{path} is damaged ({error}). Delete {folder} and run: "
                "python -m alexnet_lib data cifar10"
            ) from error
        images.append(batch_images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))  # N H W C
        labels.append(batch_labels)
    return np.ascontiguousarray(np.concatenate(images)), np.concatenate(labels)


def _read_binary(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A record is one byte for the label, then the red, the green and the blue plane."""
    rows = np.fromfile(path, np.uint8).reshape(-1, 1 + PIXELS)
    return rows[:, 1:], rows[:, 0].astype(np.int64)


class _ArraysOnly(pickle.Unpickler):
    """A pickle can run any code; this one lets nothing through but numpy arrays."""

    def find_class(self, module: str, name: str) -> object:
        allowed = {"_reconstruct", "ndarray", "dtype"}
        if module.split(".")[0] == "numpy" and name in allowed:
            module = module.replace("numpy.core", "numpy._core")
            return super().find_class(module, name)
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it holds a {module}.{name}, which is no array")


def _read_python(path: Path) -> tuple[np.ndarray, np.ndarray]:
    batch = _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    return np.asarray(batch[b"data"], np.uint8), np.asarray(batch[b"labels"], np.int64)
