"""Ranks started from a notebook: results, a failing rank's own words, and nothing left behind."""

from __future__ import annotations

import operator
import os
import time

import pytest
import torch

import rank_tasks
from alexnet_lib import architectures, paper, shapes, towers
from alexnet_lib.benchmarks import two_towers as two_towers_benchmark
from alexnet_lib.distributed import launch

pytestmark = [pytest.mark.xdist_group("processes"), pytest.mark.distributed]


def test_results_come_back_by_rank():
    assert launch.launch(rank_tasks.add_ranks, 3, (10,), threads=1) == [
        (0, 30, 1), (1, 30, 1), (2, 30, 1),
    ]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_failing_rank_s_own_traceback_reaches_the_caller_soon(rank):
    started = time.monotonic()
    with pytest.raises(launch.RankError, match="the cat sat on the keyboard") as caught:
        launch.launch(rank_tasks.fail_on_one, 2, (rank,))
    assert time.monotonic() - started < 30
    assert caught.value.rank == rank
    assert "rank_tasks.py" in caught.value.traceback
    assert 'raise ValueError("the cat sat on the keyboard")' in caught.value.traceback


def test_a_rank_that_is_killed_is_named():
    started = time.monotonic()
    with pytest.raises(launch.RankError, match="rank 1 ended by itself: killed by SIGKILL"):
        launch.launch(rank_tasks.end_one, 2, (1,))
    assert time.monotonic() - started < 30


def test_a_rank_that_hangs_is_ended_and_says_where_it_was(tmp_path):
    with pytest.raises(TimeoutError, match="didn't finish within 12 s") as caught:
        launch.launch(rank_tasks.hang_on_one, 2, (1, str(tmp_path)), seconds=12)
    assert "rank_tasks.py" in str(caught.value)
    for name in os.listdir(tmp_path):
        with pytest.raises(ProcessLookupError):
            os.kill(int(name), 0)


def test_what_cannot_travel_is_refused_at_once():
    with pytest.raises(ValueError, match="put it into a .py file and import it"):
        launch.launch(lambda: 1)
    with pytest.raises(ValueError, match="ranks is 0; start at least 1"):
        launch.launch(operator.add, 0)


@pytest.fixture(scope="module")
def two_towers():
    """Two steps of the paper's network in two processes, in float64, beside one process."""
    return two_towers_benchmark.run("paper", batch_size=1, steps=2, num_classes=1000, double=True)


def test_two_processes_compute_what_one_computes(two_towers):
    for name, values in two_towers[0]["differences"].items():
        assert max(values) < 1e-12, name
    assert two_towers[0]["logits"].shape == (1, 1000)
    assert [rank["parameters"] for rank in two_towers] == [32_531_112, 28_434_112]


def test_the_bytes_that_cross_are_those_of_the_paper(two_towers):
    """234,496 bytes an image forward in float32, the same backward; here twice that, float64."""
    spec = architectures.network("paper")
    expected = {
        reader: count for (_, reader), count in shapes.transfer_bytes(spec, paper.TRANSFERS).items()
    }
    assert sum(expected.values()) == 234_496
    for way in ("forward", "backward"):
        sent: dict[str, int] = {}
        for rank in two_towers:
            for row in rank["exchanged"]:
                if row["direction"] == way:
                    sent[row["reader"]] = sent.get(row["reader"], 0) + row["bytes"]
        assert sent == {reader: 2 * count for reader, count in expected.items()}


def test_in_float32_two_processes_compute_what_one_computes():
    differences = two_towers_benchmark.run("source2012", batch_size=1, steps=2)[0]["differences"]
    assert max(differences["outputs"]) < 1e-5
    assert max(differences["loss"]) < 1e-5
    assert differences["weights"][0] < 1e-5
    assert differences["gradients"][0] < 1e-5


def test_activation_bytes_counts_what_backward_needs():
    layers = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    x = torch.randn(5, 8)
    # the input of each layer; the ReLU's output is the second one's input
    assert two_towers_benchmark.activation_bytes(layers, x) == 4 * 5 * (8 + 16)


def test_an_exchange_without_the_other_way_gives_an_empty_tensor():
    link = towers.Link(peer=1)
    crossing = towers.Exchange(link, "fc8", sends=False, receives=False)
    x, token = towers.begin(torch.ones(3, 4, requires_grad=True), crossing)
    assert towers.end(token, crossing).shape == (3, 0)
    assert not link.sent
