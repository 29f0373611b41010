"""The constants, held against the sheet of facts and against PyTorch."""

from __future__ import annotations

import dataclasses
import inspect

import pytest
from torch import nn

from alexnet_lib import architectures, optim, paper
from alexnet_lib._errors import nearest, unknown_name

# convention: divided by size?, size, alpha, beta, k; None where the source gives no default
SHEET = {
    "paper": (False, 5, 1e-4, 0.75, 2),
    "seed": (True, None, 1e-4, 0.75, 1),
    "source2012": (True, 5, 1e-4, 0.75, 2),
    "pytorch": (True, 5, 1e-4, 0.75, 1),
    "caffe": (True, 5, 1, 0.75, 1),
    "tensorflow": (False, 5, 1, 0.5, 1),
    "cudnn": (True, 5, 1e-4, 0.75, 2),
    "onnx": (True, 5, 1e-4, 0.75, 1),
}


def test_conventions_are_those_of_the_sheet():
    assert list(paper.CONVENTIONS) == list(SHEET)
    for name, (divided, size, alpha, beta, k) in SHEET.items():
        convention = paper.CONVENTIONS[name]
        assert convention.name == name
        assert (convention.divisor == "size") == divided
        assert (convention.alpha, convention.beta, convention.k) == (alpha, beta, k)
        assert size is None or convention.size == size
        assert convention.source


def test_pytorch_s_defaults_are_pytorch_s():
    defaults = inspect.signature(nn.LocalResponseNorm.__init__).parameters
    ours = paper.CONVENTIONS["pytorch"]
    for name in ("alpha", "beta", "k"):
        assert getattr(ours, name) == defaults[name].default


def test_the_paper_s_recipe():
    recipe = paper.RECIPES["paper2012"]
    assert (recipe.batch_size, recipe.momentum, recipe.weight_decay) == (128, 0.9, 5e-4)
    assert (recipe.lr, recipe.factor, recipe.epochs) == (0.01, 10.0, paper.EPOCHS_2012)
    assert (recipe.schedule, recipe.bias_lr, recipe.decay_biases) == ("plateau", 1.0, False)
    assert (recipe.label_smoothing, recipe.nesterov, recipe.initialization) == (0, False, "network")


@pytest.mark.parametrize("recipe", paper.RECIPES.values(), ids=lambda recipe: recipe.name)
def test_recipes_are_usable(recipe):
    assert recipe.source
    assert optim.schedule(recipe).lr(0.5) > 0
    assert all(0 < share < 1 for share in recipe.milestones)
    stages = {layer.name for layer in architectures.network("paper").layers}
    assert {*recipe.biases, *recipe.weight_std} <= stages


def test_departures_of_the_small_recipe_are_named_in_its_source():
    recipe = paper.RECIPES["paper2012_small_data"]
    assert recipe.biases == {"fc6": 0.0, "fc7": 0.0}
    assert set(recipe.weight_std) == {"conv3", "conv4", "conv5"}
    assert set(recipe.weight_std.values()) == {0.03}
    for word in ("batch 64", ".03", "fc6", "twice", "shares"):
        assert word in recipe.source


def test_what_crosses_between_the_gpus_are_stages():
    stages = {layer.name for layer in architectures.network("paper").layers}
    for stage, reader, both_ways in paper.TRANSFERS:
        assert {stage, reader} <= stages
        assert both_ways == (reader != "fc8")


def test_unknown_names_are_answered_with_the_nearest():
    error = unknown_name("fruit", "aple", ["pear", "apple"])
    assert isinstance(error, ValueError)
    assert str(error) == (
        "unknown fruit 'aple'; did you mean 'apple'? Choose one of: pear, apple."
    )
    assert nearest("zzz", ["pear", "apple"]) in ("pear", "apple")
    assert nearest("zzz", []) == ""


def test_specs_can_t_be_changed_by_accident():
    layer = architectures.network("paper").layer("conv1")
    with pytest.raises(dataclasses.FrozenInstanceError):
        layer.kernel = 3


def test_an_unknown_layer_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="unknown layer of 'paper' 'conv6'; did you mean 'conv"):
        architectures.network("paper").layer("conv6")
