"""The ledger: its numbers are those that the library computes, its keys lead somewhere."""

from __future__ import annotations

import dataclasses
import re

import pytest

from alexnet_lib import architectures, paper, shapes
from alexnet_lib.experiments import paper_claims, reference_values


def numbers(text: str) -> list[str]:
    return re.findall(r"\d[\d,]*(?:\.\d+)?", text)


def everything(entry: paper_claims.Discrepancy | paper_claims.Claim) -> str:
    return " ".join(str(value) for value in dataclasses.astuple(entry))


def test_keys_are_unique_and_lead_to_their_entry():
    entries = (*paper_claims.DISCREPANCIES, *paper_claims.CLAIMS)
    assert len({entry.key for entry in entries}) == len(entries)
    for entry in entries:
        assert paper_claims.by_key(entry.key) is entry
    assert paper_claims.by_key("lrn", paper_claims.CLAIMS).section == "§3.3"


def test_an_unknown_key_is_answered_with_the_nearest():
    message = "no entry 'alpha_divide' in the ledger; did you mean 'alpha_divided'.*Choose one of"
    with pytest.raises(ValueError, match=message):
        paper_claims.by_key("alpha_divide")
    with pytest.raises(ValueError, match="no entry 'alpha_divided' in the ledger"):
        paper_claims.by_key("alpha_divided", paper_claims.CLAIMS)


def test_all_that_the_course_teaches_as_a_difference_is_there():
    assert {
        "input_size", "alpha_divided", "init_std", "layer1_order", "lrn_per_tower", "biases",
        "dropout_scaling", "parameter_count", "fig2_neurons", "one_percent", "same_map_norm",
        "lrn_layer5", "last_channel", "lrn_constant", "colour_noise",
    } <= {entry.key for entry in paper_claims.DISCREPANCIES}
    assert len(paper_claims.CLAIMS) >= 14


@pytest.mark.parametrize("entry", paper_claims.DISCREPANCIES, ids=lambda entry: entry.key)
def test_discrepancies_say_who_says_what(entry):
    assert entry.question.endswith("?")
    said = [entry.paper, entry.source2012, entry.pytorch, entry.article]
    assert sum(map(bool, said)) >= 2
    assert re.search(r"\[[PSCTA][ \]]", entry.where)
    for text in (*said, entry.note):
        assert text == "" or text.rstrip().endswith((".", "?"))


@pytest.mark.parametrize("entry", paper_claims.CLAIMS, ids=lambda entry: entry.key)
def test_claims_have_numbers_a_section_and_a_way_to_measure(entry):
    assert entry.claim and entry.how
    assert "§" in entry.section
    assert entry.values
    assert all(value > 0 for value in entry.values.values())


def test_the_numbers_of_the_size_are_computed():
    count = everything(paper_claims.by_key("parameter_count"))
    for variant in ("source2012", "torchvision", "ungrouped", "one_tower"):
        assert f"{shapes.totals(architectures.network(variant)).parameters:,}" in count
    neurons = everything(paper_claims.by_key("fig2_neurons"))
    totals = shapes.totals(architectures.network("paper"))
    for number in (55 * 48 * 96, 55 * 55 * 96, totals.neurons, sum(reference_values.FIG2_NEURONS)):
        assert f"{number:,}" in neurons


def test_the_shares_are_computed():
    entry = paper_claims.by_key("one_percent")
    rows = {row.name: row for row in shapes.walk(architectures.network("paper"))}
    totals = shapes.totals(architectures.network("paper"))
    for name in ("conv3", "conv4"):
        assert f"{name} holds {100 * rows[name].parameters / totals.parameters:.2f}%"[-5:] in (
            entry.source2012
        )
    assert f"{100 * totals.conv_parameters / totals.parameters:.1f}%" in entry.note
    assert f"{100 * totals.conv_macs / totals.macs:.1f}%" in entry.note


def test_the_lrn_factors_are_computed():
    entry = paper_claims.by_key("lrn_constant")
    for k, c in ((2, 2e-5), (2, 1e-4), (1, 2e-5)):
        assert f"{(k + c * 5 * 100**2) ** -0.75:.6f}" in entry.note


def test_the_sizes_are_computed():
    entry = paper_claims.by_key("input_size")
    sizes = shapes.output_size(224, 11, 4, rounding="ceil"), shapes.output_size(224, 11, 4)
    assert f"= {sizes[0]}" in entry.source2012
    assert f"gives {sizes[1]}" in entry.note
    crops = paper_claims.by_key("crop_count")
    assert str(2 * shapes.output_size(256, 224) ** 2) in crops.source2012
    assert paper_claims.by_key("crops").values["times"] == 2 * 32**2


def test_the_recipes_and_variants_agree_with_the_ledger():
    stds = {
        layer.weight_std for layer in architectures.network("source2012").layers if layer.channels
    }
    assert {f"{std:g}" for std in stds} <= set(numbers(paper_claims.by_key("init_std").source2012))
    recipe = paper.RECIPES["paper2012"]
    assert paper_claims.by_key("weight_decay").values["weight_decay"] == recipe.weight_decay
    assert paper_claims.by_key("training_time").values["epochs"] == recipe.epochs


@pytest.mark.parametrize(
    ("key", "run", "base"),
    [("two_gpus", "145-half", "145-2010"), ("lrn", "148", "145"),
     ("overlapping_pooling", "147", "145")],
)
def test_printed_gains_are_the_logged_ones_rounded(key, run, base):
    values = paper_claims.by_key(key).values
    with_it, without = paper.ERRORS_2012[base], paper.ERRORS_2012[run]
    assert values["top1_points"] == round(without[3] - with_it[3], 1)
    assert values["top5_points"] == round(without[4] - with_it[4], 1)


@pytest.mark.parametrize(
    ("key", "run"),
    [("ilsvrc2010", "145-2010"), ("ten_views", "145-2010-centre"), ("ilsvrc2012", "145")],
)
def test_printed_errors_are_the_logged_ones_rounded(key, run):
    values = paper_claims.by_key(key).values
    assert values["top1_error_percent"] == round(paper.ERRORS_2012[run][3], 1)
    assert values["top5_error_percent"] == round(paper.ERRORS_2012[run][4], 1)
