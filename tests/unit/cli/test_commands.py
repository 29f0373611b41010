"""The command line: what it prints, what it returns, and one line for what a user can mend."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from alexnet_lib import architectures, checkpoints, datasets, paper
from alexnet_lib.cli import commands as cli
from alexnet_lib.experiments import verify

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def toy(monkeypatch, toy_spec, toy_images, toy_recipe):
    """The data set, variant and recipe called "toy", so that commands take a second."""
    monkeypatch.setitem(architectures.VARIANTS, "toy", lambda n: replace(toy_spec, name="toy"))
    monkeypatch.setitem(paper.RECIPES, "toy", toy_recipe)
    load = datasets.load

    def load_toy(name, split="train", size=None, limit=None, **options):
        if name != "toy":
            return load(name, split, size, limit, **options)
        assert size == 10  # the network's own input
        return toy_images(min(limit or 32, 32), split, side=12)

    monkeypatch.setattr(datasets, "load", load_toy)
    return ["--data", "toy", "--variant", "toy", "--recipe", "toy", "--device", "cpu"]


@pytest.fixture
def error(capsys):
    """Run a command that fails; returns its one line."""

    def run(*arguments: str) -> str:
        assert cli.main(list(arguments)) == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: ")
        return lines[0].removeprefix("error: ")

    return run


def test_train_resume_and_evaluate(toy, tmp_path, capsys, monkeypatch):
    out = str(tmp_path / "run")
    assert cli.main(["train", *toy, "--out", out, "--epochs", "2", "--filter-moments", "3"]) == 0
    printed = capsys.readouterr().out
    assert "epoch 1 step 1 loss " in printed
    assert "images/s" in printed
    assert "epoch 2: loss " in printed
    assert "finished; the record is" in printed
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["command"].startswith("python -m alexnet_lib train --data toy --variant toy")
    assert (record["status"], len(record["epochs"]), record["seed"]) == ("finished", 2, 0)
    assert {entry.name for entry in Path(out).iterdir()} == {
        "checkpoint.safetensors", "conv1_moments.npz", "log.csv", "record.json",
    }
    resumed = ["train", *toy, "--out", out, "--resume", "--epochs", "3", "--rate", "0.00002"]
    assert cli.main(resumed) == 0
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert len(record["epochs"]) == 3
    assert record["diary"] == [[2.0, 2e-5]]
    capsys.readouterr()

    sizes = []
    load = datasets.load
    monkeypatch.setattr(datasets, "load", lambda name, split, size, limit: (
        sizes.append(size), load(name, split, 10, limit))[1])
    assert cli.main(["evaluate", out, "--device", "cpu"]) == 0
    assert sizes == [12]  # the size at which the training pictures were loaded
    centre = capsys.readouterr().out
    assert centre.startswith("centre crop: top-1 ")
    assert centre.rstrip().endswith("% on 32 images")
    last = record["epochs"][-1]["val_top1"]
    assert f"top-1 {last:.2%}" in centre
    assert cli.main(["evaluate", out, "--ten-crop", "--limit", "9", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.startswith("ten views: top-1 ")


def test_unknown_names_are_answered_with_the_nearest(error, tmp_path):
    out = ["--out", str(tmp_path / "run")]
    assert "unknown variant 'papre'; did you mean 'paper'?" in error(
        "train", "--variant", "papre", *out)
    assert "unknown recipe 'paper2013'; did you mean 'paper2012'?" in error(
        "train", "--recipe", "paper2013", *out)
    text = error("train", "--data", "shaeps", *out)
    assert "'shaeps'" in text
    assert "did you mean 'shapes'?" in text.lower()
    assert "unknown device 'cpuu'; did you mean 'cpu'?" in error("train", "--device", "cpuu", *out)
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_run_is_left_alone(toy, error, tmp_path):
    command = ["train", *toy, "--out", str(tmp_path), "--epochs", "1"]
    assert cli.main(command) == 0
    before = (tmp_path / checkpoints.NAME).read_bytes()
    assert "already holds a run; go on with it by --resume, or choose another --out" in error(
        *command)
    assert (tmp_path / checkpoints.NAME).read_bytes() == before


def test_nothing_to_resume(toy, error, tmp_path):
    assert "there is no checkpoint" in error("train", *toy, "--out", str(tmp_path), "--resume")


def test_nothing_to_evaluate(error, tmp_path):
    assert "train first: python -m alexnet_lib train" in error("evaluate", str(tmp_path))
    (tmp_path / checkpoints.NAME).write_bytes(b"garbage" * 9)
    assert "can't be read as a checkpoint" in error("evaluate", str(tmp_path))


def test_other_classes_than_the_run_s(toy, error, tmp_path, toy_images, monkeypatch):
    assert cli.main(["train", *toy, "--out", str(tmp_path), "--epochs", "1"]) == 0
    other = replace(toy_images(12, "val"), classes=["cat", "dog", "owl"])
    monkeypatch.setattr(datasets, "load", lambda *arguments: other)
    assert "trained on other classes than toy has: 'red' there, 'cat' here" in error(
        "evaluate", str(tmp_path), "--data", "pets")
    wider = replace(other, classes=["cat", "dog", "owl", "elk"])
    monkeypatch.setattr(datasets, "load", lambda *arguments: wider)
    assert "the network has 3 classes, toy has 4" in error("evaluate", str(tmp_path))


@pytest.mark.parametrize(
    ("number", "words"), [(28, "No space left on device"), (13, "Permission denied")]
)
def test_no_space_and_no_permission(toy, error, tmp_path, monkeypatch, number, words):
    def refuse(*arguments, **options):
        raise OSError(number, words)

    monkeypatch.setattr(checkpoints, "save_file", refuse)
    text = error("train", *toy, "--out", str(tmp_path / "run"))
    assert "can't write the checkpoint" in text
    assert words in text
    assert "Free some space or choose another folder with --out" in text


def test_an_error_of_several_lines_is_one_line(error, monkeypatch):
    def fail():
        raise ValueError("three pictures are broken:\n  a.jpg\n  b.jpg")

    monkeypatch.setattr(verify, "report", fail)
    assert error("verify") == "three pictures are broken: a.jpg b.jpg"


def test_an_error_of_the_system_is_said_without_its_number(error, monkeypatch):
    def fail():
        raise OSError(28, "no space left while writing x. Free some space.")

    monkeypatch.setattr(verify, "report", fail)
    assert error("verify") == "no space left while writing x. Free some space."


def test_ctrl_c_ends_a_command_quietly(monkeypatch, capsys):
    def press():
        raise KeyboardInterrupt

    monkeypatch.setattr(verify, "report", press)
    assert cli.main(["verify"]) == 130
    assert capsys.readouterr().err == "stopped\n"


@pytest.mark.parametrize("status", [0, 1])
def test_verify_returns_its_status(monkeypatch, status):
    monkeypatch.setattr(verify, "report", lambda: status)
    assert cli.main(["verify"]) == status


@pytest.mark.parametrize("arguments", [[], ["fly"], ["train", "--epochs", "many"]])
def test_commands_that_nobody_knows(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert "usage: python -m alexnet_lib" in capsys.readouterr().err


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    printed = capsys.readouterr().out
    for command in ("train", "evaluate", "verify", "data", "doctor", "bench", "experiment",
                    "claims"):
        assert command in printed


def test_as_a_program_it_prints_one_line_and_fails():
    command = [sys.executable, "-m", "alexnet_lib", "train", "--variant", "papre"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: unknown variant 'papre'; did you mean 'paper'?")
    assert done.stdout == ""


def test_claims_prints_the_ledger(capsys):
    assert cli.main(["claims"]) == 0
    printed = capsys.readouterr().out
    assert "REPRODUCED" in printed and "60,965,224 parameters" in printed
    assert "NOT TESTED" in printed and "LRN helps" in printed
