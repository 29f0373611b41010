"""The doctor finds this environment healthy, names what is wrong, and never raises."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from alexnet_lib.cli import doctor
from alexnet_lib.cli.doctor import Check


@pytest.fixture(scope="module")
def checks() -> list[Check]:
    return doctor.run()


def test_this_environment_can_follow_the_course(checks):
    assert [check for check in checks if check.status == "FAIL"] == []


def test_everything_is_examined(checks):
    names = {check.name for check in checks}
    assert {"Python", "cores", "memory", "disk", "device", "data sets", "widgets"} <= names
    assert {"torch", "torchvision", "jupyterlab", "ipywidgets", "other packages"} <= names
    assert {"C compiler"} <= names


def test_versions_are_the_installed_ones(checks):
    found = {check.name: check.found for check in checks}
    assert found["torch"].startswith(metadata.version("torch"))


def test_stable_report_is_names_and_ok_only(checks, capsys):
    doctor.print_report(checks, stable=True)
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines == [f"OK    {check.name}" for check in checks]
    assert last == "This machine is ready."


def test_stable_report_hides_no_failure(capsys):
    doctor.print_report(
        [Check("cores", "WARN", "1", "wait"), Check("torch", "FAIL", "missing", "install it")],
        stable=True,
    )
    assert capsys.readouterr().out.splitlines() == [
        "OK    cores",
        "FAIL  torch            missing",
        "                       next: install it",
        "1 to repair.",
    ]


@pytest.mark.parametrize(("status", "expected"), [("OK", 0), ("WARN", 0), ("FAIL", 1)])
def test_report_returns_an_exit_status(monkeypatch, capsys, status, expected):
    monkeypatch.setattr(doctor, "run", lambda: [Check("memory", status, "1 GB", "buy some")])
    assert doctor.report() == expected
    out = capsys.readouterr().out
    assert out.startswith(status) and ("next: buy some" in out) == (status != "OK")


@pytest.mark.parametrize(
    ("installed", "status"),
    [("2.14.1", "OK"), ("2.14.1+cpu", "OK"), ("2.15.0", "WARN"), ("2.11.0", "WARN"),
     ("2.10.9", "FAIL"), (None, "FAIL")],
)  # fmt: skip
def test_a_package_is_held_against_lock_and_bound(monkeypatch, installed, status):
    def version(name: str) -> str:
        if installed is None:
            raise metadata.PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(metadata, "version", version)
    check = doctor._compare("torch", "2.14.1", "2.11")
    assert check.status == status
    assert bool(check.next_step) == (status != "OK")


def test_a_missing_package_fails_and_says_how_to_get_it(monkeypatch):
    real = metadata.version

    def version(name: str) -> str:
        if name in ("torchvision", "traitlets"):
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    found = {check.name: check for check in doctor.run()}
    for name in ("torchvision", "other packages"):
        assert found[name].status == "FAIL"
        assert "make lab" in found[name].next_step
    assert "traitlets missing" in found["other packages"].found


@pytest.mark.parametrize("name", ["_python", "_packages", "_memory", "_device", "_widgets"])
def test_nothing_that_goes_wrong_inside_gets_out(monkeypatch, name):
    def broken() -> list[Check]:
        raise OSError("no such thing")

    broken.__name__ = name
    monkeypatch.setattr(doctor, name, broken)
    found = {check.name: check for check in doctor.run()}
    assert found[name.strip("_")].status == "WARN"
    assert "no such thing" in found[name.strip("_")].found


@pytest.mark.parametrize(
    ("free", "status"), [(5e9, "OK"), (1e9, "WARN"), (1e8, "FAIL")]
)
def test_disk(monkeypatch, free, status):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: type("U", (), {"free": free}))
    assert doctor._disk()[0].status == status


@pytest.mark.parametrize(("total", "status"), [(16e9, "OK"), (2e9, "WARN")])
def test_memory(monkeypatch, total, status):
    monkeypatch.setattr(doctor, "_total_memory", lambda: total)
    assert doctor._memory()[0].status == status


def test_memory_is_a_plausible_number():
    assert 0.25e9 < doctor._total_memory() < 100e12


def test_sliders_fail_without_jupyterlabs_part(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.sys, "prefix", str(tmp_path))
    (check,) = doctor._widgets()
    assert check.status == "FAIL" and "jupyterlab-manager is missing" in check.found


def test_sliders_warn_when_jupyterlab_runs_elsewhere(monkeypatch):
    monkeypatch.setattr(doctor, "_server_python", lambda: Path("/elsewhere/bin/python"))
    (check,) = doctor._widgets()
    assert check.status == "WARN" and "make lab" in check.next_step


def test_missing_data_that_should_ship(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    (check,) = doctor._data()
    assert check.status == "FAIL" and "git checkout" in check.next_step


def test_report_can_be_printed_on_any_terminal(checks, capsys):
    doctor.print_report(checks)
    text = capsys.readouterr().out
    assert text.encode("ascii", "strict")
