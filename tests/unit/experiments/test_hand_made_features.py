"""By hand or learned: the classifier is right where that can be known, and what ships adds up."""

from __future__ import annotations

import numpy as np
import pytest

from alexnet_lib import experiments
from alexnet_lib.experiments import hand_made_features


def test_the_classifier_separates_what_can_be_separated_and_repeats_itself():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    rows = (np.eye(3)[labels] + 0.1 * rng.normal(size=(60, 3))).astype(np.float32)
    one, other = (hand_made_features.LinearClassifier(rows, labels, 3, 1e-3) for _ in range(2))
    assert one.error(rows, labels) == 0
    assert one.error(rows, (labels + 1) % 3) == 1
    assert (one.weight == other.weight).all()


@pytest.mark.parametrize("decay", [0.01, 0.3])
def test_the_fit_is_the_minimum_of_loss_and_decay(decay):
    rng = np.random.default_rng(1)
    rows, labels = rng.normal(size=(40, 5)).astype(np.float32), np.arange(40) % 2
    fitted = hand_made_features.LinearClassifier(rows, labels, 2, decay)
    x = (rows - rows.mean(axis=0)) / rows.std()
    weight, bias = fitted.weight.detach().numpy(), fitted.bias.detach().numpy()
    logits = x @ weight + bias
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rest = (share - np.eye(2)[labels]) / len(rows)  # the slope of the mean loss, by hand
    np.testing.assert_allclose(x.T @ rest + 2 * decay * weight, 0, atol=1e-4)
    np.testing.assert_allclose(rest.sum(axis=0), 0, atol=1e-4)


def test_what_the_classifier_reads():
    images = np.random.default_rng(2).integers(0, 256, (2, 28, 28, 1), dtype=np.uint8)
    assert hand_made_features.represent("raw pixels", images).shape == (2, 784)
    assert hand_made_features.represent("made by hand", images).shape == (2, 6 * 6 * 4 * 9)


def test_the_record_that_ships_is_complete():
    record = experiments.load("features")
    assert not record["small"] and list(record["arms"]) == list(hand_made_features.ARMS)
    assert record["train_images"] == list(hand_made_features.SIZES)
    for arm in record["arms"].values():
        errors = np.array(arm["test_error"])
        assert errors.shape == (len(record["train_images"]), len(record["seeds"]))
        assert (errors > 0).all() and (errors < 0.9).all()
        means = errors.mean(axis=1)
        assert (np.diff(means) < 0).all(), "more pictures, fewer errors"
    line = experiments.summary(record).splitlines()[2]
    first = 100 * np.mean(record["arms"]["raw pixels"]["test_error"][0])
    assert line.split()[:3] == ["raw", "pixels", f"{first:.1f}"]
