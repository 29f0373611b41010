"""pyproject.toml, requirements.lock and environment.yml ask for the same, and set-up is safe."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from alexnet_lib.cli import bootstrap

ROOT = bootstrap.ROOT
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ASKED = [
    Requirement(text)
    for text in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
]
SYSTEMS = [
    {"sys_platform": name, "platform_system": system, "os_name": os_name, "platform_machine": cpu}
    for name, system, os_name, cpu in [
        ("linux", "Linux", "posix", "x86_64"),
        ("linux", "Linux", "posix", "aarch64"),
        ("darwin", "Darwin", "posix", "arm64"),
        ("win32", "Windows", "nt", "AMD64"),
    ]
]
PYTHONS = ["3.11.0", "3.11.9", "3.12.4", "3.13.1", "3.14.0"]
EVERYWHERE = [
    system | {"python_full_version": full, "python_version": ".".join(full.split(".")[:2]),
              "implementation_name": "cpython", "platform_python_implementation": "CPython"}
    for system in SYSTEMS for full in PYTHONS
]  # fmt: skip


def locked(where: dict[str, str] | None = None) -> dict[str, str]:
    """The versions that the lock asks for on one system; by default on this one."""
    chosen: dict[str, str] = {}
    for name, version, marker in bootstrap.read_lock():
        if not marker or Marker(marker).evaluate(where):
            assert name not in chosen, f"the lock has two versions of {name} for {where}"
            chosen[name] = version
    return chosen


@pytest.mark.parametrize(
    "where", EVERYWHERE, ids=lambda w: f"{w['sys_platform']}-{w['platform_machine']}-"
    f"{w['python_full_version']}",
)  # fmt: skip
def test_lock_holds_every_dependency_within_its_bound(where):
    versions = locked(where)
    for requirement in ASKED:
        name = canonicalize_name(requirement.name)
        assert name in versions, f"{name} is not in the lock"
        assert requirement.specifier.contains(versions[name]), f"{requirement}: {versions[name]}"


def test_lock_holds_what_the_installed_packages_need():
    versions = locked()
    needed = 0
    for name in versions:
        try:
            texts = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # the doctor reports it
        for requirement in map(Requirement, texts):
            if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                continue
            other = canonicalize_name(requirement.name)
            assert other in versions, f"{name} needs {other}, which is not in the lock"
            fits = requirement.specifier.contains(versions[other], prereleases=True)
            assert fits, f"{name} needs {requirement}, the lock has {versions[other]}"
            needed += 1
    assert needed > 100


def test_lock_names_no_place_to_download_from():
    text = bootstrap.LOCK.read_text(encoding="utf-8")
    assert not re.search(r"://|@|--|\.whl|\.org|\.com|^\s*[/.]", text, re.MULTILINE)


def test_conda_gets_the_same_packages():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, pip, listed = conda["dependencies"]
    assert python == f"python{PROJECT['requires-python']}"
    assert pip == "pip"
    assert listed == {"pip": ["-r requirements.lock", "-e ."]}


def test_python_version_is_the_same_everywhere():
    wanted = ".".join(map(str, bootstrap.MINIMUM_PYTHON))
    assert PROJECT["requires-python"] == f">={wanted}"
    assert f"sys.version_info < ({wanted.replace('.', ', ')})" in (ROOT / "Makefile").read_text()
    assert f"--python-version {wanted} " in (ROOT / "Makefile").read_text()


def test_read_lock_gives_names_versions_and_markers(tmp_path):
    lock = tmp_path / "lock"
    lock.write_text("# a note\n\nSix_Pack==1.0\ncolour==2.1.3 ; os_name == 'nt'  # why\n")
    assert bootstrap.read_lock(lock) == [
        ("six-pack", "1.0", ""),
        ("colour", "2.1.3", "os_name == 'nt'"),
    ]
    lock.write_text("six==1.0\nseven>=2\n")
    with pytest.raises(ValueError, match=r"line 2: 'seven>=2' is not of the form"):
        bootstrap.read_lock(lock)


@pytest.fixture
def small_lock(tmp_path, monkeypatch):
    """A lock that needs no network: it asks for the pip that is there anyway."""
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"pip=={metadata.version('pip')}\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    return lock


@pytest.fixture
def quick_venv(monkeypatch):
    """Make virtual environments with a copy of this one's pip: ensurepip takes many seconds."""

    def create(venv):
        command = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(venv)]
        subprocess.run(command, check=True)
        site = venv / os.path.relpath(sysconfig.get_path("purelib"), sys.prefix)
        for file in metadata.files("pip"):
            if ".." not in file.parts and "__pycache__" not in file.parts:
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.locate(), site / file)

    monkeypatch.setattr(bootstrap, "_create", create)


