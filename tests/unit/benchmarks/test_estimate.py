"""What a run will take, against counting by hand and against what torch really keeps."""

from __future__ import annotations

import pytest
import torch

from alexnet_lib import architectures, models, records, shapes
from alexnet_lib.benchmarks import estimate as estimate_benchmark
from alexnet_lib.benchmarks.estimate import byte_words, duration, estimate
from alexnet_lib.kernels import dispatch
from alexnet_lib.paper import RECIPES

PAPER = architectures.network("paper", 10)
SMALL = architectures.small_network()


def test_the_papers_network_by_hand():
    takes = estimate(PAPER, 9_469, 3_925, 64, 256, throughput=10.0, held=False, packed=False)
    parameters, fc6 = 56_909_194, 9216 * 4096 + 4096
    assert takes.weights == 4 * (3 * parameters + fc6)
    assert takes.maps == 64 * 5_653_388 - 64 * 4 * 990  # the sheet's, fewer outputs by 990
    assert takes.checkpoint == 8 * parameters
    assert takes.packed == (9_469 + 3_925) * 256 * 256 * 3 and takes.pictures == 0
    assert takes.steps == 148
    assert takes.seconds == pytest.approx((9_469 + 3_925 / 3) / 10)
    assert takes.memory == takes.weights + takes.maps
    assert takes.disk == 2 * takes.checkpoint + takes.packed


def test_pictures_held_in_memory_count_there():
    takes = estimate(PAPER, 40, 10, 8, 256)
    assert takes.pictures == 50 * 256 * 256 * 3 and takes.packed == 0
    assert takes.seconds is None and "Measure" in takes.sentence(3, 8)


def test_a_batch_is_never_larger_than_the_set():
    assert estimate(PAPER, 5, 0, 64, 256).maps == estimate(PAPER, 5, 0, 5, 256).maps


@pytest.mark.parametrize("given", [{"train": 0}, {"batch_size": 0}])
def test_nothing_takes_no_time(given):
    with pytest.raises(ValueError, match=f"{next(iter(given))} is 0; it must be at least 1"):
        estimate(PAPER, **{"train": 5, "val": 0, "batch_size": 2, "side": 256} | given)


def test_the_sentence_has_time_memory_and_disk():
    takes = estimate(PAPER, 9_469, 3_925, 64, 256, throughput=11.0, held=False, packed=False)
    line = takes.sentence(16, 64, ", at a pace")
    assert "about 16 minutes an epoch, 4.4 hours in all, 148 steps an epoch, at a pace." in line
    assert "Memory: about 1.2 GB, of which 683 MB weights, gradients and momentum" in line
    assert "151 MB scratch room for the largest layer" in line and "362 MB the maps of 64" in line
    assert "Disk: 911 MB for checkpoints, two while saving, and 2.6 GB for the pictures" in line
    takes = estimate(PAPER, 5, 0, 5, 256, throughput=1.0)
    assert "for 1 step," in takes.sentence(1, 5, ", at a pace")


def test_the_recorded_throughput_is_the_records():
    run = records.read("imagenette_paper")
    throughput = estimate_benchmark.recorded_throughput(PAPER)
    takes = estimate(PAPER, run["train_images"], run["val_images"], 64, 256, throughput=throughput)
    assert takes.seconds * len(run["epochs"]) == pytest.approx(run["seconds"])
    small = architectures.small_network()
    ratio = shapes.totals(PAPER).macs / shapes.totals(small).macs
    assert estimate_benchmark.recorded_throughput(small) == pytest.approx(throughput * ratio)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (0.2, "1 s"), (40.4, "40 s"), (119, "119 s"), (150, "2.5 minutes"),
     (3_000, "50 minutes"), (4 * 3_600, "4.0 hours"), (30 * 3_600, "30 hours"),
     (5.5 * 86_400, "5.5 days"), (1_000 * 86_400, "1,000 days")],
)  # fmt: skip
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 KB"), (12, "1 KB"), (303_000, "303 KB"), (4_400_000, "4 MB"), (683e6, "683 MB"),
     (1.94e9, "1.9 GB"), (252e9, "252 GB"), (1.2e12, "1.2 TB")],
)  # fmt: skip
def test_bytes_in_words(count, words):
    assert byte_words(count) == words


def test_a_batch_leaves_no_more_than_that_behind():
    """What autograd keeps for the way back, each piece of memory once, without the weights.

    The estimate counts what all layers put out. The compiled kernels keep less: of LRN's output
    nothing, since pooling remembers one byte a window.
    """
    model = models.alexnet("paper", 10, seed=0).train()
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor):
        memory = tensor.untyped_storage()
        if memory.data_ptr() not in own:
            kept[memory.data_ptr()] = memory.nbytes()
        return tensor

    x = torch.rand(4, 3, 227, 227)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y = model(x)  # holds the graph
    del y
    said = estimate(PAPER, 4, 0, 4, 256).maps
    least = 0.75 if not dispatch.compiled() else 0.6
    assert least * said < sum(kept.values()) < 1.25 * said


def test_throughput_is_pictures_by_time_without_the_first_step(monkeypatch):
    ticks = iter([0.0, 100.0, 100.5, 101.0, 101.5])
    monkeypatch.setattr(estimate_benchmark.time, "perf_counter", lambda: next(ticks))

    def fit(model, pictures, val, recipe, on_step, **options):
        assert pictures.images.shape == (6, 28, 28, 1)
        next(ticks)
        while not on_step(None):
            pass

    monkeypatch.setattr(estimate_benchmark.training, "fit", fit)
    given = (SMALL, RECIPES["modern"], 6, 28, "cpu")
    assert estimate_benchmark.measure_throughput(*given, seconds=1.2) == pytest.approx(6 * 3 / 1.5)


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_every_recipe_can_be_measured(recipe):
    given = SMALL, RECIPES[recipe], 8, 28
    assert 1 < estimate_benchmark.measure_throughput(*given, seconds=0.05) < 1e9
