"""The benchmarks run, compare like with like, and write a record."""

from __future__ import annotations

import time

import pytest
import torch

from alexnet_lib import models, ops, records
from alexnet_lib.benchmarks import input as input_benchmark
from alexnet_lib.benchmarks import run as run_benchmarks
from alexnet_lib.benchmarks import step as step_benchmark
from alexnet_lib.benchmarks import timing


def test_compare_takes_turns_and_gives_ratios():
    calls = []

    def contestant(name, seconds):
        return lambda: (calls.append(name), time.sleep(seconds))

    times = timing.compare(
        {"a": contestant("a", 0.01), "b": contestant("b", 0.04)}, rounds=3
    )
    assert calls == ["a", "b"] * 4  # the first round is not counted
    assert times["a"]["ratio"] == 1.0
    assert times["b"]["ratio"] > 1.5
    assert times["b"]["least"] <= times["b"]["median"] <= times["b"]["most"]


def test_the_builtin_norm_of_the_baseline_equals_ours():
    x = torch.randn(2, 96, 5, 5) * 30
    builtin = step_benchmark.BuiltinLRN(groups=2)(x)
    torch.testing.assert_close(builtin, ops.local_response_norm(x, groups=2))


def test_run_writes_a_record(tmp_path, capsys):
    path = run_benchmarks.run("lrn", out=tmp_path, rounds=1, batch_size=1, compiled=False)
    record = records.read(path)
    assert len(record["rows"]) == 4
    row = record["rows"][0]
    assert set(row["times"]) >= {"alexnet_lib", "nn.LocalResponseNorm", "5 passes"}
    assert row["passes"]["alexnet_lib"] == pytest.approx(5)
    assert row["passes"]["nn.LocalResponseNorm"] > 25
    printed = capsys.readouterr().out.splitlines()
    assert "nn.LocalResponseNorm / ours (at least 6)" in printed[1], "ratios come first"


def test_bytes_moved_counts_what_operations_read_and_write_and_no_views():
    x, y = torch.zeros(100), torch.zeros(100)
    assert timing.bytes_moved(lambda: torch.add(x.view(10, 10), y.view(10, 10))) == 1200
    w = torch.zeros(100, requires_grad=True)
    assert timing.bytes_moved(lambda: (w * 2).backward(x)) > timing.bytes_moved(lambda: w * 2)


def test_a_figure_is_met_on_the_right_side():
    assert timing.figure("a", 2.0, least=2)["met"]
    assert not timing.figure("a", 1.9, least=2)["met"]
    assert timing.figure("a", 1.5, most=1.5)["met"]
    assert not timing.figure("a", 1.6, most=1.5)["met"]


def test_input_benchmark_makes_its_pictures_and_reads_them_both_ways():
    (row,) = input_benchmark.inputs(rounds=1, batch_size=4, count=8)
    assert {"packed pixels", "JPEG shards", "ImageFolder, 0 workers"} <= set(row["times"])
    assert len(row["figures"]) == 2


def test_a_training_picture_costs_4_14_gflop():
    assert step_benchmark.training_flops() == pytest.approx(4.14e9, rel=2e-3)


def test_step_benchmark_on_small_batches(monkeypatch):
    monkeypatch.setattr(step_benchmark, "peak_memory", lambda name, batch_size: 100)
    monkeypatch.setattr(step_benchmark, "machine_rates", lambda device: {"matmul": 1e11})
    (row,) = step_benchmark.step(rounds=1, batch_size=2, compiled=False)
    assert len(row["times"]) == 6
    assert all(times["median"] > 0 for times in row["times"].values())
    assert len(row["figures"]) == 7
    shares = row["profile"]
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert 0.5 < sum(shares.values()) <= 1 and any("convolution" in name for name in shares)


def test_the_baseline_in_torch_s_own_modules_is_the_same_network():
    ours = step_benchmark._network(None).eval()
    plain = step_benchmark._network(step_benchmark.BuiltinLRN(2), plain=True).eval()
    kinds = {type(layer) for layer in plain.features}
    assert {torch.nn.Conv2d, torch.nn.MaxPool2d} < kinds
    assert not kinds & {models.Conv2d, models.MaxPool2d, models.LRN}
    x = 50 * torch.randn(2, 3, 227, 227, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(plain.features(x), ours.features(x), rtol=1e-3, atol=1e-6)


def test_a_fresh_process_tells_its_peak():
    peak = step_benchmark.peak_memory(step_benchmark.OURS, 2)
    assert peak is None or peak > 3 * 200e6, "weights, slopes and velocities"


def test_unknown_benchmark_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'step'"):
        run_benchmarks.run("stepp")
