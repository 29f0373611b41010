"""Make the course's Python environment: `python3 -m alexnet_lib.cli.bootstrap`.

It needs nothing but Python itself. The environment is a folder `.venv` beside this package that
holds exactly what `requirements.lock` names. A stamp is written as the very last step, so that an
interrupted installation is never taken for a complete one, and a complete one is known at once,
without a network.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .._files import ROOT, write_text

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = [
    "LAB_SETTINGS",
    "LOCK",
    "MINIMUM_PYTHON",
    "ROOT",
    "is_ready",
    "main",
    "prepare",
    "python_of",
    "read_lock",
    "set_up",
]

MINIMUM_PYTHON = (3, 11)
LOCK = ROOT / "requirements.lock"
LAB_SETTINGS = {  # JupyterLab's defaults, changed: no question about news, no look for updates
    "@jupyterlab/apputils-extension:notification": {
        "checkForUpdates": False,
        "fetchNews": "false",
    },
}

_STAMP = ".complete"
_UNFINISHED = ".unfinished"
_PLACES = (
    "import json, sys, sysconfig; print(json.dumps([sys.prefix, sysconfig.get_path('purelib')]))"
)
_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)(\s*;\s*(?P<marker>.+))?$")


class SetUpError(RuntimeError):
    """What went wrong, and the next step."""


def read_lock(path: Path | str = LOCK) -> list[tuple[str, str, str]]:
    """Read the pinned packages of a lock file.

    Returns (name, version, marker) for each line, in the file's order; the name is in lower case
    with hyphens, the marker is "" where the package is for every system.
    Raises ValueError for a line that is not `name==version ; marker`.
    """
    packages = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        line = line.split("#", 1)[0].strip()
        if not line:
            continue
        match = _LINE.match(line)
        if match is None:
            raise ValueError(
                f"{path}, line {number}: {line!r} is not of the form 'name==version ; marker'. "
                "Make the file anew with `make lock`."
            )
        name = re.sub(r"[-_.]+", "-", match["name"]).lower()
        packages.append((name, match["version"], match["marker"] or ""))
    return packages


def python_of(venv: Path) -> Path:
    """The interpreter inside the virtual environment `venv`, whether it exists or not."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def is_ready(venv: Path, lock: Path = LOCK) -> bool:
    """Whether `venv` holds a complete installation of `lock`; looks at three small files only."""
    stamp = venv / _STAMP
    return (
        stamp.is_file()
        and python_of(venv).exists()
        and stamp.read_text(encoding="utf-8") == _fingerprint(lock)
    )


def set_up(venv: Path, lock: Path = LOCK, root: Path = ROOT) -> bool:
    """Make `venv` hold what `lock` names and find this course's library.

    Returns False if that was so already, True if something was installed. What a broken-off
    call left behind is thrown away first. Raises SetUpError with the next step.
    """
    if is_ready(venv, lock):
        return False
    with _alone(lock):
        if is_ready(venv, lock):  # another call made it while this one waited
            return False
        _install(venv, lock, root)
    return True


def _install(venv: Path, lock: Path, root: Path) -> None:
    unfinished = venv / _UNFINISHED
    if unfinished.exists() or not _works(python_of(venv)):
        _create(venv)
    (venv / _STAMP).unlink(missing_ok=True)
    unfinished.touch()
    pip = [str(python_of(venv)), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    environment = {**os.environ, "PIP_USER": "0"}
    if subprocess.run([*pip, "install", "-r", str(lock)], env=environment).returncode != 0:
        raise SetUpError(
            "pip could not install every package; its message stands above. The first set-up "
            "needs a network and some gigabytes of disk. Then give the same command again."
        )
    places = subprocess.check_output([str(python_of(venv)), "-c", _PLACES])
    prepare(*map(Path, json.loads(places)), root=root)
    unfinished.unlink()
    write_text(venv / _STAMP, _fingerprint(lock))


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Let one set-up at a time work, where the system can lock a file; it ends with the process."""
    with lock.open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up is going on; waiting until it is done.", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        except (AttributeError, OSError):
            pass  # Windows, or a file system without locks
        yield


def prepare(prefix: Path, site_packages: Path, root: Path = ROOT) -> None:
    """Let an environment find the library in `root`, and write the course's JupyterLab settings.

    The path is written relative to `site_packages`, so that a moved clone keeps working.
    """
    try:
        path = os.path.relpath(root, site_packages.resolve())
    except ValueError:  # two drives on Windows
        path = str(root)
    write_text(site_packages / "alexnet_course.pth", path + "\n")
    overrides = prefix / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    settings = json.loads(overrides.read_text(encoding="utf-8")) if overrides.is_file() else {}
    for plugin, values in LAB_SETTINGS.items():
        settings[plugin] = {**settings.get(plugin, {}), **values}
    overrides.parent.mkdir(parents=True, exist_ok=True)
    write_text(overrides, json.dumps(settings, indent=2) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Set up `.venv`, or with `--here` prepare the environment that runs this (conda, your own)."""
    name = "python3 -m alexnet_lib.cli.bootstrap"
    parser = argparse.ArgumentParser(prog=name, description=main.__doc__)
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="default: %(default)s")
    parser.add_argument("--here", action="store_true", help="install nothing, make no .venv")
    options = parser.parse_args(arguments)
    try:
        _check_python()
        if options.here:
            import sysconfig

            prepare(Path(sys.prefix), Path(sysconfig.get_path("purelib")))
            print(f"Ready: {sys.prefix} finds the course's library.")
        elif set_up(options.venv):
            print(f"Ready: {options.venv}")
    except SetUpError as error:
        print(f"\nSet-up stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nSet-up interrupted. Give the same command again to start over.", file=sys.stderr)
        return 130
    return 0


def _check_python() -> None:
    if sys.version_info < MINIMUM_PYTHON:
        raise SetUpError(
            f"this is Python {sys.version.split()[0]} ({sys.executable}), and the course needs "
            f"{'.'.join(map(str, MINIMUM_PYTHON))} or later. Install one and name it: "
            "`make lab PYTHON=/path/to/python3.12`."
        )


def _create(venv: Path) -> None:
    """Make an empty virtual environment in `venv`, deleting what is there."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise SetUpError(
            f"{sys.executable} lacks the standard modules venv and ensurepip. On Debian and "
            "Ubuntu: `apt install python3-venv`. Elsewhere install a complete Python."
        )
    print(f"Making {venv}. The first time takes minutes and downloads the packages.", flush=True)
    base = getattr(sys, "_base_executable", None) or sys.executable
    if subprocess.run([base, "-m", "venv", "--clear", str(venv)]).returncode != 0:
        raise SetUpError(f"could not make {venv}. Delete that folder and try again.")


def _works(python: Path) -> bool:
    """Whether an interpreter is there, new enough, and has pip."""
    code = f"import pip, sys; sys.exit(sys.version_info < {MINIMUM_PYTHON})"
    try:
        return subprocess.run([str(python), "-c", code], stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def _fingerprint(lock: Path) -> str:
    """What a stamp must say for `lock` and the settings above."""
    content = lock.read_text(encoding="utf-8") + json.dumps(LAB_SETTINGS, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest() + "\n"


if __name__ == "__main__":
    sys.exit(main())
