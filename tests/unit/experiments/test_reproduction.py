"""The ledger's rule on made-up numbers, every verdict reachable, every claim judged."""

from __future__ import annotations

import copy
import math
import statistics

import numpy as np
import pytest

from alexnet_lib import records
from alexnet_lib.experiments import paper_claims, reproduction, significance


def arm(test, train=None):
    train = train or [0.1] * len(test)
    runs = [
        {"seed": seed, "test_error": [0.9, error], "train_error_after": after}
        for seed, (error, after) in enumerate(zip(test, train, strict=True))
    ]
    return {"rate": 0.01, "runs": runs}


def record(arms, **more):
    count = len(next(iter(arms.values()))["runs"])
    return {"train_images": 3000, "data_note": "CIFAR-10, re-encoded JPEG", "arms": arms,
            "seeds": list(range(count)), **more}  # fmt: skip


BETTER, WORSE = [0.40, 0.41, 0.42], [0.50, 0.52, 0.51]
MADE_UP = {
    "lrn_ablation": record({"without LRN": arm(WORSE), "with LRN": arm(BETTER)}),
    "lrn_cifar10": record({"without LRN": arm(BETTER), "with LRN": arm(WORSE)}),
    "pooling": record({"z=2, s=2": arm([0.5, 0.4, 0.6]), "z=3, s=2": arm([0.48, 0.45, 0.56])}),
    "two_towers": record({"one tower": arm(WORSE), "two towers": arm(BETTER)}),
    "depth": record({"all five": arm(BETTER), "without conv3": arm(WORSE),
                     "without conv4": arm(WORSE)}),
    "overfitting": record({"plain": arm(WORSE, [0.0] * 3), "colour noise": arm(BETTER),
                           "dropout": arm(WORSE, [0.3, 0.32, 0.31])},
                          iterations={"dropout_over_plain": {"1": {"ratio_mean": 2.5},
                                                             "0.5": {"ratio_mean": 3.0}}}),
    "weight_decay": record({"without decay": arm(WORSE, [0.2, 0.21, 0.22]),
                            "with decay": arm(WORSE, [0.1, 0.11, 0.13])}),
    "ensemble": record({"two towers": arm(WORSE)}, ten_views={"each": [-0.02, -0.01, -0.015]},
                       averaging={"each": [-0.05, -0.04, -0.045]}),
    "figure1": {"train_images": 3000, "cells": {
        f"raw, cuda-convnet, {kind}": {"finished": True, "runs": [
            {"seed": seed, "epochs": 60, "epochs_to_target": epochs} for seed, epochs in of
        ]} for kind, of in (
            ("ReLU", ((0, 2), (1, 4), (2, 8))), ("tanh", ((2, 56), (0, 10), (1, 24))),
        )
    }},
    "imagenet_paper": {"best": {"val_top1": 0.59, "val_top5": 0.815}},
}  # fmt: skip


def read(name):
    if name == "imagenette_paper":
        return records.read(name)
    if name not in MADE_UP:
        raise FileNotFoundError(name)
    return copy.deepcopy(MADE_UP[name])


# The rule


def test_margin_is_students():
    each = [1.0, 2.0, 3.0]
    assert significance.margin(each) == pytest.approx(2.920 * 1.0 / 3**0.5)
    assert significance.margin([1.0, 2.0] * 8) == pytest.approx(
        1.833 * statistics.stdev([1.0, 2.0] * 8) / 4
    )
    with pytest.raises(ValueError, match="two seeds or more"):
        significance.margin([1.0])


def test_students_table_leaves_five_percent_above():
    for seeds, factor in significance.STUDENT.items():
        free = seeds - 1
        scale = math.gamma((free + 1) / 2) / math.gamma(free / 2) / math.sqrt(free * math.pi)
        t = np.linspace(0, factor, 20_001)
        density = scale * (1 + t**2 / free) ** (-(free + 1) / 2)
        assert 0.5 + np.trapezoid(density, t) == pytest.approx(0.95, abs=1e-4)


