"""Records: what was written is read, and what can't be read or written is said in words."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from alexnet_lib import records

RECORD = {"metrics": {"top1": 0.7186, "missing": None}, "losses": [1.5, 0.25], "note": "é, 猫"}


def test_what_is_written_is_read(tmp_path):
    path = records.write(tmp_path / "deep" / "run.json", RECORD)
    assert records.read(path) == {"format": records.FORMAT, **RECORD}
    assert json.loads(path.read_text(encoding="utf-8"))["note"] == "é, 猫"
    assert [entry.name for entry in path.parent.iterdir()] == ["run.json"]


def test_a_record_is_replaced_in_one_step(tmp_path, monkeypatch):
    path = records.write(tmp_path / "run.json", RECORD)
    monkeypatch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="can't write the record .*run.json: full.*choose another"):
        records.write(path, {"note": "never there"})
    monkeypatch.undo()
    assert records.read(path)["note"] == RECORD["note"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


def test_no_permission_is_said_in_words(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.write_text", refuse)
    with pytest.raises(OSError, match="can't write the record .*: Permission denied") as caught:
        records.write(tmp_path / "run.json", RECORD)
    assert caught.value.errno == 13


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_isn_t_json_is_refused_before_anything_is_written(tmp_path, value):
    with pytest.raises(ValueError):
        records.write(tmp_path / "run.json", {"loss": value})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_record_names_the_command_that_makes_it(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "folder", lambda: tmp_path)
    message = "there is no record .*; make it with: python -m alexnet_lib experiment lrn_toy"
    with pytest.raises(FileNotFoundError, match=message):
        records.read("lrn_toy")
    with pytest.raises(FileNotFoundError, match="make it with: python -m alexnet_lib train --data"):
        records.read("imagenette_paper")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{ not json", "is not a record: .*Delete it and run again"),
        (b"\xff\xfe\x00", "is not a record: .*Delete it and run again"),
        (b"[1, 2]", "is JSON but not a record: it has no 'format'"),
        (b'{"top1": 1}', "is JSON but not a record: it has no 'format'"),
        (b'{"format": "new"}', "is JSON but not a record: it has no 'format'"),
        (b'{"format": 99}', "has format 99; this version reads up to 1. Update the course"),
    ],
)
def test_files_that_are_no_records(tmp_path, content, message):
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        records.read(path)


def test_names_are_those_that_ship(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "folder", lambda: tmp_path)
    for name in ("b", "a"):
        records.write(name, RECORD)
    assert records.names() == ["a", "b"]
    assert records.read("a")["losses"] == RECORD["losses"]


def test_the_environment_says_what_a_number_was_measured_on():
    environment = records.environment()
    assert {"python", "system", "packages", "hardware", "commit"} == set(environment)
    assert environment["packages"]["torch"] != "missing"
    assert environment["hardware"]["cores"] >= 1
    assert environment["hardware"]["processor"]
    assert environment["commit"]
    json.dumps(environment, allow_nan=False)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("model name\t: Fine CPU\nflags\t\t: fpu avx2 avx512f\n", "Fine CPU with AVX-512"),
        ("model name\t: Fine CPU\nflags\t\t: fpu avx2\n\nmodel name\t: Other\n",
         "Fine CPU with AVX2"),
        ("model name\t: Old CPU\nflags\t\t: fpu sse\n", "Old CPU"),
    ],
)  # fmt: skip
def test_the_width_of_vectors_tells_processors_of_one_name_apart(told, name, monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda path, encoding: told)
    assert records._processor() == name


def test_without_git_the_commit_is_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert records._commit() == "unknown"


def test_shipped_records_lie_beside_the_chapters():
    assert records.folder() == records.root() / "data" / "records"
    assert (records.root() / "alexnet_lib" / "records.py").exists()
