"""The input timed beside its rivals: packed pixels and shards against files read by torchvision."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import transforms
from torchvision.datasets import ImageFolder

from .. import augment, datasets, records
from ..datasets import folders, write_shards
from ..datasets.shards import cores
from .timing import Rows, compare, figure

__all__ = ["inputs", "make_pictures", "shards"]

CROP = 227  # pixels


def make_pictures(folder: Path, count: int) -> None:
    """Write `count` JPEG files of 500 x 375 in two classes, cut from the photos that ship."""
    photos = sorted((records.root() / "data" / "photos").glob("*.jpg"))
    for number in range(count):
        with Image.open(photos[number % len(photos)]) as photo:
            picture = photo.convert("RGB").resize((500, 375), box=(number % 16, 0, *photo.size))
        path = folder / f"class{number % 2}" / f"{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, quality=90)


def _pack(folder: Path, kind: str, quality: int | None) -> Path:
    (out,) = write_shards.pack(
        folder / "pictures", folder / kind, quality=quality, shard_size=256, workers=1,
        split="train", progress=False,
    )  # fmt: skip
    return out


def inputs(
    device: str = "cpu", rounds: int = 5, batch_size: int = 64, count: int = 512
) -> Rows:
    """Epochs of random uint8 crops and flips: from packed pixels, JPEG shards, and JPEG files.

    The files are read as in PyTorch's ImageNet example, by an ImageFolder and a DataLoader with
    several numbers of workers, which start each epoch warm. count: pictures an epoch.
    """
    usual = transforms.Compose([
        transforms.RandomResizedCrop(CROP), transforms.RandomHorizontalFlip(),
        transforms.PILToTensor(),
    ])  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_pictures(folder / "pictures", count)
        contestants, counts = {}, {}
        for kind, quality in (("packed pixels", None), ("JPEG shards", 90)):
            images = datasets.load(_pack(folder, kind, quality), "train").images
            contestants[kind] = lambda images=images: _packed_epoch(images, batch_size)
            counts[kind] = len(images)  # a part of the files is set aside for validation
        files = ImageFolder(str(folder / "pictures"), usual)
        for workers in sorted({0, 1, cores()}):
            loader = torch.utils.data.DataLoader(
                files, batch_size, shuffle=True, num_workers=workers,
                persistent_workers=workers > 0,
            )  # fmt: skip
            contestants[f"ImageFolder, {workers} workers"] = lambda loader=loader: list(loader)
        times = compare(contestants, rounds)
        del contestants, loader
    for kind, row in times.items():
        row["images_per_second"] = counts.get(kind, count) / row["median"]
    best = max(
        row["images_per_second"] for kind, row in times.items() if kind.startswith("ImageFolder")
    )
    figures = [
        figure(f"{kind} / ImageFolder at its best", times[kind]["images_per_second"] / best, least)
        for kind, least in (("packed pixels", 20), ("JPEG shards", 2))
    ]
    what = f"crops of {CROP} from JPEGs of 500 x 375, {count} in batches of {batch_size}"
    return [{"what": what, "figures": figures, "times": times, "cores": cores()}]


def _packed_epoch(images: np.ndarray, batch_size: int) -> None:
    order = np.random.default_rng().permutation(len(images))
    for first in range(0, len(order), batch_size):
        augment.random_crops(images, CROP, chosen=order[first : first + batch_size])


def shards(device: str = "cpu", rounds: int = 5, batch_size: int = 128) -> Rows:
    """Random batches from packed shards, raw and JPEG, and how fast pictures are packed."""
    with tempfile.TemporaryDirectory() as name:
        folder, count = Path(name), 1024
        make_pictures(folder / "pictures", count)
        paths = sorted((folder / "pictures").rglob("*.jpg"))
        packing, readers = {}, {}
        for kind, quality in (("raw shards", None), ("JPEG shards", 90)):
            started = time.perf_counter()
            out = _pack(folder, kind, quality)
            seconds = time.perf_counter() - started
            images = datasets.load(out, "train").images
            packing[kind] = {"images_per_second": len(images) / seconds}
            readers[kind] = lambda images=images: images[_chosen(len(images), batch_size)]
        readers["image files, by Pillow"] = lambda: [
            folders.read_image(paths[i], 256) for i in _chosen(count, batch_size)
        ]
        result = compare(readers, rounds)
    for times in result.values():
        times["images_per_second"] = batch_size / times["median"]
    what = f"a random batch of {batch_size} pictures of 256 px, from memory"
    return [{"what": what, "times": result, "packing": packing, "cores": cores()}]


def _chosen(count: int, batch_size: int) -> np.ndarray:
    return np.random.default_rng().choice(count, batch_size, replace=False)
