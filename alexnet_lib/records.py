"""Run records: what was run, on what, how long it took and what came out, as JSON.

Every number that the course calls measured is read from a record. The ones that ship lie in
data/records; a learner's own lie in the folder of each run.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from . import _files

__all__ = ["FORMAT", "command", "environment", "folder", "names", "read", "root", "write"]

FORMAT = 1
COMMANDS = {  # record -> the command that makes it
    "bench_gpu": "python -m alexnet_lib gpu-day --only bench",
    "bench_sliders": "python -m alexnet_lib bench sliders --out data/records/bench_sliders.json",
    "layer_costs": "python -m alexnet_lib bench layers --out data/records/layer_costs.json",
    "imagenet_paper": "python -m alexnet_lib train --data imagenet --recipe paper2012 "
    "--out runs/imagenet",
    "imagenette_long": "python -m alexnet_lib gpu-day --only data,imagenette",
    "imagenette_modern": "python -m alexnet_lib gpu-day --only data,more",
    "imagenette_paper": "python -m alexnet_lib train --data imagenette "
    "--recipe paper2012_small_data --out runs/imagenette --filter-moments 60",
}


def root() -> Path:
    """Return the folder that holds chapters/, data/ and alexnet_lib/."""
    return _files.ROOT


def folder() -> Path:
    """Return the folder of the records that ship with the course."""
    return root() / "data" / "records"


def names() -> list[str]:
    """Return the names of the records that ship, sorted."""
    return sorted(path.stem for path in folder().glob("*.json"))


def command(name: str) -> str:
    """Return the command that makes the record `name`."""
    return COMMANDS.get(name, f"python -m alexnet_lib experiment {name}")


def environment() -> dict[str, Any]:
    """Return hardware, versions and commit, as every record keeps them."""
    packages = {}
    for package in ("torch", "torchvision", "numpy"):
        try:
            packages[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            packages[package] = "missing"
    hardware = {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": _cores(),
        "gpu": _gpu(),
    }
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "packages": packages,
        "hardware": hardware,
        "commit": _commit(),
    }


def _cores() -> int | None:
    if hasattr(os, "sched_getaffinity"):  # what this process may use; Linux alone tells
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _processor() -> str:
    """Return the processor's name, and how wide its vectors are where Linux tells: virtual machines
    give processors of several generations one name, and the widths set them apart."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    told = dict(reversed([[part.strip() for part in line.partition(":")[::2]] for line in lines]))
    name = told.get("model name") or platform.processor() or platform.machine()
    flags = told.get("flags", "").split()
    wide = next((w for flag, w in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "")
    return f"{name} with {wide}" if wide else name


def _gpu() -> str | None:
    torch = sys.modules.get("torch")  # numerics that never loaded torch need no GPU's name
    if torch is None or not torch.cuda.is_available():
        return None
    return torch.cuda.get_device_name(0)


def _commit() -> str:
    """Return the commit of the course's checkout, "unknown" where there is none."""
    command = ["git", "-C", str(root()), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def write(path: str | Path, record: dict[str, Any]) -> Path:
    """Write a record, whole or not at all.

    path: a .json file, or a bare name for a record that ships. The format's version is added.
    Returns the path. Raises OSError with words where there is no space or no permission.
    """
    path = _path(path)
    text = json.dumps({"format": FORMAT, **record}, indent=1, allow_nan=False) + "\n"
    try:
        _files.write_text(path, text)
    except OSError as error:
        raise OSError(
            error.errno,
            f"can't write the record {path}: {error.strerror}. "
            "Free some space, or choose another folder with --out",
        ) from error
    return path


def read(path: str | Path) -> dict[str, Any]:
    """Read a record by its path, or by its name if it ships with the course.

    Raises FileNotFoundError, with the command that makes it, where there is none; ValueError for
    a file that isn't a record or comes from a newer version of the course.
    """
    name, path = str(path), _path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no record {path}; make it with: {command(name)}")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a record: {error}. Delete it and run again.") from error
    if not isinstance(record, dict) or not isinstance(record.get("format"), int):
        raise ValueError(
            f"{path} is JSON but not a record: it has no 'format'. Delete it and run again."
        )
    if record["format"] > FORMAT:
        raise ValueError(
            f"{path} has format {record['format']}; this version reads up to {FORMAT}. "
            "Update the course (git pull)."
        )
    return record


def _path(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix == ".json" else folder() / f"{path}.json"
