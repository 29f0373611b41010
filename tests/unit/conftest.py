"""What several unit tests share: small image sets and a network that trains in a second."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: the tests run side by side

from dataclasses import replace

import numpy as np
import pytest

CLASSES = ["red", "green", "blue"]


@pytest.fixture(scope="session")
def toy_images():
    """A maker of image sets that can be learned: the class is the brightest colour."""
    from alexnet_lib.datasets import ImageSet

    def make(count: int = 32, split: str = "train", side: int = 12, seed: int = 0) -> ImageSet:
        rng = np.random.default_rng([seed, split == "val"])
        labels = np.arange(count, dtype=np.int64) % len(CLASSES)
        images = rng.integers(0, 100, (count, side, side, 3)).astype(np.uint8)
        images[np.arange(count), :, :, labels] += 60
        return ImageSet(images, labels, list(CLASSES), "toy", split, "made for a test")

    return make


@pytest.fixture(scope="session")
def toy_spec():
    """A small network for crops of 10 x 10 with everything AlexNet has, dropout included."""
    from alexnet_lib import architectures
    from alexnet_lib.architectures import LayerSpec

    lrn = LayerSpec("lrn", "lrn", size=3, alpha=1e-3, beta=0.75, k=2.0, convention="paper")
    spec = architectures.small_network(10, 3, len(CLASSES), (4, 6), lrn=lrn)
    *stages, last = spec.layers
    stages = [
        replace(stage, weight_std=0.02) if stage.kind == "conv" else stage for stage in stages
    ]
    dropout = LayerSpec("drop", "dropout", keep=0.5)
    return replace(spec, layers=(*stages, dropout, replace(last, weight_std=0.05)))


@pytest.fixture(scope="session")
def toy_recipe():
    from alexnet_lib.paper import Recipe

    return Recipe(
        "toy", epochs=3, batch_size=8, lr=1e-3, schedule="step", milestones=(0.7,),
        bias_lr=2.0,
    )


@pytest.fixture(scope="session")
def fit(toy_images, toy_spec, toy_recipe):
    """fit(out, ...) trains the toy network, as the toy recipe says where nothing else is given."""
    from alexnet_lib import models, training

    train, val = toy_images(32), toy_images(12, "val")

    def run(out=None, recipe=toy_recipe, spec=toy_spec, train=train, val=val, **options):
        model = models.build(spec, seed=77)  # fit initializes it anew, unless it resumes
        return model, training.fit(model, train, val, recipe, out=out, **options)

    return run


@pytest.fixture(scope="session")
def whole(fit, tmp_path_factory):
    """A run that nobody stopped: its model, its state and its folder."""
    out = tmp_path_factory.mktemp("whole")
    model, run = fit(out, filter_moments=6)
    return model, run, out


@pytest.fixture(scope="session")
def save_pictures():
    """A maker of image folders: save_pictures(root, {"train/cat": 3}) with smooth random content,
    upright and across, PNG and JPEG in turn."""
    from PIL import Image

    def save(root, counts, seed: int = 0):
        rng = np.random.default_rng(seed)
        for name, count in counts.items():
            (root / name).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
                picture = coarse.resize([(40, 30), (30, 40)][i % 2], Image.Resampling.BICUBIC)
                picture.save(root / name / f"{i:03}.{'png' if i % 3 else 'jpg'}")
        return root

    return save
