"""The timing of layers: what is timed, how shares add up, what the record says."""

from __future__ import annotations

import pytest
import torch

from alexnet_lib import architectures, models, records, shapes
from alexnet_lib.benchmarks import layer_costs
from alexnet_lib.benchmarks import run as run_benchmarks


def test_every_stage_is_timed_once_and_in_order():
    net = models.build(architectures.small_network(), seed=0).eval()
    threads = torch.get_num_threads()
    rows = layer_costs.measure(net, torch.randn(2, 1, 28, 28), rounds=2)
    walked = [row for row in shapes.walk(net.spec) if row.kind != "flatten"]
    assert [row["stage"] for row in rows] == [row.name for row in walked]
    assert [row["macs"] for row in rows] == [row.macs for row in walked]
    assert all(0 <= row["least"] <= row["milliseconds"] for row in rows)
    assert sum(row["milliseconds"] for row in rows) > 0
    assert torch.get_num_threads() == threads


def test_more_arithmetic_takes_longer():
    def time_of(width: int) -> float:
        spec = architectures.small_network(channels=(width,), input_size=56)
        net = models.build(spec, seed=0).eval()
        rows = layer_costs.measure(net, torch.randn(4, 1, 56, 56), rounds=5)
        return rows[0]["least"]

    assert time_of(512) > 3 * time_of(8)


def test_pooling_is_timed_in_two_layouts():
    threads = torch.get_num_threads()
    found = layer_costs.pooling_layouts(batch=2, rounds=3)
    assert list(found) == ["maps", "channels_last"] and min(found.values()) > 0
    assert torch.get_num_threads() == threads


def test_shares_add_up_and_follow_the_network():
    record = layer_costs.load()
    found = layer_costs.shares(record)
    assert list(found) == ["parameters", "MACs", "memory", "time, 1 picture", "time, 32 pictures"]
    rows = {row.name: row for row in shapes.walk(architectures.network("paper"))}
    totals = shapes.totals(architectures.network("paper"))
    for each in found.values():
        assert sum(each.values()) == pytest.approx(1)
        assert list(each) == list(found["MACs"])
    assert found["MACs"]["conv2"] == pytest.approx(rows["conv2"].macs / totals.macs)
    assert found["parameters"]["fc6"] == pytest.approx(rows["fc6"].parameters / totals.parameters)
    memory = totals.bytes_with_norm_and_pool
    assert found["memory"]["LRN"] == pytest.approx(
        (rows["lrn1"].bytes + rows["lrn2"].bytes) / memory
    )


def test_the_record_and_its_sentence_say_what_the_chapter_says():
    record = layer_costs.load()
    found = layer_costs.shares(record)
    one, many = found["time, 1 picture"], found["time, 32 pictures"]
    assert found["MACs"]["pooling"] == 0 and many["pooling"] > 0.1
    assert one["fc6"] > 2 * many["fc6"]  # its weights are fetched for each picture
    assert "batch 32:" in layer_costs.sentence(record)
    pooling = record["pooling"]["milliseconds"]
    assert pooling["maps"] > 5 * pooling["channels_last"]


def test_bench_layers_prints_and_writes_a_record(tmp_path, capsys):
    path = run_benchmarks.run("layers", out=tmp_path, rounds=1, batch_size=1)
    record = records.read(path)
    assert path == tmp_path / "layers.json" and record["command"].endswith("bench layers")
    assert list(record["batches"]) == ["1"]
    assert layer_costs.sentence(record) in capsys.readouterr().out
    assert layer_costs.shares(record).keys() == {"parameters", "MACs", "memory", "time, 1 picture"}


def test_a_missing_record_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "folder", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match="python -m alexnet_lib bench layers"):
        layer_costs.load()