def test_students_table_falls_toward_the_normal_distribution():
    factors = list(significance.STUDENT.values())
    assert factors == sorted(factors, reverse=True) and factors[-1] > 1.645
    assert list(significance.STUDENT) == list(range(2, 11))


@pytest.mark.parametrize(
    ("each", "paper", "same", "verdict"),
    [
        ([], 1.0, True, significance.NOT_TESTED),
        ([5.0], 5.0, True, significance.NOT_TESTED),
        ([1.0, 1.1, 0.9], 1.0, True, significance.REPRODUCED),
        ([1.0, 1.1, 0.9], 1.0, False, significance.DIRECTION),
        ([1.0, 1.1, 0.9], 3.0, True, significance.DIRECTION),
        ([1.0, 1.1, 0.9], None, True, significance.DIRECTION),
        ([1.0, -1.0, 0.5], 1.0, True, significance.NOT_SEEN),
        ([-1.0, -1.1, -0.9], 1.0, True, significance.OTHER_WAY),
        ([-1.0, -1.1, -0.9], None, False, significance.OTHER_WAY),
        ([-1.0, 1.0, -0.5], 1.0, True, significance.NOT_SEEN),
        ([0.0, 0.0, 0.0], 1.0, True, significance.NOT_SEEN),
        ([1.0, 1.0], 1.0, True, significance.REPRODUCED),
    ],
)
def test_effects(each, paper, same, verdict):
    assert significance.of_effect(each, paper, same) == verdict


def test_an_effect_at_the_margin_is_not_seen():
    each = [0.0, 1.0, 2.0]
    off = significance.margin(each)
    assert significance.of_effect([value + off - 1 - 1e-6 for value in each], 1, True) == (
        significance.NOT_SEEN
    )
    assert significance.of_effect([value + off - 1 + 1e-6 for value in each], 1, True) != (
        significance.NOT_SEEN
    )


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [(100, significance.REPRODUCED), (98, significance.REPRODUCED), (97.9, significance.CLOSE),
     (110, significance.CLOSE), (110.1, significance.NOT_SO), (-100, significance.NOT_SO)],
)  # fmt: skip
def test_counts(ours, verdict):
    assert significance.of_count(ours, 100) == verdict


def test_several_are_judged_by_the_least():
    words = list(significance.VERDICTS)
    assert significance.of_all(words[:4]) == words[3] and significance.of_all(words[:1]) == words[0]


def test_bounds_and_chance():
    assert significance.of_bound(0.5, 1) == significance.of_bound(1, 1) == significance.REPRODUCED
    assert significance.of_bound(1.05, 1) == significance.CLOSE
    assert significance.of_bound(1.45, 1) == significance.NOT_SO
    assert significance.of_chance(0.049) == significance.DIRECTION
    assert significance.of_chance(0.05) == significance.NOT_SEEN


# The ledger


def test_every_claim_is_judged_and_every_verdict_is_reached():
    found = reproduction.judge_all(read)
    assert sorted(finding.claim.key for finding in found.findings) == sorted(
        claim.key for claim in paper_claims.CLAIMS
    )
    assert found.counts().keys() == significance.VERDICTS.keys()
    assert all(found.counts().values()), found.counts()
    order = [list(significance.VERDICTS).index(finding.verdict) for finding in found.findings]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("key", "verdict", "ours"),
    [
        ("lrn", significance.DIRECTION, "+10.0 ± 1.7 points"),
        ("lrn_cifar10", significance.OTHER_WAY, "-10.0 ± 1.7 points"),
        ("overlapping_pooling", significance.NOT_SEEN, "+0.3 ± 8.0 points"),
        ("two_gpus", significance.DIRECTION, "+10.0 ± 1.7 points"),
        ("depth", significance.DIRECTION,
         "+10.0 ± 1.7 points without conv3, +10.0 ± 1.7 points without conv4"),
        ("colour_gain", significance.DIRECTION, "+10.0 ± 1.7 points"),
        ("weight_decay", significance.DIRECTION, "+9.7 ± 1.0 points of training error"),
        ("ten_views", significance.DIRECTION, "+1.5 ± 0.8 points"),
        ("ensemble", significance.NOT_TESTED, "+4.5 points, one ensemble of 3"),
        ("relu", significance.DIRECTION, "6.00 ± 1.69 times"),
        ("ilsvrc2012", significance.REPRODUCED, "41.0% / 18.5%"),
        ("conv_share", significance.NOT_SO, "conv3 holds 1.45%"),
        ("crops", significance.CLOSE, "2,178 = 33 x 33 x 2"),
        ("earlier_best", significance.NOT_TESTED, ""),
        ("ilsvrc2010", significance.NOT_TESTED, ""),
    ],
)  # fmt: skip
def test_made_up_records_get_the_verdict_that_the_rule_asks_for(key, verdict, ours):
    found = reproduction.judge_all(read)[key]
    assert (found.verdict, found.ours) == (verdict, ours)


