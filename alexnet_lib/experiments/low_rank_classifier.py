"""The fully connected layers of the network that ships: trained on its filters, of low rank.

The real run's own fully connected layers hold 54 million weights, 108 MB in 16 bits. So what
ships are its convolutions, and fc6 to fc8 trained anew on top of them, with fc6 and fc7 each the
product of two thin matrices: 9216 -> RANK -> 4096. They take 0.8 MB in 8 bits, and
`pretrained.trained_network` multiplies them out.
"""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .. import architectures, augment, datasets, evaluation, models, pretrained
from ..architectures import NetworkSpec
from ..batches import Batches
from ..datasets import ImageSet
from .arms import Say

__all__ = [
    "RANK", "features", "run", "sentence", "store", "thin_classifier", "train_classifier",
]

RANK = 32
VIEWS = 4  # random crops of each training picture, mirrored at random
EPOCHS = 3
BATCH_SIZE = 128
LR = 3e-4
DECAY = 5e-4


def thin_classifier(spec: NetworkSpec, rank: int = RANK, seed: int = 0) -> nn.Sequential:
    """Return a network's classifier with each fc but the last as two thin ones of `rank` between.

    Modules are called as the stages, with "fc6" in two: "fc6.down" without a bias, and "fc6.up".
    Takes (N, units of pool5), gives logits.
    """
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    plain = models.blueprint(spec).classifier
    last = [name for name, module in plain.named_children() if isinstance(module, nn.Linear)][-1]
    for name, module in plain.named_children():
        if isinstance(module, nn.Linear) and name != last:
            modules[name] = nn.Sequential(OrderedDict(
                down=nn.Linear(module.in_features, rank, bias=False),
                up=nn.Linear(rank, module.out_features),
            ))  # fmt: skip
        elif isinstance(module, nn.Linear):
            modules[name] = nn.Linear(module.in_features, module.out_features)
        else:
            modules[name] = module
    torch.random.set_rng_state(torch_state)
    return nn.Sequential(modules)


