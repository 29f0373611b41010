"""Measuring a network on a set: every picture once, however many processes share the work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from . import augment
from .datasets import ImageSet
from .distributed.process_group import everyone
from .models import Net
from .parallel import ALONE, Team
from .towers import TowerNet

__all__ = ["check_fit", "evaluate", "probabilities"]


def check_fit(model: Net | TowerNet, images: ImageSet, classes: list[str] | None = None) -> None:
    """Raise ValueError unless the network can take these images and has as many classes.

    classes: what the network's outputs mean, in order, where that is known.
    """
    if len(images) == 0:
        raise ValueError(f"{images.name} ({images.split}) holds no images; give at least one.")
    units = model.spec.layers[-1].channels
    if units != len(images.classes):
        raise ValueError(
            f"the network has {units} classes, {images.name} has {len(images.classes)}; build it "
            f"with num_classes={len(images.classes)}."
        )
    if classes is not None and list(classes) != list(images.classes):
        ours, theirs = next(
            pair for pair in zip(classes, images.classes, strict=True) if pair[0] != pair[1]
        )
        raise ValueError(
            f"the network was trained on other classes than {images.name} has: {ours!r} there, "
            f"{theirs!r} here; give pictures of the same classes in the same order."
        )
    H, W, C = images.images.shape[1:]
    side = model.spec.input_size
    if C != model.spec.input_channels:
        raise ValueError(
            f"the network takes {model.spec.input_channels} channel(s), the images have {C}; "
            f"build it with input_channels={C}, or take other images."
        )
    if min(H, W) < side:
        raise ValueError(
            f"the network takes {side} x {side} pixels, the images have {H} x {W}; load them with "
            f"size={side} or more."
        )


@torch.no_grad()
def _batches(
    model: Net | TowerNet, images: ImageSet, mean: torch.Tensor, ten_crop: bool, batch_size: int,
    device: str | torch.device, progress: bool, first: int, last: int,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield labels (B,) and probabilities (B, classes) of the pictures from `first` up to `last`.

    The network is in evaluation mode meanwhile, and then in the mode that it was in.
    """
    was_training = model.training
    model.eval()
    size = model.spec.input_size
    step = max(1, batch_size // 10) if ten_crop else batch_size
    cut = augment.ten_crop if ten_crop else augment.centre_crop
    try:
        starts = range(first, last, step)
        for start in tqdm(starts, "evaluating", disable=not progress, leave=False):
            chosen = slice(start, min(start + step, last))
            pictures = torch.from_numpy(np.array(images.images[chosen])).to(device)
            labels = torch.from_numpy(np.array(images.labels[chosen])).to(device)
            views = cut(pictures, size).reshape(-1, size, size, pictures.shape[3])
            logits = model(augment.to_input(views, mean)).float()
            yield labels, logits.softmax(1).unflatten(0, (len(labels), -1)).mean(dim=1)
    finally:
        model.train(was_training)


def probabilities(
    model: Net, images: ImageSet, mean: torch.Tensor, ten_crop: bool = False,
    batch_size: int = 128, device: str | torch.device = "cpu", progress: bool = False,
) -> np.ndarray:
    """Return what a network makes of every picture: probabilities (N, classes), float32.

    Arguments as in `evaluate`; of ten views it is their mean [P §4.1].
    """
    check_fit(model, images)
    given = (ten_crop, batch_size, device, progress, 0, len(images))
    return torch.cat([share for _, share in _batches(model, images, mean, *given)]).cpu().numpy()


@torch.no_grad()
def evaluate(
    model: Net | TowerNet, images: ImageSet, mean: torch.Tensor, ten_crop: bool = False,
    batch_size: int = 128, device: str | torch.device = "cpu", progress: bool = False,
    team: Team = ALONE,
) -> dict[str, Any]:
    """Measure a network on a set, every image once.

    ten_crop: average the softmax probabilities of ten views [P §4.1], else the centre crop.
    progress: show a bar, in a notebook or a terminal. team: the processes that share the work;
    each takes its own pictures, none twice, and all get the same result.
    Returns top1 and top5 (shares right, 0 to 1), loss, count, and predictions (N,) as a list.
    """
    check_fit(model, images)
    loss, predictions, ranks = 0.0, [], []
    first, last = team.share(len(images))
    given = (ten_crop, batch_size, device, progress, first, last)
    for labels, shares in _batches(model, images, mean, *given):
        if shares.shape[1] == 0:  # the tower without the last layer
            continue
        loss += -shares.gather(1, labels[:, None]).clamp_min(1e-12).log().sum().item()
        ranked = shares.argsort(dim=1, descending=True)
        ranks += (ranked == labels[:, None]).int().argmax(dim=1).tolist()
        predictions += ranked[:, 0].tolist()
    ranks = np.array(ranks)
    total, top1, top5 = team.add_up(loss, int((ranks == 0).sum()), int((ranks < 5).sum()))
    if team.ranks.count > 1:
        predictions = [label for part in everyone(predictions) for label in part]
    N = len(images)
    return {
        "top1": top1 / N, "top5": top5 / N, "loss": total / N, "count": N,
        "predictions": predictions,
    }
