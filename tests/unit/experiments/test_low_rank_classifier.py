"""The classifier that ships: thin layers multiply out, survive 8 bits, and can be trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alexnet_lib import architectures, augment, datasets, evaluation, models, pretrained, records
from alexnet_lib.datasets import ImageSet
from alexnet_lib.experiments import low_rank_classifier


@pytest.fixture(scope="module")
def net():
    return models.build(architectures.small_network(28, 1, 3, (4, 6)), seed=0)


def test_a_thin_classifier_is_the_networks_with_two_layers_in_place_of_one():
    spec = architectures.network("paper", 10)
    thin = low_rank_classifier.thin_classifier(spec, rank=3)
    names = [name for name, _ in models.blueprint(spec).classifier.named_children()]
    assert [name for name, _ in thin.named_children()] == names
    shapes = {key: tuple(value.shape) for key, value in thin.state_dict().items()}
    assert shapes["fc6.down.weight"] == (3, 9216) and shapes["fc6.up.weight"] == (4096, 3)
    assert shapes["fc8.weight"] == (10, 4096) and "fc6.down.bias" not in shapes


def test_the_same_seed_draws_the_same_classifier_and_leaves_torch_alone():
    spec = architectures.network("paper", 10)
    before = torch.random.get_rng_state()
    one, two = (
        low_rank_classifier.thin_classifier(spec, rank=2, seed=4).fc6.up.weight for _ in range(2)
    )
    assert torch.equal(one, two) and torch.equal(before, torch.random.get_rng_state())


def test_a_stored_classifier_gives_the_thin_ones_answers(tmp_path):
    spec = architectures.network("paper", 10)
    thin = low_rank_classifier.thin_classifier(spec, rank=4).eval()
    mean = torch.tensor([1.0, 2.0, 3.0])
    path = low_rank_classifier.store(thin, mean, {"classes": list("abcdefghij")}, "mine", tmp_path)
    net = models.build(spec, seed=1).eval()
    pretrained.load_classifier(net, path)
    x = torch.rand(3, 9216, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted, got = thin(x), net.classifier(x)
    assert (got - wanted).abs().max() < 0.02 * wanted.abs().max()  # 8 bits
    assert not torch.equal(got, models.build(spec, seed=1).eval().classifier(x))


def test_features_are_what_the_convolutions_give(net):
    rng = np.random.default_rng(0)
    images = ImageSet(
        rng.integers(0, 256, (7, 28, 28, 1), dtype=np.uint8), np.arange(7) % 3, list("abc"), "x",
        "train",
    )
    mean = torch.zeros(1)
    found, labels = low_rank_classifier.features(net, images, mean)
    x = augment.to_input(torch.from_numpy(images.images), mean)
    np.testing.assert_allclose(found, net.features(x).flatten(1).detach().numpy(), rtol=2e-3,
                               atol=2e-2)
    assert labels.tolist() == images.labels.tolist()
    one, two = (
        low_rank_classifier.features(net, images, mean, view)[1].tolist() for view in (0, 1)
    )
    assert sorted(one) == sorted(two) == sorted(labels.tolist())


def test_training_lowers_the_loss_of_features_that_tell_classes_apart():
    spec = architectures.network("paper", 10)
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 10
    inputs = rng.random((60, 9216)).astype(np.float16)
    inputs[np.arange(60), labels] += 40
    losses = low_rank_classifier.train_classifier(
        low_rank_classifier.thin_classifier(spec, rank=4), inputs, labels, epochs=80
    )
    assert losses[-1] < losses[0] / 2


def test_the_network_that_ships_is_whole():
    net, classes = pretrained.trained_network(), pretrained.trained_classes()
    assert net.spec.layers[-1].channels == len(classes) == 10 and not net.training
    for key, value in pretrained.learned_filters().items():
        assert np.array_equal(net.get_parameter(f"features.{key}").detach().numpy(), value)
    assert pretrained.trained_mean().shape == (3,)
    rank = np.linalg.matrix_rank(net.stage("fc7").weight.detach().numpy()[:200, :200])
    assert rank == low_rank_classifier.RANK


def test_the_record_is_consistent_and_far_above_chance():
    record = records.read("shipped_network")
    assert record["top1"] > 0.6 and np.sum(record["confusion"]) == record["val_images"]
    assert np.trace(record["confusion"]) / record["val_images"] == pytest.approx(
        record["top1"], abs=1e-4
    )


def test_a_missing_classifier_says_how_to_make_it(monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained, "filters_folder", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match="experiment shipped_network"):
        pretrained.trained_network()


@pytest.mark.skipif(not datasets.found()["imagenette"], reason="Imagenette is not on this machine")
def test_the_record_is_what_the_shipped_network_does():
    record = records.read("shipped_network")
    val = datasets.load("imagenette", "val", size=256, limit=200, progress=False)
    result = evaluation.evaluate(pretrained.trained_network(), val, pretrained.trained_mean())
    assert abs(result["top1"] - record["top1"]) < 0.12  # 200 photos: 3.5 standard errors
