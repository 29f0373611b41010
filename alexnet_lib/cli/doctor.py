"""Is this machine ready for the course? One line for each requirement, and the next step."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from .bootstrap import LOCK, MINIMUM_PYTHON, ROOT, read_lock

__all__ = ["Check", "print_report", "report", "run"]

GIGABYTE = 1e9
MEMORY_WANTED = 4 * GIGABYTE
DISK_WANTED, DISK_NEEDED = 2 * GIGABYTE, 0.2 * GIGABYTE
REINSTALL = "run `make lab` again, or: pip install -r requirements.lock"

Status = Literal["OK", "WARN", "FAIL"]


@dataclass(frozen=True)
class Check:
    """One requirement: its name, how it stands, what was found, and what to do if it isn't OK."""

    name: str
    status: Status
    found: str
    next_step: str = ""


def run() -> list[Check]:
    """Examine this machine and this Python environment; takes a few seconds, raises nothing."""
    examinations: list[Callable[[], list[Check]]] = [
        _python, _packages, _cores, _memory, _disk, _device, _data, _widgets, _compiler
    ]  # fmt: skip
    checks = []
    for examine in examinations:
        try:
            checks += examine()
        except Exception as error:  # the doctor must not fall ill himself
            name = examine.__name__.strip("_")
            found = f"could not be examined: {type(error).__name__}: {error}"
            checks.append(Check(name, "WARN", found, "the course may work all the same; try it"))
    return checks


def print_report(checks: list[Check], *, stable: bool = False) -> None:
    """Print one line for each check, and the next step below those that are not OK.

    With `stable`, the same text on every machine that is able to follow the course: names only,
    and OK also where something is slow or small.
    """
    for check in checks:
        status = "OK" if stable and check.status == "WARN" else check.status
        found = "" if stable and status == "OK" else check.found
        print(f"{status:4}  {check.name:16} {found}".rstrip())
        if check.next_step and status != "OK":
            print(f"      {'':16} next: {check.next_step}")
    failed = sum(check.status == "FAIL" for check in checks)
    print(f"{failed} to repair." if failed else "This machine is ready.")


def report(*, stable: bool = False) -> int:
    """Examine and print; returns 0, or 1 if something has to be repaired first."""
    checks = run()
    print_report(checks, stable=stable)
    return int(any(check.status == "FAIL" for check in checks))


def _python() -> list[Check]:
    wanted = ".".join(map(str, MINIMUM_PYTHON))
    if sys.version_info < MINIMUM_PYTHON:
        step = f"install Python {wanted} or later, delete .venv, then `make lab PYTHON=...`"
        return [Check("Python", "FAIL", sys.version.split()[0], step)]
    return [Check("Python", "OK", sys.version.split()[0])]


def _packages() -> list[Check]:
    """One check for each package the course names, one for all that these bring along."""
    bounds = _lower_bounds()
    locked = _locked_here()
    checks, others = [], []
    for name, version in locked.items():
        check = _compare(name, version, bounds.get(name))
        (checks if name in bounds else others).append(check)
    checks += [
        Check(name, "WARN", "not in requirements.lock", "make the lock anew with `make lock`")
        for name in bounds.keys() - locked.keys()
    ]
    checks.sort(key=lambda check: check.name)
    strange = [check for check in others if check.status != "OK"]
    worst = max((check.status for check in strange), key=("OK", "WARN", "FAIL").index, default="OK")
    found = f"{len(others) - len(strange)} of {len(others)} as in requirements.lock" + "".join(
        f"; {check.name} {check.found}" for check in strange
    )
    return [*checks, Check("other packages", worst, found, REINSTALL if strange else "")]


def _compare(name: str, locked: str, bound: str | None) -> Check:
    """Hold the installed version of a package against the lock and the lowest version that works.

    A version of a package that nobody set a bound for is never more than a warning.
    """
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, "FAIL", "missing", REINSTALL)
    if installed.split("+")[0] == locked:  # 2.14.1+cpu is 2.14.1 built for another device
        return Check(name, "OK", installed)
    from packaging.version import Version

    if bound and Version(installed) < Version(bound):
        return Check(name, "FAIL", f"{installed}, but {bound} or later is needed", REINSTALL)
    return Check(name, "WARN", f"{installed}, tested with {locked}", f"if it fails, {REINSTALL}")


