"""Training on several ranks: real processes under torchrun, compared with one process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
import torch

from alexnet_lib import checkpoints

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = str(Path(__file__).with_name("program.py"))
SECONDS = 120
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
STEPS = 10  # two epochs of 36 pictures in batches of 8: four of 8 and one of 4

# one worker, one after another: each test starts up to four processes
pytestmark = [pytest.mark.xdist_group("processes"), pytest.mark.distributed]


class Ranks:
    """A command under torchrun, and what became of it."""

    def __init__(self, *arguments: object, ranks: int = 2, options: tuple[str, ...] = ()) -> None:
        self.mark = uuid.uuid4().hex
        own = () if any("master-port" in option for option in options) else ("--standalone",)
        command = [*TORCHRUN, *own, "--nproc-per-node", str(ranks), *options, *map(str, arguments)]
        unwanted = ("RANK", "WORLD_SIZE", "ALEXNET_DATA")
        kept = {name: value for name, value in os.environ.items() if name not in unwanted}
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=kept | {"OMP_NUM_THREADS": "1", "ALEXNET_TEST_MARK": self.mark},
        )

    def end(self) -> Ranks:
        """Wait for the end; fails if it takes long or leaves a process behind."""
        try:
            self.out, self.err = self.process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        deadline = time.monotonic() + 10
        while (left := self.alive()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not left, f"{left} outlived torchrun"
        return self

    def alive(self) -> list[int]:
        """The numbers of the processes that this command started and that still run."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    @property
    def status(self) -> int:
        return self.process.returncode


def fit(out: Path, *arguments: object, ranks: int = 2, options: tuple[str, ...] = ()) -> Ranks:
    """Train the small network of program.py; it has to succeed."""
    run = Ranks(PROGRAM, "fit", out, *arguments, ranks=ranks, options=options).end()
    assert run.status == 0, run.err
    return run


def fit_alone(out: Path, *arguments: object) -> None:
    command = [sys.executable, PROGRAM, "fit", str(out), *map(str, arguments)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=SECONDS)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """A run on one process that nobody stopped."""
    out = tmp_path_factory.mktemp("alone") / "run"
    fit_alone(out)
    return out


def assert_same_run(out: Path, expected: Path, tolerance: float = 1e-5) -> None:
    """Both runs went through the same losses, to the same weights and the same measurements."""
    ours, theirs = checkpoints.load(out), checkpoints.load(expected)

    losses, right = ours["run"]["losses"], theirs["run"]["losses"]
    assert len(losses) == STEPS
    torch.testing.assert_close(losses, right, rtol=0, atol=tolerance)
    for kind in ("model", "velocity"):
        assert ours[kind].keys() == theirs[kind].keys()
        for name, value in theirs[kind].items():
            torch.testing.assert_close(ours[kind][name], value, rtol=0, atol=tolerance, msg=name)
    for row, other in zip(ours["run"]["epochs"], theirs["run"]["epochs"], strict=True):
        assert row["val_top1"] == other["val_top1"]
        assert row["train_top1"] == other["train_top1"]
        assert row["val_loss"] == pytest.approx(other["val_loss"], abs=2e-4)
    moments, same = (np.load(folder / "conv1_moments.npz") for folder in (out, expected))
    assert moments["steps"].tolist() == same["steps"].tolist()
    assert abs(moments["filters"].astype(int) - same["filters"].astype(int)).max() <= 1


@pytest.mark.parametrize(("ranks", "towers"), [(2, 1), (3, 1), (2, 2), (4, 2)])
def test_however_the_run_is_spread_it_is_the_same(alone, tmp_path, ranks, towers):
    run = fit(tmp_path / "run", "--towers", towers, ranks=ranks)
    assert run.out.count("finished") == 1  # only the first rank talks
    assert_same_run(tmp_path / "run", alone)
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert (record["ranks"], record["towers"], record["status"]) == (ranks, towers, "finished")


def test_compressed_gradients_are_near_but_not_the_same(alone, tmp_path):
    fit(tmp_path / "run", "--compress")
    assert_same_run(tmp_path / "run", alone, tolerance=2e-3)
    ours, theirs = checkpoints.load(tmp_path / "run"), checkpoints.load(alone)
    name = "classifier.fc4.weight"
    difference = (ours["velocity"][name] - theirs["velocity"][name]).abs().max()
    assert difference > 1e-3 * theirs["velocity"][name].abs().max()  # bfloat16 keeps 8 bits


