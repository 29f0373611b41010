"""The recipes, followed by the training loop on the paper's network."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from alexnet_lib import datasets, models, training
from alexnet_lib.paper import RECIPES


def test_the_modern_recipe_is_marked_and_served():
    modern = RECIPES["modern"]
    assert modern.source.startswith("not from 2012")
    assert modern.schedule == "cosine" and modern.warmup and modern.nesterov
    assert modern.initialization == "he" and modern.label_smoothing > 0


@pytest.mark.parametrize("name", ["paper2012_small_data", "modern"])
def test_a_recipe_starts_from_guesses_and_stays_finite(name):
    """Eight pictures, eight steps at the full rate: .02 ended in NaN at the sixth."""
    pictures = datasets.load("shapes", "train", size=227, limit=10).subset(range(8))
    model = models.alexnet("paper", 10, seed=0)
    recipe = replace(RECIPES[name], warmup=0.0)
    losses = training.fit(model, pictures, None, recipe, epochs=8, batch_size=8).losses
    assert losses[0] == pytest.approx(math.log(10), abs=0.35)
    assert max(losses) < 6