def _lower_bounds() -> dict[str, str]:
    """The packages that the course itself names, with the lowest version that works."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pairs = (re.fullmatch(r"([\w.-]+)\s*>=\s*([\w.]+)", text) for text in project["dependencies"])
    return {pair[1].lower(): pair[2] for pair in pairs if pair}


def _locked_here() -> dict[str, str]:
    """The version that the lock asks for on this system, by package."""
    from packaging.markers import Marker

    return {
        name: version
        for name, version, marker in read_lock(LOCK)
        if not marker or Marker(marker).evaluate()
    }


def _cores() -> list[Check]:
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    if cores < 2:
        return [Check("cores", "WARN", "1", "it works; chapters take about twice their minutes")]
    return [Check("cores", "OK", str(cores))]


def _memory() -> list[Check]:
    total = _total_memory()
    found = f"{total / GIGABYTE:.1f} GB in all"
    if total < MEMORY_WANTED:
        return [Check("memory", "WARN", found, "close other programs, open one chapter at a time")]
    return [Check("memory", "OK", found)]


def _total_memory() -> float:
    """Bytes of memory that this process may count on."""
    if os.name == "nt":
        import ctypes

        class Status(ctypes.Structure):  # MEMORYSTATUSEX
            _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
                (f"quantity{number}", ctypes.c_ulonglong) for number in range(7)
            ]

        status = Status(length=ctypes.sizeof(Status))
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return float(status.quantity0)
    total = float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")  # a container's share
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        total = min(total, float(text))
    return total


def _disk() -> list[Check]:
    free = shutil.disk_usage(ROOT).free
    found = f"{free / GIGABYTE:.1f} GB free"
    if not os.access(ROOT, os.W_OK):
        step = f"make {ROOT} writable: answers and runs are kept there"
        return [Check("disk", "FAIL", "the course's folder is read-only", step)]
    if free < DISK_WANTED:
        status: Status = "FAIL" if free < DISK_NEEDED else "WARN"
        return [Check("disk", status, found, "free 2 GB, or runs and downloads won't fit")]
    return [Check("disk", "OK", found)]


def _device() -> list[Check]:
    import torch

    if torch.cuda.is_available():
        found = f"cuda: {torch.cuda.get_device_name(0)}"
    elif torch.backends.mps.is_available():
        found = "mps: Apple GPU"
    else:
        found = "cpu: all chapters work; a GPU makes them faster and bigger"
    return [Check("device", "OK", found)]


def _data() -> list[Check]:
    from .. import datasets

    if not (ROOT / "data" / "fashion_mnist").is_dir():
        step = "the clone is incomplete: `git checkout -- data`, or clone again"
        return [Check("data sets", "FAIL", "data/fashion_mnist is missing", step)]
    places = datasets.found()
    here = ", ".join(name for name, place in places.items() if place)
    absent = ", ".join(name for name, place in places.items() if not place)
    more = f" (not needed: {absent}; see `python -m alexnet_lib data`)" if absent else ""
    return [Check("data sets", "OK", here + more)]


def _widgets() -> list[Check]:
    """Sliders need one environment on both sides: JupyterLab, and the kernel (this process)."""
    versions = {name: metadata.version(name) for name in ("ipywidgets", "jupyterlab_widgets")}
    extensions = Path(sys.prefix) / "share" / "jupyter" / "labextensions"
    step = f"install into the environment that runs this kernel: {REINSTALL}"
    for plugin in ("@jupyter-widgets/jupyterlab-manager", "anywidget"):
        if not (extensions / plugin / "package.json").is_file():
            return [Check("widgets", "FAIL", f"JupyterLab's part {plugin} is missing", step)]
    if versions["ipywidgets"].split(".")[0] != "8":
        return [Check("widgets", "WARN", f"ipywidgets {versions['ipywidgets']}, not 8", step)]
    server = _server_python()
    if server is not None and server.parent.parent.resolve() != Path(sys.prefix).resolve():
        step = "open the course with `make lab`, or choose this environment's kernel"
        found = f"JupyterLab runs in {server.parent.parent}, this kernel in {sys.prefix}"
        return [Check("widgets", "WARN", found, step)]
    found = ", ".join(f"{name} {version}" for name, version in versions.items())
    return [Check("widgets", "OK", found)]


def _server_python() -> Path | None:
    """The interpreter of the Jupyter server that started this kernel; None if that is unknown."""
    command = Path(f"/proc/{os.environ.get('JPY_PARENT_PID', '')}/cmdline")
    if "JPY_PARENT_PID" not in os.environ or not command.is_file():
        return None
    python = Path(command.read_bytes().split(b"\0")[0].decode())
    return python if python.is_absolute() and python.name.startswith("python") else None


def _compiler() -> list[Check]:
    from ..kernels import dispatch

    if not dispatch.compiled():
        step = "to speed LRN up on Linux or macOS, install a C compiler (gcc or clang)"
        return [Check("C compiler", "WARN", "none: LRN takes the slower way, same numbers", step)]
    return [Check("C compiler", "OK", "found: LRN runs as compiled C")]