def test_a_run_goes_on_with_other_ranks_and_towers(alone, tmp_path):
    out = tmp_path / "run"
    fit(out, "--towers", 2, "--stop-after", 2)
    stopped = checkpoints.load(out)
    assert stopped["run"]["epoch"] == 0 and 2 <= len(stopped["run"]["losses"]) < 5
    fit(out, "--resume", "--stop-after", 6, ranks=3)
    assert 6 <= len(checkpoints.load(out)["run"]["losses"]) < STEPS
    fit_alone(out, "--resume")
    assert_same_run(out, alone)


def test_torchrun_starts_a_killed_rank_anew_and_the_run_ends(alone, tmp_path):
    out = tmp_path / "run"
    run = fit(
        out, "--die", "kill", "--step", 7, "--checkpoint-seconds", 1e-9,
        options=("--max-restarts", "1"),
    )
    assert "exitcode: -9" in run.err
    assert_same_run(out, alone)


def test_a_signal_stops_all_ranks_after_the_same_step(alone, tmp_path):
    out, ready = tmp_path / "run", tmp_path / "ready"
    run = Ranks(PROGRAM, "fit", out, "--towers", 2, "--slow", 0.3, "--ready", ready)
    deadline = time.monotonic() + SECONDS
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    run.process.send_signal(signal.SIGTERM)
    run.end()
    assert "stopped" in run.out
    assert 2 <= len(checkpoints.load(out)["run"]["losses"]) < STEPS
    fit(out, "--resume", "--towers", 2)
    assert_same_run(out, alone)


@pytest.mark.parametrize("how", ["raise", "kill", "in the collective"])
def test_when_a_rank_dies_all_end_with_an_error(tmp_path, how):
    started = time.monotonic()
    run = Ranks(PROGRAM, "fit", tmp_path / "run", "--die", how, "--towers", 1 + (how == "kill"))
    run.end()
    assert run.status != 0
    assert time.monotonic() - started < 60
    if how == "raise":
        assert "rank 1: error: this rank has had enough" in run.err
    assert "finished" not in run.out


def test_a_rank_that_dies_at_the_start(tmp_path):
    run = Ranks(PROGRAM, "fit", tmp_path / "run", "--die", "kill", "--step", 0).end()
    assert run.status != 0
    assert not (tmp_path / "run" / "record.json").exists()


def test_two_towers_need_an_even_number_of_ranks(tmp_path):
    options = ("-m",)
    command = ("alexnet_lib", "train", "--data", "shapes", "--towers", 2, "--out", tmp_path / "run")
    run = Ranks(*command, ranks=3, options=options).end()
    assert run.status != 0
    assert run.err.count("error: two towers need an even number of ranks") == 1
    assert "there are 3" in run.err


def test_a_port_in_use(tmp_path):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = Ranks(PROGRAM, "fit", tmp_path / "run", options=(f"--master-port={port}",)).end()
    assert run.status != 0
    assert "address already in use" in run.err.lower()


def test_data_and_checkpoints_that_do_not_fit(alone, tmp_path):
    run = Ranks(PROGRAM, "fit", tmp_path / "run", "--batch-size", 1).end()
    assert run.status != 0
    assert "error: batch_size is 1 for 2 parts of each batch; give at least 2" in run.err
    run = Ranks(PROGRAM, "fit", alone, "--resume", "--images", 30).end()
    assert run.status != 0
    assert run.err.count("error: the run in") == 1
    assert "resume it with the same images and batch size" in run.err.replace("\n", " ")


def test_what_ranks_find_out_about_each_other(tmp_path):
    out = tmp_path / "found.json"
    assert Ranks(PROGRAM, "checks", out).end().status == 0
    first, second = json.loads(out.read_text())
    assert first == second  # an error on one rank is an error on all, in the same words
    assert first["one"] == "rank 1: no such folder"
    assert first["all"] == "a bad number"
    assert (first["none"], first["inside"], first["same"]) == ("nothing", "yes", "nothing")
    assert "rank 1 runs torch 2.11.0, rank 0 runs 2.14.1" in first["versions"]
    assert "the step differs between the ranks: 5 on rank 0, 6 on rank 1" in first["differs"]
    assert "one or two" in first["three towers"]
    assert json.loads(first["sum"]) == [2.0, 1.0]


def test_the_command_line_trains_two_towers(tmp_path):
    command = (
        "alexnet_lib", "train", "--data", "shapes", "--limit", 6, "--batch-size", 4, "--epochs", 1,
        "--towers", 2, "--device", "cpu", "--out", tmp_path / "run",
    )
    run = Ranks(*command, options=("-m",)).end()
    assert run.status == 0, run.err
    assert "2 ranks, 2 tower(s)" in run.out
    model, state = checkpoints.load_model(tmp_path / "run")  # the single-process network
    assert sum(p.numel() for p in model.parameters()) == 56_909_194
    assert len(state["run"]["losses"]) == 2  # four pictures, then two
