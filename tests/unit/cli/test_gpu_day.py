"""All steps of a lent GPU: the plan, each at the size of a toy, and what is left of a failure."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from alexnet_lib import records
from alexnet_lib.cli import gpu_day
from alexnet_lib.experiments import imagenette


def test_the_plan_fits_and_says_so(capsys, tmp_path):
    for minutes, only in ((8, ()), (3, ()), (4, ("data", "claims")), (2, ("bench",))):
        rows = gpu_day.plan(minutes, only)
        assert {each.name for each, _, _ in rows} == set(only or gpu_day.WORK)
        assert all(at + seconds <= 60 * minutes + 1e-6 for _, at, seconds in rows)
    gpu_day.run(8, tmp_path / "none", dry_run=True)
    assert "imagenette" in capsys.readouterr().out and not (tmp_path / "none").exists()
    with pytest.raises(ValueError, match="no step 'what'"):
        gpu_day.plan(8, ("what",))


@pytest.mark.parametrize("name, files", [
    ("data", []), ("bench", ["bench_gpu.json"]),
    ("imagenette", ["imagenette_long.json", "imagenette_long.npz"]),
    ("more", ["imagenette_modern.json"]), ("figure1", ["figure1.json"]),
    ("claims", ["cifar_claims.json"]),
])  # fmt: skip
def test_every_step_in_small(name, files, tmp_path, capsys):
    assert gpu_day.step(name, tmp_path, time.time() + 60, small=True) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    assert "done" in capsys.readouterr().out
    for file in files:
        if file.endswith("json"):
            assert records.read(tmp_path / file)["format"] == records.FORMAT


def test_what_the_long_run_leaves(tmp_path):
    assert gpu_day.step("imagenette", tmp_path, time.time() + 60, small=True) == 0
    record = json.loads((tmp_path / "imagenette_long.json").read_text())
    assert {"search", "run", "evaluation", "heads"} <= record.keys()
    assert record["search"]["held_out"] > 0 and set(record["heads"]) == {"32", "64"}
    with np.load(tmp_path / "imagenette_long.npz") as kept:
        assert kept["features.conv1.weight"].dtype == np.float16
        pictures = np.cumsum(kept["moments.changes"], axis=0, dtype=np.uint8)
        assert len(pictures) == len(kept["moments.steps"]) > 2
        assert kept["moments.steps"][-1] == record["run"]["steps_an_epoch"] * 2
        assert kept["head32.fc6.up.weight"].shape[1] == 32
    assert imagenette.epochs_for(100, 0.5) == 90 and imagenette.epochs_for(30, 0.5) == 51


def test_a_call_with_a_step_that_fails(tmp_path, monkeypatch):
    """It finds no data, and day.json and the log say so."""
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path))
    gpu_day.run(1, tmp_path / "out", only=("more",))
    day = json.loads((tmp_path / "out" / "day.json").read_text())
    assert day["steps"]["more"]["status"] == "failed"
    assert "was not found" in (tmp_path / "out" / "log.txt").read_text()
