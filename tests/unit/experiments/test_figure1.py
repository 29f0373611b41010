"""Figure 1's search and comparison, at the size of a toy, and its rules."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import replace

import pytest
import torch

from alexnet_lib import experiments, models, shapes
from alexnet_lib.experiments import figure1, sweep
from alexnet_lib.experiments.sweep import Data, Result, Run

PLAN = replace(figure1.SMALL, channels=(4, 4, 8), target=0.4, cap=4, search_seeds=(1000, 1001))


def test_the_network_is_cuda_convnets():
    sizes = {row.name: row.output for row in shapes.walk(figure1.network("tanh"))}
    assert [sizes[f"pool{n}"] for n in (1, 2, 3)] == [(32, 16, 16), (32, 8, 8), (64, 4, 4)]
    assert sizes["fc"] == (10,)


def test_it_searches_compares_writes_and_goes_on(toy_images, tmp_path):
    path, train = tmp_path / "f.json", toy_images(64)
    record = figure1.run(train, plan=PLAN, path=path, say=lambda text: None)
    assert set(record["cells"]) == set(PLAN.cells)
    assert json.loads(path.read_text())["cells"].keys() == record["cells"].keys()
    for cell in record["cells"].values():
        assert cell["finished"] and cell["lr"] and len(cell["runs"]) == 1
        assert {"epoch", "layers"} == set(cell["saturation"][0])
        rates = [row["lr"] for row in cell["search"]]
        if cell["at_chance"]:
            assert min(rates) == figure1.LOWEST
        else:
            assert len(cell["refine"]) == 6 and cell["runs"][0]["seed"] == 0
    again = figure1.run(train, plan=PLAN, earlier=record, say=lambda text: None)
    assert again["cells"] == record["cells"]
    late = figure1.run(
        train, plan=PLAN, deadline=time.monotonic() - 1, say=lambda text: None, path=path
    )
    assert not any(cell["finished"] for cell in late["cells"].values())


@pytest.mark.parametrize("lr, steps, expected", [
    (0.001, 1, 0.003), (0.003, 1, 0.01), (0.003, -1, 0.001), (0.1, 1, 0.3), (0.3, 1, 1.0),
    (0.001, -1, 0.0003), (0.0001, -1, 0.00003),
])  # fmt: skip
def test_the_ladder_of_rates(lr, steps, expected):
    assert figure1._rate_beside(lr, steps) == pytest.approx(expected)


def _race(errors, target=0.25):
    """A cell whose runs have these errors so far, by rate."""
    spec = figure1.network("relu", channels=(4, 4, 8))
    plan = replace(figure1.Plan(), rates=tuple(errors), target=target)
    race = figure1._Race(figure1.CELLS[0], spec, sweep.View(), plan, {})
    runs = race.begin()
    results = {run.name: Result(run, None, list(errors[run.lr])) for run in runs}
    for result in results.values():
        reached = result.train_error and result.train_error[-1] <= target
        result.status = "reached" if reached else "running"
    return race, results


def test_who_can_not_win_is_stopped():
    fast, slow, stuck = [0.8, 0.4, 0.2], [0.8, 0.7, 0.6], [0.9] * 20
    race, results = _race({0.001: slow, 0.01: fast})
    assert [results[name].run.lr for name in race.to_stop(results)] == [0.001]
    race, results = _race({0.001: [0.8] * 10, 0.01: [0.6] * 10})
    assert [results[name].run.lr for name in race.to_stop(results)] == [0.001]
    race, results = _race({0.001: [0.8] * 9, 0.01: [0.6] * 9})
    assert not race.to_stop(results)
    race, results = _race({0.001: stuck, 0.01: stuck})
    assert len(race.to_stop(results)) == 2


def test_the_list_grows_where_the_best_stands_at_its_end():
    for errors, further in (
        ({0.001: [0.8], 0.003: [0.7], 0.01: [0.6]}, [0.03]),
        ({0.001: [0.6], 0.003: [0.7], 0.01: [0.8]}, [0.0003]),
        ({0.001: [0.9], 0.003: [0.89], 0.01: [0.9]}, [0.0003]),
    ):
        race, results = _race(errors)
        for result in results.values():
            result.status = "finished"
        assert [run.lr for run in race.go_on(results)] == further
    race, results = _race({0.001: [0.7], 0.003: [0.5], 0.01: [0.6]})
    for result in results.values():
        result.status = "finished"
    new = race.go_on(results)
    assert sorted({run.lr for run in new}) == [0.00173, 0.003, 0.0052]
    assert {run.seed for run in new} == {1000, 1001, 1002}


def test_saturation_by_layer(toy_images):
    data = Data(toy_images(20))
    spec = figure1.network("tanh", 12, 3, 3, (4, 4, 8))
    std = {name: 10.0 for name in ("conv1", "conv2", "conv3")}
    net = models.build(spec).initialize(0, weight_std=std)
    net.to(memory_format=torch.channels_last)
    found = figure1.saturation(Result(Run("a", spec, 0.1, 0, 1), net), data)
    assert found["tanh1"]["saturated"] > 0.9 and found["tanh1"]["spread"] > 100
    relu = models.build(figure1.network("relu", 12, 3, 3, (4, 4, 8)), seed=0)
    found = figure1.saturation(Result(Run("a", relu.spec, 0.1, 0, 1), relu), data)
    assert 0.2 < found["relu1"]["saturated"] < 0.8 and relu.stage("relu1").inplace


def test_what_ships_bears_out_what_the_chapter_says():
    record = experiments.load("figure1")
    said, ratios = experiments.summary(record), figure1.ratios(record)
    cells = record["cells"]
    for name, cell in cells.items():
        assert name in said and cell["finished"] and len(cell["runs"]) in (3, 5)
    relu, tanh, slow = (
        [row["epochs_to_target"] for row in cells[f"raw, cuda-convnet, {kind}"]["runs"]]
        for kind in ("ReLU", "tanh", "tanh, conv1 slow")
    )
    assert max(relu) < min(tanh)  # rule 5
    assert statistics.mean(slow) <= statistics.mean(tanh) / 2
    raw = ratios["raw, cuda-convnet, ReLU"]
    assert raw == (pytest.approx(statistics.mean(tanh) / statistics.mean(relu)), "")
    halved = [name for name, (times, _) in ratios.items() if times <= raw[0] / 2]
    assert halved == [name for name in ratios if name != "raw, cuda-convnet, ReLU"]
    assert all(times < 2 for name, (times, _) in ratios.items() if name.startswith("divided"))
    assert statistics.mean(figure1.paired_ratios(record)) == pytest.approx(6.36, abs=0.01)
    flat = cells["raw, cuda-convnet, tanh"]["saturation"][1]["layers"]["tanh1"]["saturated"]
    assert flat > 0.95  # what chapter 4 says of it in words


def test_other_seeds_are_run_and_machines_are_told(toy_images):
    train = toy_images(64)
    plan = replace(PLAN, cells=PLAN.cells[:1])
    record = figure1.run(train, plan=plan, say=str)
    record["environment"] = {"commit": "another"}
    again = figure1.run(train, plan=replace(plan, seeds=(5,)), earlier=record, say=str)
    (cell,) = again["cells"].values()
    assert [row["seed"] for row in cell["runs"]] == [5] and cell["finished"]
    assert len(cell["search"]) == len(record["cells"][cell["name"]]["search"])
    assert again["earlier_environments"] == [{"commit": "another"}]
    assert again["environment"]["packages"]


@pytest.mark.parametrize("name, said", [("figure1", "45% training error"), ("cifar_claims", "LRN")])
def test_the_experiments_in_small(name, said):
    record = experiments.run(name, small=True, progress=False)
    assert record["small"] and said in experiments.summary(record)
