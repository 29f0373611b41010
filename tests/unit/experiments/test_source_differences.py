"""Where the sources differ: the numbers there are those that the library computes."""

from __future__ import annotations

import dataclasses
import re

import pytest

from alexnet_lib import architectures, shapes
from alexnet_lib.experiments import reference_values, source_differences
from alexnet_lib.experiments.source_differences import DISCREPANCIES


def numbers(text: str) -> list[str]:
    return re.findall(r"\d[\d,]*(?:\.\d+)?", text)


def everything(entry: source_differences.Discrepancy) -> str:
    return " ".join(str(value) for value in dataclasses.astuple(entry))


def test_an_unknown_key_is_answered_with_the_nearest():
    message = "unknown discrepancy 'alpha_divide'; did you mean 'alpha_divided'.*Choose one of"
    with pytest.raises(ValueError, match=message):
        source_differences.by_key("alpha_divide")


def test_all_that_the_course_teaches_as_a_difference_is_there():
    keys = {entry.key for entry in DISCREPANCIES}
    assert {
        "input_size", "alpha_divided", "init_std", "layer1_order", "lrn_per_tower", "biases",
        "dropout_scaling", "parameter_count", "fig2_neurons", "one_percent", "same_map_norm",
        "lrn_layer5", "last_channel", "lrn_constant", "colour_noise",
    } <= keys
    assert len(keys) == len(DISCREPANCIES)


@pytest.mark.parametrize("entry", DISCREPANCIES, ids=lambda entry: entry.key)
def test_discrepancies_say_who_says_what(entry):
    assert entry.question.endswith("?")
    said = [entry.paper, entry.source2012, entry.pytorch, entry.article]
    assert sum(map(bool, said)) >= 2
    assert re.search(r"\[[PSCTA][ \]]", entry.where)
    for text in (*said, entry.note):
        assert text == "" or text.rstrip().endswith((".", "?"))


def test_the_numbers_of_the_size_are_computed():
    count = everything(source_differences.by_key("parameter_count"))
    for variant in ("source2012", "torchvision", "ungrouped", "one_tower"):
        assert f"{shapes.totals(architectures.network(variant)).parameters:,}" in count
    neurons = everything(source_differences.by_key("fig2_neurons"))
    totals = shapes.totals(architectures.network("paper"))
    for number in (55 * 48 * 96, 55 * 55 * 96, totals.neurons, sum(reference_values.FIG2_NEURONS)):
        assert f"{number:,}" in neurons


def test_the_shares_are_computed():
    entry = source_differences.by_key("one_percent")
    rows = {row.name: row for row in shapes.walk(architectures.network("paper"))}
    totals = shapes.totals(architectures.network("paper"))
    for name in ("conv3", "conv4"):
        assert f"{name} holds {100 * rows[name].parameters / totals.parameters:.2f}%"[-5:] in (
            entry.source2012
        )
    assert f"{100 * totals.conv_parameters / totals.parameters:.1f}%" in entry.note
    assert f"{100 * totals.conv_macs / totals.macs:.1f}%" in entry.note


def test_the_lrn_factors_are_computed():
    entry = source_differences.by_key("lrn_constant")
    for k, c in ((2, 2e-5), (2, 1e-4), (1, 2e-5)):
        assert f"{(k + c * 5 * 100**2) ** -0.75:.6f}" in entry.note


def test_the_sizes_are_computed():
    entry = source_differences.by_key("input_size")
    sizes = shapes.output_size(224, 11, 4, rounding="ceil"), shapes.output_size(224, 11, 4)
    assert f"= {sizes[0]}" in entry.source2012
    assert f"gives {sizes[1]}" in entry.note
    crops = source_differences.by_key("crop_count")
    assert str(2 * shapes.output_size(256, 224) ** 2) in crops.source2012


def test_the_standard_deviations_are_the_variants():
    layers = architectures.network("source2012").layers
    stds = {f"{layer.weight_std:g}" for layer in layers if layer.channels}
    assert stds <= set(numbers(source_differences.by_key("init_std").source2012))
