"""The contest's history: what ships adds up, depths can be counted, and bad tables are refused."""

from __future__ import annotations

import csv

import pytest
import torch
import torchvision
from torch import fx

from alexnet_lib.datasets import ilsvrc_history
from alexnet_lib.experiments import paper_claims


def longest_way(net: torch.nn.Module) -> int:
    """Count the layers with weights on the longest way through a network."""
    traced = fx.symbolic_trace(net)
    modules, depth = dict(traced.named_modules()), {}
    for node in traced.graph.nodes:
        weighted = node.op == "call_module" and isinstance(
            modules[node.target], torch.nn.Conv2d | torch.nn.Linear
        )
        depth[node] = max((depth[n] for n in node.all_input_nodes), default=0) + weighted
    return max(depth.values())


BUILDERS = {
    "AlexNet": ("alexnet", {}),
    "VGG-19": ("vgg19", {}),
    "GoogLeNet": ("googlenet", {"aux_logits": False, "init_weights": False}),
    "Inception-v3": ("inception_v3", {"aux_logits": False, "init_weights": False}),
    "ResNet-152": ("resnet152", {}),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_depth_is_what_can_be_counted_in_torchvision(name):
    builder, options = BUILDERS[name]
    with torch.device("meta"):
        net = getattr(torchvision.models, builder)(weights=None, **options)
    (entry,) = [entry for entry in ilsvrc_history.history() if entry.network == name]
    assert entry.depth == longest_way(net)
    counted = sum(p.numel() for p in net.parameters()) / 1e6
    # GoogLeNet's authors round down, Inception-v3's name an upper bound
    near = {"GoogLeNet": 1.7, "Inception-v3": 1.5}.get(name, 1.2)
    assert entry.parameters == pytest.approx(counted, abs=near)


def test_the_only_depth_that_torchvision_does_not_hold_is_senets():
    known = {entry.network for entry in ilsvrc_history.history() if entry.depth}
    assert known == set(BUILDERS) | {"SENet-154"}


def test_2012_agrees_with_the_ledger():
    (claim,) = [claim for claim in paper_claims.CLAIMS if claim.key == "ensemble"]
    first, second = (entry for entry in ilsvrc_history.history() if entry.year == 2012)
    assert round(first.error, 1) == claim.values["seven_test_top5_error_percent"]
    assert round(second.error, 1) == claim.values["runner_up_top5_error_percent"]
    assert "16.422" in first.note and first.name == "AlexNet" and second.name == "ISI"


@pytest.fixture
def changed(tmp_path):
    """Write the table that ships with one cell changed; returns its path."""

    def write(line: int, column: str, text: str):
        with open(ilsvrc_history.FILE, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        rows[line - 1][rows[0].index(column)] = text
        path = tmp_path / "changed.csv"
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        return path

    return write


def test_an_unchanged_copy_reads_the_same(changed):
    assert ilsvrc_history.history(changed(2, "place", "1")) == ilsvrc_history.history()


@pytest.mark.parametrize("line, column, text, message", [
    (2, "year", "MMX", r"line 2: year is 'MMX'; give a whole number, 2010 to 2017"),
    (2, "year", "1998", r"line 2: year is '1998'"),
    (6, "error", "153.15", r"line 6: error is '153.15'; give a number, 0 to 100"),
    (6, "error", "nan", r"line 6: error is 'nan'"),
    (6, "depth", "8.5", r"line 6: depth is '8.5'; give a whole number"),
    (6, "method", "magic", r"line 6: method is 'magic'; give one of"),
    (6, "team", "", r"line 6: team is empty"),
    (6, "depth_source", "", r"line 6: depth_source is empty; a value and its source come together"),
    (6, "parameters", "", r"line 6: parameters is empty; a value and its source"),
    (6, "error", "27", r"in 2012 place 2 has 26.172% and place 1 has 27.0%; the smaller error"),
    (7, "place", "1", r"2012 place 1 stands where place 2 should"),
    (6, "year", "2011", r"2011 place 1 stands where place 3 should"),
    (1, "note", "remark", r"has the columns year, .*remark.*; it needs year"),
])  # fmt: skip
def test_a_bad_table_is_refused_with_line_and_column(changed, line, column, text, message):
    with pytest.raises(ValueError, match=message):
        ilsvrc_history.history(changed(line, column, text))


def test_a_row_with_a_comma_too_many_and_a_missing_file(tmp_path):
    path = tmp_path / "more.csv"
    path.write_text(
        ilsvrc_history.FILE.read_text("utf-8").replace(",AlexNet,", ",Alex,Net,"), "utf-8"
    )
    with pytest.raises(ValueError, match="line 6 doesn't have 12 cells; .* double quotes"):
        ilsvrc_history.history(path)
    with pytest.raises(FileNotFoundError, match="git checkout -- data"):
        ilsvrc_history.history(tmp_path / "none.csv")


def test_share_of_the_error_that_is_gone():
    assert ilsvrc_history.percent_removed(50, 25) == 50
    assert ilsvrc_history.percent_removed(26.172, 15.315) == pytest.approx(41.48, abs=0.01)
    assert ilsvrc_history.percent_removed(5, 6) == pytest.approx(-20)
    with pytest.raises(ValueError, match="give one above 0"):
        ilsvrc_history.percent_removed(0, 1)


def test_winners_and_values():
    assert list(ilsvrc_history.winners()) == list(range(2010, 2018))
    alexnet = ilsvrc_history.winners()[2012]
    assert [ilsvrc_history.value(alexnet, quantity) for quantity in ilsvrc_history.QUANTITIES] == [
        15.315,
        8,
        60,
    ]
    with pytest.raises(ValueError, match="quantity is 'size'; choose one of: error, depth"):
        ilsvrc_history.value(alexnet, "size")