@pytest.mark.timeout(900)
def test_set_up_once_then_at_once_and_after_a_failure_anew(
    tmp_path, small_lock, quick_venv, monkeypatch
):
    venv = tmp_path / "clone with spaces" / ".venv"
    python = bootstrap.python_of(venv)
    assert bootstrap.set_up(venv, small_lock)
    assert bootstrap.is_ready(venv, small_lock)

    # the library is found from anywhere, and JupyterLab asks for no news
    code = "import alexnet_lib, sys; print(alexnet_lib.__file__, sys.prefix, sep='\\n')"
    run = subprocess.run(
        [str(python), "-I", "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True
    )
    assert os.path.samefile(run.stdout.splitlines()[0], ROOT / "alexnet_lib" / "__init__.py")
    overrides = venv / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    assert json.loads(overrides.read_text()) == bootstrap.LAB_SETTINGS

    # a second call starts no process at all
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", None)
        assert not bootstrap.set_up(venv, small_lock)

    # a new lock that can't be installed leaves nothing that looks complete
    good = small_lock.read_text()
    small_lock.write_text(good + "no-such-package-anywhere==1.0\n")
    with pytest.raises(bootstrap.SetUpError, match="pip could not install every package"):
        bootstrap.set_up(venv, small_lock)
    assert not bootstrap.is_ready(venv, small_lock)
    small_lock.write_text(good)
    assert not bootstrap.is_ready(venv, small_lock)

    # what broke off may be half there: it is thrown away
    (venv / "left-over").touch()
    assert bootstrap.set_up(venv, small_lock)
    assert bootstrap.is_ready(venv, small_lock)
    assert not (venv / "left-over").exists()

    # without its interpreter it is no longer ready
    python.unlink()
    assert not bootstrap.is_ready(venv, small_lock)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_two_calls_at_once_install_once(tmp_path, small_lock, monkeypatch, capfd):
    installs = []

    def install(venv, lock, root):
        installs.append(venv)
        time.sleep(0.5)
        bootstrap.python_of(venv).parent.mkdir(parents=True)
        bootstrap.python_of(venv).touch()
        (venv / ".complete").write_text(bootstrap._fingerprint(lock))

    monkeypatch.setattr(bootstrap, "_install", install)
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(bootstrap.set_up, [tmp_path / "v"] * 2, [small_lock] * 2)
    assert sorted(results) == [False, True]
    assert len(installs) == 1
    assert "Another set-up is going on" in capfd.readouterr().out


def test_an_interrupted_call_says_so(monkeypatch, capsys, tmp_path):
    def interrupted(venv):
        raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap, "set_up", interrupted)
    assert bootstrap.main(["--venv", str(tmp_path / "v")]) == 130
    assert "again" in capsys.readouterr().err


def test_settings_of_the_user_are_kept(tmp_path):
    overrides = tmp_path / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    overrides.parent.mkdir(parents=True)
    overrides.write_text('{"theme": {"dark": true}}')
    (tmp_path / "site").mkdir()
    bootstrap.prepare(tmp_path, tmp_path / "site")
    bootstrap.prepare(tmp_path, tmp_path / "site")
    assert json.loads(overrides.read_text()) == {"theme": {"dark": True}} | bootstrap.LAB_SETTINGS


def test_settings_name_plugins_and_properties_that_jupyterlab_has():
    from jupyterlab.commands import get_app_dir

    for plugin, values in bootstrap.LAB_SETTINGS.items():
        package, name = plugin.split(":")
        schema = f"{get_app_dir()}/schemas/{package}/{name}.json"
        with open(schema, encoding="utf-8") as file:
            assert values.keys() <= json.load(file)["properties"].keys()


def test_an_old_python_is_told_what_to_do(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "version_info", (3, 9, 6))
    assert bootstrap.main(["--venv", str(tmp_path / "v")]) == 1
    assert not (tmp_path / "v").exists()
    message = capsys.readouterr().err
    assert "needs 3.11 or later" in message and "make lab PYTHON=" in message


def test_a_python_without_pip_is_told_what_to_do(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda name: None)
    assert bootstrap.main(["--venv", str(tmp_path / "v")]) == 1
    assert "apt install python3-venv" in capsys.readouterr().err


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Call make in the project's folder."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=clean, capture_output=True, text=True, check=False
    )


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@needs_make
def test_make_help_lists_every_target():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    listed = re.findall(r"^make (\w+)", make("help").stdout, re.MULTILINE)
    assert sorted(listed) == sorted(targets)
    assert {"lab", "test", "chapters", "train", "bench", "lint", "help"} <= set(targets)


@needs_make
def test_make_says_which_python_it_needs():
    result = make("environment", "PYTHON=no-such-python")
    assert result.returncode != 0
    assert "needs Python 3.11 or later; 'no-such-python' is not" in result.stderr


@needs_make
@pytest.mark.parametrize(
    ("arguments", "address"), [("--no-browser", True), ("--ip=0.0.0.0", False)]
)
def test_make_lab_binds_to_this_machine_unless_told_otherwise(arguments, address):
    command = make("-n", "lab", f"ARGS={arguments}").stdout
    assert "/lab/tree/chapters/00_start_here.ipynb" in command
    assert arguments in command
    assert ("--ServerApp.ip=127.0.0.1" in command) == address
    if hasattr(os, "getuid"):
        assert ("--allow-root" in command) == (os.getuid() == 0)


def test_lower_bounds_are_the_promised_ones():
    bounds = {r.name: r.specifier for r in ASKED}
    assert bounds["torch"].contains("2.11.0") and not bounds["torch"].contains("2.10.0")
    assert bounds["torchvision"].contains("0.26.0") and not bounds["torchvision"].contains("0.25")
    assert all(Version(next(iter(s)).version) for s in bounds.values())
