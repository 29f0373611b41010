"""The benchmarks run, compare like with like, and write a record."""

from __future__ import annotations

import time

import pytest
import torch

from alexnet_lib import benchmarks, ops, records


def test_compare_takes_turns_and_gives_ratios():
    calls = []

    def contestant(name, seconds):
        return lambda: (calls.append(name), time.sleep(seconds))

    times = benchmarks.compare({"a": contestant("a", 0.01), "b": contestant("b", 0.04)}, rounds=3)
    assert calls == ["a", "b"] * 4  # the first round is not counted
    assert times["a"]["ratio"] == 1.0
    assert times["b"]["ratio"] > 1.5
    assert times["b"]["least"] <= times["b"]["median"] <= times["b"]["most"]


def test_the_builtin_norm_of_the_baseline_equals_ours():
    x = torch.randn(2, 96, 5, 5) * 30
    builtin = benchmarks._BuiltinLRN(groups=2)(x)
    torch.testing.assert_close(builtin, ops.local_response_norm(x, groups=2))


def test_run_writes_a_record(tmp_path, capsys):
    path = benchmarks.run("lrn", out=tmp_path, rounds=1, batch_size=1)
    record = records.read(path)
    assert len(record["rows"]) == 4
    assert set(record["rows"][0]["times"]) >= {"alexnet_lib", "nn.LocalResponseNorm"}
    assert "nn.LocalResponseNorm" in capsys.readouterr().out


def test_input_benchmark_reads_the_shipped_photos():
    (row,) = benchmarks.inputs(rounds=1, batch_size=2)
    assert row["times"]["PIL and torchvision"]["median"] > 0


def test_unknown_benchmark_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'step'"):
        benchmarks.run("stepp")
