"""Experiments by name: their small versions, what is written where, and bad names."""

from __future__ import annotations

import json
import time

import pytest

from alexnet_lib.experiments import registry

ELSEWHERE = ("figure1", "cifar_claims", "initialization")  # the last one below, and written
SMALL = [name for name in registry.EXPERIMENTS if name not in ELSEWHERE]
SILENT = ("shipped_network", "clinic", "relu", "relu_wide")  # their summaries count no seeds


@pytest.mark.parametrize("name", SMALL)
def test_small_version_takes_one_seed_and_no_download_and_leaves_nothing(name, small_run):
    record = small_run(name)
    assert record["small"] and record["seeds"] == [0]
    assert record["experiment"] == name and json.dumps(record, allow_nan=False)
    said = registry.summary(record)
    assert "±" not in said, "one seed has no spread"
    assert name in SILENT or "1 seed" in said


def test_whole_small_version_is_quick_and_learns():
    started = time.process_time()
    record = registry.run("lrn_ablation", small=True, progress=False)
    assert time.process_time() - started < 60  # 10 alone on two slow cores; a full run takes hours
    assert record["epochs"] == 2 and record["train_images"] == 1500
    errors = [arm["runs"][0]["test_error"][-1] for arm in record["arms"].values()]
    assert all(error < 0.75 for error in errors), "it learns: chance is .9"


def test_record_is_written_where_it_is_asked_for(tmp_path):
    out = tmp_path / "signal.json"
    record = registry.run("initialization", small=True, progress=False, out=out)
    stored = json.loads(out.read_text())
    assert {key: stored[key] for key in record} == json.loads(json.dumps(record))
    layers = stored["pictures"]["shapes"]["layers"]
    printed, source = layers["printed"], layers["source2012"]
    assert [row["layer"] for row in printed] == [
        "conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"
    ]  # fmt: skip
    assert printed[0]["mean"] == source[0]["mean"], "they differ from conv3 on"
    assert source[-1]["across_images"] > 5 * printed[-1]["across_images"]
    assert source[0]["gradient_over_weight"] > 5 * printed[0]["gradient_over_weight"]


def test_unknown_experiment_and_no_seeds_are_told():
    for call in (registry.run, registry.load):
        with pytest.raises(ValueError, match="did you mean 'lrn_ablation'"):
            call("lrn_ablations")
    with pytest.raises(ValueError, match="seeds is empty; give at least one"):
        registry.run("lrn_ablation", small=True, seeds=[])


def test_missing_record_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(registry.records, "folder", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match="python -m alexnet_lib experiment lrn_ablation"):
        registry.load("lrn_ablation")


@pytest.mark.parametrize("name", ["overfitting", "pooling"])
def test_whole_version_says_how_to_get_its_pictures(name, monkeypatch, tmp_path):
    from alexnet_lib.datasets import catalogue

    monkeypatch.setattr(catalogue, "data_folders", lambda: [tmp_path / "nowhere"])
    with pytest.raises(FileNotFoundError, match="python -m alexnet_lib data cifar10"):
        registry.run(name, progress=False)