@torch.no_grad()
def features(
    net: models.Net, images: ImageSet, mean: torch.Tensor, view: int | None = None,
    say: Say = lambda text: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a network's convolutions make of pictures: float16 (N, units), labels (N,).

    view: None for the centre crop; else random crops, the same ones for the same number.
    """
    kept, labels = [], []
    size, count = net.spec.input_size, len(images)
    batches = Batches(images, size, min(64, count), mean, None, seed=0)
    for step in range(len(batches)):
        if view is None:
            chosen = slice(64 * step, 64 * (step + 1))
            pictures = torch.from_numpy(np.array(images.images[chosen]))
            x = augment.to_input(augment.centre_crop(pictures, size), mean)
            y = torch.from_numpy(np.array(images.labels[chosen]))
        else:
            x, y = batches.get(view, step)
        kept.append(net.features(x).flatten(1).half().numpy())
        labels.append(y.numpy())
        say(f"{'centre' if view is None else f'view {view}'}, batch {step + 1} of {len(batches)}")
    return np.concatenate(kept), np.concatenate(labels)


def train_classifier(
    classifier: nn.Sequential, inputs: np.ndarray, labels: np.ndarray, epochs: int = EPOCHS,
    seed: int = 0, say: Say = lambda text: None,
) -> list[float]:
    """Train a classifier on features and return the mean loss of each epoch.

    inputs: float16 (N, units), labels: (N,). Adam with decoupled decay on the weights, the rate
    along half a cosine to 0; dropout as the classifier has it.
    """
    weights = [p for p in classifier.parameters() if p.dim() > 1]
    others = [p for p in classifier.parameters() if p.dim() == 1]
    groups = [{"params": weights, "weight_decay": DECAY / LR}, {"params": others}]
    optimizer = torch.optim.AdamW(groups, lr=LR, weight_decay=0.0)
    size = min(BATCH_SIZE, len(labels))
    steps = epochs * (len(labels) // size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    draw, losses = np.random.default_rng(seed), []
    torch.manual_seed(seed)  # dropout's masks
    classifier.train()
    for epoch in range(epochs):
        order, sums = draw.permutation(len(labels)), []
        for step in range(len(labels) // size):
            chosen = order[size * step : size * (step + 1)]
            logits = classifier(torch.from_numpy(inputs[chosen]).float())
            loss = F.cross_entropy(logits, torch.from_numpy(labels[chosen]))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            sums.append(loss.item())
        losses.append(round(float(np.mean(sums)), 4))
        say(f"epoch {epoch + 1} of {epochs}: loss {losses[-1]:.2f}")
    classifier.eval()
    return losses


def store(
    classifier: nn.Sequential, mean: torch.Tensor, about: dict[str, Any],
    name: str = pretrained.REAL_RUN, folder: str | Path | None = None,
) -> Path:
    """Write a thin classifier for `pretrained.trained_network`, weights in 8 bits.

    mean: (3,), what was subtracted from each pixel. about: said in the file.
    """
    folder = Path(folder or pretrained.filters_folder())
    kept: dict[str, np.ndarray] = {"mean": mean.numpy().astype(np.float32)}
    for key, value in classifier.state_dict().items():
        kept |= pretrained.packed(key, value.float().contiguous().numpy())
    return pretrained.store_weights(folder / f"{name}_head.npz", kept, about)


def run(small: bool, seeds: tuple[int, ...], say: Say) -> dict[str, Any]:
    """Train the shipped network's classifier on Imagenette, store it, and measure the whole.

    small: a handful of rendered pictures, one epoch, nothing stored: to see that it runs.
    """
    name = "shapes" if small else "imagenette"
    limits = (40, 20) if small else (None, None)
    train, val = (
        datasets.load(name, split, size=256, limit=limit, progress=False)
        for split, limit in zip(("train", "val"), limits, strict=True)
    )
    spec = architectures.network("paper", len(train.classes))
    net = models.build(spec, seed=0)
    for key, value in pretrained.learned_filters().items():
        net.get_parameter(f"features.{key}").data.copy_(torch.from_numpy(value))
    net.eval()
    mean = augment.mean_image(train.images).mean(dim=(0, 1))  # (3,)
    views = [features(net, train, mean, view, say) for view in range(1 if small else VIEWS)]
    inputs, labels = (np.concatenate(part) for part in zip(*views, strict=True))
    classifier = thin_classifier(spec)
    losses = train_classifier(classifier, inputs, labels, 1 if small else EPOCHS, say=say)
    about = {"classes": train.classes, "data": train.name, "rank": RANK}
    with tempfile.TemporaryDirectory() as scratch:
        path = store(classifier, mean, about, folder=scratch if small else None)
        pretrained.load_classifier(net, path)
        stored = path.stat().st_size
    say("evaluating")
    result = evaluation.evaluate(net, val, mean)
    confusion = np.zeros((len(val.classes), len(val.classes)), int)
    np.add.at(confusion, (np.asarray(val.labels), np.asarray(result["predictions"])), 1)
    return {
        "network": "paper; convolutions of the run imagenette_paper, in 8 bits",
        "data": train.name, "data_note": train.note, "train_images": len(train),
        "val_images": len(val), "classes": list(val.classes), "rank": RANK, "views": VIEWS,
        "recipe": f"fc6 to fc8 only, fc6 and fc7 of rank {RANK}; AdamW, rate {LR:g} along half a "
        f"cosine, decay {DECAY:g}, batch {BATCH_SIZE}, {EPOCHS} epochs over {VIEWS} random crops "
        "of each picture, kept; dropout as in the paper",
        "stored_bytes": stored, "train_loss": losses,
        "top1": round(result["top1"], 4), "top5": round(result["top5"], 4),
        "loss": round(result["loss"], 4), "confusion": confusion.tolist(),
    }  # fmt: skip


def sentence(record: Mapping[str, Any]) -> str:
    """Say what a record found: how often the network that ships is right, and its size."""
    return (
        f"The network that ships names {record['top1']:.1%} of {record['val_images']:,} photos "
        f"({record['data_note']}) rightly, {record['top5']:.1%} with five guesses, centre crop; "
        f"its fully connected layers, of rank {record['rank']}, take "
        f"{record['stored_bytes'] / 1e6:.1f} MB."
    )
