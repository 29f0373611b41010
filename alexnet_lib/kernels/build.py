"""The library's C kernels: built on first use, loaded, and run on slices of the work by threads.

The threads are torch's own where the compiler knows OpenMP as torch does, and Python's elsewhere.
The kernels serve on the CPU where there is a C compiler; everywhere else torch's own operations do
the same work. `dispatch` decides.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

__all__ = ["Crops", "Maps", "Pools", "Step", "Tiles", "compiled_library", "run"]

SOURCES = tuple(sorted(Path(__file__).with_name("c").glob("*.c")))
FLAGS = ["-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC"]
# OpenMP without a runtime of its own: the names are found in torch's, or the library won't load.
BUILDS = {"-team": ["-fopenmp", "-nodefaultlibs", "-lm", "-lgcc", "-lc"], "": ["-lm"]}
KERNELS = (
    "crop", "from_tiles", "lrn_backward", "lrn_forward", "pool_backward", "pool_forward",
    "sgd_step", "to_tiles",
)  # fmt: skip
HOME = os.getpid()
PATIENCE = 3.0  # seconds of compiling after which a message says what the wait is for
SIZE, REAL, INT, POINTER = ctypes.c_ssize_t, ctypes.c_float, ctypes.c_int, ctypes.c_void_p


class Step(ctypes.Structure):
    """The struct of the same name in c/sgd.c."""

    _fields_ = [(name, REAL) for name in ("momentum", "minus_lr", "minus_decay")]


class Maps(ctypes.Structure):
    """The struct of the same name in c/lrn.c."""

    _fields_ = [
        *((name, SIZE) for name in ("images", "channels", "positions", "group")),
        *((name, SIZE) for name in ("behind", "ahead", "n")),
        *((name, INT) for name in ("channels_last", "half", "relu")),
        *((name, REAL) for name in ("c", "beta", "k")),
    ]  # fmt: skip


class Pools(ctypes.Structure):
    """The struct of the same name in c/pool.c."""

    _fields_ = [
        *((name, SIZE) for name in ("images", "channels", "H", "W", "outH", "outW")),
        *((name, SIZE) for name in ("kernel", "stride", "padding")),
        ("channels_last", INT),
    ]  # fmt: skip


class Tiles(ctypes.Structure):
    """The struct of the same name in c/tiles.c."""

    _fields_ = [
        *((name, SIZE) for name in ("H", "W", "groups", "channels", "padding")),
        *((name, SIZE) for name in ("rows", "columns", "step", "n", "side", "apart", "base")),
    ]  # fmt: skip


class Crops(ctypes.Structure):
    """The struct of the same name in c/crop.c."""

    _fields_ = [(name, SIZE) for name in ("W", "C", "size")]


def _cache_folder() -> Path:
    base = os.environ.get("ALEXNET_KERNEL_CACHE") or os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "alexnet_lib"


def _cpu_flags() -> str:
    """Return what tells this processor from another, so that a shared cache stays right."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return ""


def _build(compiler: str, library: Path, options: list[str]) -> None:
    """Compile the sources into one library, which appears whole or not at all."""
    message = "compiling the C kernels, once on this machine..."
    timer = threading.Timer(PATIENCE, print, [message], {"file": sys.stderr})
    timer.start()
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:  # others may build it too
            built = Path(folder) / library.name
            command = [compiler, *FLAGS, *map(str, SOURCES), "-o", str(built), *options]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            os.replace(built, library)
    finally:
        timer.cancel()


@cache
def compiled_library() -> ctypes.CDLL | None:
    """Return the compiled C kernels, building them on first use, or None where that can't be."""
    found = filter(None, map(shutil.which, ("cc", "gcc", "clang")))
    compiler = os.environ.get("CC") or next(found, None)
    if not compiler or os.name == "nt":
        return None
    identity = f"{compiler}{FLAGS}{BUILDS}{platform.machine()}{platform.processor()}{_cpu_flags()}"
    digest = hashlib.sha256(identity.encode())
    for source in SOURCES:
        digest.update(source.read_bytes())
    for kind, options in BUILDS.items():
        library = _cache_folder() / f"kernels-{digest.hexdigest()[:16]}{kind}.so"
        try:
            if not library.exists():
                _build(compiler, library, options)
            return _declared(ctypes.CDLL(str(library)))
        except (OSError, subprocess.SubprocessError):
            pass  # the next kind, or the portable path, gives the same numbers
    return None


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """Tell ctypes what the functions take and give."""
    for name, arguments, result in (
        ("share_out", [*[POINTER] * 3, SIZE, SIZE, INT], INT),
        ("lrn_units", [ctypes.POINTER(Maps)], SIZE),
    ):
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    for name in KERNELS:
        function = getattr(library, name)
        function.argtypes, function.restype = [POINTER, POINTER, SIZE, SIZE], None
    return library


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)  # one a process: threads don't survive a fork


def run(
    name: str, shape: ctypes.Structure, arrays: Sequence[int | None], units: int, threads: int
) -> None:
    """Run a kernel over `units` units of its work; ctypes releases the GIL.

    name: in KERNELS. shape: the kernel's struct. arrays: addresses, in the order that the kernel
    says. There are more slices than threads, so that a thread that is kept waiting does less.
    """
    library = compiled_library()
    kernel, given = getattr(library, name), (ctypes.c_void_p * len(arrays))(*arrays)
    place = ctypes.addressof(shape), ctypes.addressof(given)
    threads = max(1, min(threads, units))
    if threads == 1:
        kernel(*place, 0, units)
        return
    pieces = min(units, 4 * threads)
    whole = os.getpid() == HOME  # OpenMP's threads are lost in a fork, and it doesn't know
    if whole and library.share_out(kernel, *place, units, pieces, threads):
        return
    edges = [units * number // pieces for number in range(pieces + 1)]
    work = partial(kernel, *place)
    list(_pool(threads, os.getpid()).map(work, edges[:-1], edges[1:]))
