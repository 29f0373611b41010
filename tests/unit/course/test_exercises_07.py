"""Chapter 07's exercises: the oracles against shapes and torch, and what answers are told."""

from __future__ import annotations

import random

import pytest
import torch

from alexnet_lib import architectures, shapes
from alexnet_lib.course import checks, grading
from alexnet_lib.course.exercises import EXERCISES

NAMES = ("fc_parameters", "layer_macs", "count_neurons")


def both_of(name):
    """The oracle and the solution that learners see."""
    return EXERCISES[name].oracle, checks.solution_function(name)


def said(name, answer) -> str:
    """Judge an answer; returns status and lines as one text."""
    verdict = grading.judge(EXERCISES[name], answer)
    return "\n".join([verdict.status, *verdict.lines])


def test_fc_parameters_are_torchs_and_the_networks():
    rows = {row.name: row for row in shapes.walk(architectures.network("paper"))}
    for function in both_of("fc_parameters"):
        for channels, side, units in ((3, 4, 5), (1, 1, 7), (8, 2, 3)):
            layer = torch.nn.Linear(channels * side * side, units)
            assert function(channels, side, units) == sum(p.numel() for p in layer.parameters())
        assert function(256, 6, 4096) == rows["fc6"].parameters
        share = rows["fc6"].parameters / shapes.totals(architectures.network("paper")).parameters
        assert round(100 * share) == 62  # as the lesson says


def test_layer_macs_are_the_networks():
    rows = [row for row in shapes.walk(architectures.network("paper")) if row.macs]
    alexnet = EXERCISES["layer_macs"].inputs()[4]
    for function in both_of("layer_macs"):
        macs = function(*alexnet)
        assert macs == [row.macs for row in rows]
        assert rows[macs.index(max(macs))].name == "conv2" and max(macs) == 223_948_800
        assert 3.0 < sum(macs) / max(macs) < 3.3  # "nearly a third"
        assert 12 < sum(macs) / sum(macs[5:]) < 12.5  # "a twelfth"


def test_neurons_are_the_networks():
    alexnet = EXERCISES["count_neurons"].inputs()[6]
    for function in both_of("count_neurons"):
        assert (
            function(*alexnet) == shapes.totals(architectures.network("paper")).neurons == 659_272
        )
    rng = random.Random(0)
    for _ in range(20):
        side, channels = rng.randint(12, 30), rng.randint(1, 5)
        kernel, stride, padding = rng.randint(1, 5), rng.randint(1, 3), rng.randint(0, 2)
        maps = torch.nn.Conv2d(1, channels, kernel, stride, padding)(torch.zeros(1, 1, side, side))
        for function in both_of("count_neurons"):
            assert function(side, [channels], [kernel], [stride], [padding]) == maps.numel()


@pytest.mark.parametrize("name", NAMES)
def test_each_mistake_fails_and_is_named(name):
    for mistake, sentence in EXERCISES[name].mistakes.items():
        verdict = said(name, mistake)
        assert verdict.startswith("failed"), sentence
        assert sentence in verdict, (sentence, verdict)


@pytest.mark.parametrize("name", NAMES)
def test_a_stub_is_not_attempted(name):
    parameters = ", ".join(EXERCISES[name].parameters())
    scope: dict = {}
    exec(f"def stub({parameters}):\n    ...", scope)
    assert said(name, scope["stub"]) == "not attempted"


@pytest.mark.parametrize(
    ("name", "answer", "line"),
    [
        ("fc_parameters", lambda channels, side, units: float(units), "should be an int, and is"),
        ("layer_macs", lambda *lists: 5, "should be a list"),
        ("layer_macs", lambda *lists: [float(n) for n in EXERCISES["layer_macs"].oracle(*lists)],
         "should hold whole numbers; at index 0 is a float"),
        ("layer_macs", lambda inputs, outputs, windows, groups, sides: inputs * outputs,
         "All five inputs are lists"),
        ("count_neurons", lambda side, channels, windows, strides, paddings: side * windows - 1,
         "the other four are lists"),
        ("count_neurons", lambda side: 0, "is called with 5 arguments"),
    ],
)  # fmt: skip
def test_answers_get_a_line_that_helps(name, answer, line):
    assert line in said(name, answer)
