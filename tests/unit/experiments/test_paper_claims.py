"""The paper's claims: their numbers agree with its recipe and its logs."""

from __future__ import annotations

import pytest

from alexnet_lib import paper
from alexnet_lib.experiments import paper_claims


def test_keys_are_unique_and_an_unknown_one_is_answered_with_the_nearest():
    assert len({claim.key for claim in paper_claims.CLAIMS}) == len(paper_claims.CLAIMS) >= 14
    assert paper_claims.by_key("lrn").section == "§3.3"
    with pytest.raises(ValueError, match="unknown claim 'lnr'; did you mean 'lrn'.*Choose one of"):
        paper_claims.by_key("lnr")


@pytest.mark.parametrize("entry", paper_claims.CLAIMS, ids=lambda entry: entry.key)
def test_claims_have_numbers_a_section_and_a_way_to_measure(entry):
    assert entry.claim and entry.how
    assert "§" in entry.section
    assert entry.values
    assert all(value > 0 for value in entry.values.values())


def test_the_recipe_is_the_one_that_is_claimed():
    recipe = paper.RECIPES["paper2012"]
    assert paper_claims.by_key("weight_decay").values["weight_decay"] == recipe.weight_decay
    assert paper_claims.by_key("training_time").values["epochs"] == recipe.epochs
    assert paper_claims.by_key("crops").values["times"] == 2 * 32**2


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
