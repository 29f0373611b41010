"""A GPU's benches: each row gets its share of the time, and one that fails leaves the others."""

from __future__ import annotations

import time

import pytest

from alexnet_lib.benchmarks import gpu


def test_what_a_row_leaves_goes_to_those_after_it_and_compiling_comes_last(monkeypatch):
    shares = []

    def work(device, seconds, name):
        shares.append(seconds)
        if name == "broken":
            raise RuntimeError("no such kernel")
        return {"what": name}

    jobs = ((1, "lrn", work, ("a",)), (4, "steps", work, ("broken",)), (3, "loops", work, ("c",)))
    monkeypatch.setattr(gpu, "JOBS", jobs)
    kept = []
    found = gpu.run("cpu", 80, keep=lambda rows: kept.append(sum(map(len, rows.values()))))
    assert shares == pytest.approx([10, 4 / 7 * 80, 80], rel=0.01) and kept == [1, 2, 3]
    assert found["lrn"] == [{"what": "a"}] and found["loops"] == [{"what": "c"}]
    assert found["steps"][0]["error"] == "RuntimeError: no such kernel"
    assert not any(gpu.run("cpu", 0).values())
    monkeypatch.undo()
    compiled = [True in given for _, _, _, given in gpu.JOBS]
    assert compiled == sorted(compiled) and any(compiled)


def test_contestants_out_of_time_are_left_out_and_errors_are_kept():
    def slow():
        time.sleep(0.02)
        return lambda: None

    def broken():
        raise ValueError("not here")

    found = gpu.timed({"slow": slow, "late": slow}, "cpu", 0.001, calls=1, rounds=3)
    assert list(found) == ["slow"] and found["slow"].keys() == {"eager"}
    assert gpu.timed({"broken": broken}, "cpu", 1) == {"broken": {"error": "ValueError: not here"}}