def test_dropout_is_judged_by_the_gap_between_test_and_training():
    found = reproduction.judge_all(read)["dropout"]
    assert found.ours.startswith("2.8 times the steps, +31.0 ±")
    assert found.ours.endswith("points less between test and training error")
    assert found.verdict == significance.DIRECTION


def test_depth_is_judged_by_the_layer_that_says_least_for_it():
    def one_layer_hurts(name):
        made = read(name)
        if name == "depth":
            made["arms"]["without conv4"] = arm([0.35, 0.37, 0.36])
        return made

    found = reproduction.judge_all(one_layer_hurts)["depth"]
    assert found.ours == "+10.0 ± 1.7 points without conv3, -5.0 ± 1.7 points without conv4"
    assert found.verdict == significance.OTHER_WAY


@pytest.mark.parametrize(
    ("tanh", "verdict", "ours"),
    [  # epochs to the target by seed, None where it wasn't there after 60
        ((None, None, None), significance.NOT_SEEN, "17.50 ± 19.31 times"),
        ((1, 2, 4), significance.OTHER_WAY, "0.50 ± 0.00 times"),
        ((2, 4, 9), significance.NOT_SEEN, "1.04 ± 0.12 times"),
        ((), significance.NOT_TESTED, ""),
    ],
)
def test_relu_is_judged_seed_by_seed(tanh, verdict, ours):
    def other(name):
        made = read(name)
        if name == "figure1":
            made["cells"]["raw, cuda-convnet, tanh"]["runs"] = [
                {"seed": seed, "epochs": 60, "epochs_to_target": epochs}
                for seed, epochs in enumerate(tanh)
            ]
        return made

    found = reproduction.judge_all(other)["relu"]
    assert (found.verdict, found.ours) == (verdict, ours)


def test_a_missing_record_is_told_with_the_command_that_makes_it():
    def nothing(name):
        raise FileNotFoundError(name)

    found = reproduction.judge_all(nothing)
    assert found["depth"].verdict == significance.NOT_TESTED
    assert found["depth"].command == "python -m alexnet_lib experiment depth"
    assert found["ilsvrc2012"].command.startswith("python -m alexnet_lib train --data imagenet")
    assert found["size"].verdict == significance.REPRODUCED
    assert "python -m alexnet_lib experiment ensemble" in found.commands()
    assert found["earlier_best"].command == ""


def test_what_ships_is_judged_without_an_error_and_prints_whole():
    found = reproduction.judge_all()
    text, table = str(found), found._repr_markdown_()
    for finding in found.findings:
        assert finding.paper in text and finding.paper in table
        assert finding.ours in text and "{" not in finding.paper
    assert table.count("\n") == len(paper_claims.CLAIMS) + 1
    assert max(map(len, text.splitlines())) < 140  # of a terminal
    rows = table.splitlines()
    assert {row.count("|") for row in rows} == {7}


def test_the_papers_short_numbers_are_the_ledgers():
    assert reproduction.judge_all()["ten_views"].paper == "1.5 points"  # 39.0 - 37.5
    assert reproduction.judge_all()["ensemble"].paper == "2.6 points"  # 40.7 - 38.1
