"""The claims on CIFAR-10 at the size of a toy: networks, search, pairs."""

from __future__ import annotations

import json
import time

import pytest

from alexnet_lib import models, shapes
from alexnet_lib.experiments import cifar_claims


def _sizes(**options):
    return {row.name: row.output for row in shapes.walk(cifar_claims.network(**options))}


def test_every_arm_has_a_network_with_the_same_maps():
    plain = _sizes()
    assert plain["pool1"] == (64, 12, 12) and plain["pool2"] == (64, 6, 6)
    for arm in cifar_claims.ARMS:
        sizes = _sizes(**arm.options)
        assert sizes["pool2"][1:] == (6, 6) and sizes["fc"] == (10,)
        models.blueprint(cifar_claims.network(**arm.options))
    names = {arm.name for arm in cifar_claims.ARMS}
    assert all({c.worse, c.better} <= names for c in cifar_claims.CLAIMS)


def test_it_searches_compares_and_goes_on(toy_images, tmp_path):
    train, test, path = toy_images(80, side=16), toy_images(20, "val", 16), tmp_path / "c.json"
    record = cifar_claims.run(train, test, plan=cifar_claims.SMALL, path=path, say=str)
    assert json.loads(path.read_text())["arms"].keys() == record["arms"].keys()
    for arm in record["arms"].values():
        assert arm["finished"] and arm["lr"] in arm["rates"] and len(arm["runs"]) == 2
        assert {"error", "train_error", "ten_views_error"} <= arm["runs"][0]["test"].keys()
        low, high = arm["rates"][0], arm["rates"][-1]
        assert low < arm["lr"] < high or len(arm["rates"]) == 5
    factors = record["arms"]["rescaled only"]["lrn_factors"]["lrn1"]
    assert factors == [pytest.approx(2**-0.75, abs=1e-3)] * 3
    assert [row["name"] for row in record["claims"]] == [
        "LRN", "LRN against its constant factor", "overlapping pooling"
    ]  # fmt: skip
    assert len(record["claims"][0]["each"]) == 2 and record["claims"][0]["interval"]
    again = cifar_claims.run(train, test, plan=cifar_claims.SMALL, earlier=record, say=str)
    assert again["arms"] == record["arms"] and not again["sweeps"]
    late = cifar_claims.run(
        train, test, plan=cifar_claims.SMALL, deadline=time.monotonic() - 1, say=str
    )
    assert not late["claims"]


def test_intervals_and_a_seed_that_diverged():
    def runs(*errors):
        return {"runs": [
            {"seed": seed, "test": {} if error is None else {"error": error}}
            for seed, error in enumerate(errors)
        ]}  # fmt: skip

    arms = {"without LRN": runs(0.15, 0.16, None), "with LRN": runs(0.13, 0.13, 0.13)}
    (row,) = cifar_claims.compare(arms)
    assert row["seeds"] == [0, 1] and row["mean"] == 2.5
    assert row["interval"] == [pytest.approx(2.5 - 6.353), pytest.approx(2.5 + 6.353)]
