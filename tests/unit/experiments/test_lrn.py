"""The record of LRN that ships adds up."""

from __future__ import annotations

import numpy as np
import pytest

from alexnet_lib.experiments import registry


def test_shipped_lrn_record_adds_up():
    record = registry.load("lrn_ablation")
    assert not record["small"] and len(record["seeds"]) >= 5
    final = {}
    for name, arm in record["arms"].items():
        assert [run["seed"] for run in arm["runs"]] == record["seeds"]
        assert all(len(run["test_error"]) == record["epochs"] for run in arm["runs"])
        assert not any(run["diverged"] for run in arm["runs"])
        assert arm["rate"] == record["search"]["best"][name]
        final[name] = np.array([run["test_error"][-1] for run in arm["runs"]])
        assert arm["final_test_error_mean"] == pytest.approx(final[name].mean(), abs=1e-4)
    for arm in ("without LRN", "rescaled only"):
        gap = (final["with LRN"] - final[arm]).mean()
        difference = record["differences"][f"with LRN minus {arm}"]
        assert difference["difference_mean"] == pytest.approx(gap, abs=1e-4)
        assert f"{100 * difference['difference_mean']:+.2f} points" in registry.summary(record)
    for run in record["arms"]["rescaled only"]["runs"]:
        assert run["lrn_factor"]["lrn1"] == pytest.approx([2**-0.75] * 3, abs=1e-4)
