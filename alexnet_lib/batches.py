"""Batches of training pictures, each a function of (seed, epoch, step) and of nothing else.

So a run that was stopped goes on with the very pictures, crops and flips it would have had.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch

from . import augment
from .datasets import ImageSet

__all__ = ["Batches", "random_seed", "sample_order"]


def random_seed(*parts: int | str) -> int:
    """Return a 63-bit seed that depends on all the parts, such as (seed, epoch, step)."""
    digest = hashlib.sha256(" ".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@lru_cache(maxsize=2)  # every step of an epoch asks for the same one
def sample_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """Return the order in which an epoch visits its `count` samples: each exactly once."""
    order = np.random.default_rng(random_seed("order", seed, epoch)).permutation(count)
    order.setflags(write=False)
    return order


class Batches:
    """Cropped, mirrored and recoloured batches of one training set.

    images: an ImageSet. size: side of the crops, pixels. batch_size: images a step, over all
    processes. mean: from augment.mean_image. colour: (eigenvalues, eigenvectors, std) or None.
    device: where batches go. A set that fits into half of the free memory of a GPU is kept there
    as uint8, and crops are cut there. part: (index, of how many) parts of each batch this process
    gets: whatever the parts, together they are the same batches. drop_last: leave the rest of an
    epoch that fills no batch for the next epoch's new order; otherwise it is a smaller batch.
    """

    def __init__(
        self, images: ImageSet, size: int, batch_size: int, mean: torch.Tensor,
        colour: tuple[torch.Tensor, torch.Tensor, float] | None = None, seed: int = 0,
        flip: bool = True, device: str | torch.device = "cpu", part: tuple[int, int] = (0, 1),
        drop_last: bool = False,
    ) -> None:
        if not 1 <= batch_size <= len(images):
            raise ValueError(
                f"batch_size is {batch_size}, but there are {len(images)} training images; "
                f"choose 1 to {len(images)}."
            )
        if batch_size < part[1]:
            raise ValueError(
                f"batch_size is {batch_size} for {part[1]} parts of each batch; give at least "
                f"{part[1]}, or start fewer processes."
            )
        self.images, self.size, self.batch_size = images, size, batch_size
        self.mean, self.colour, self.seed, self.flip = mean, colour, seed, flip
        self.part, self.drop_last = part, drop_last
        self.device = torch.device(device)
        self.labels = torch.from_numpy(np.array(images.labels))
        self.resident: torch.Tensor | None = None
        if self.device.type == "cuda":
            self.mean = mean.to(self.device)
            if images.images.nbytes < torch.cuda.mem_get_info(self.device)[0] / 2:
                self.resident = torch.from_numpy(np.array(images.images)).to(self.device)

    def __len__(self) -> int:
        """Return the steps of an epoch."""
        whole, rest = divmod(len(self.images), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def rows(self, step: int) -> tuple[int, int, int]:
        """Return which rows of a step's batch are this part's (from, up to), and how many it has.

        In a last, smaller batch a part may have none.
        """
        total = min(self.batch_size, len(self.images) - step * self.batch_size)
        index, parts = self.part
        return total * index // parts, total * (index + 1) // parts, total

    def get(self, epoch: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return float32 images (N, C, size, size) and int64 labels (N,) of one step."""
        return self._finish(step, *self._cut(epoch, step))

    def _cut(self, epoch: int, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Generator]:
        """Return a step's crops, uint8 (N, size, size, C), its labels, and the generator that
        drew where they lie."""
        order = sample_order(self.seed, epoch, len(self.images))
        first, last, total = self.rows(step)
        before = step * self.batch_size
        chosen = np.array(order[before + first : before + last])
        generator = torch.Generator().manual_seed(random_seed("crops", self.seed, epoch, step))
        pictures, which = self.images.images, chosen
        if self.resident is not None:
            pictures, which = self.resident, torch.from_numpy(chosen).to(self.device)
        within = (first, total)
        crops = augment.random_crops(pictures, self.size, generator, self.flip, within, which)
        if self.resident is None:
            crops = crops.to(self.device, non_blocking=True)
        return crops, self.labels[torch.from_numpy(chosen)].to(self.device), generator

    def _finish(
        self, step: int, crops: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the images in float32, mean subtracted, colours shifted, and the labels."""
        x = augment.to_input(crops, self.mean)
        if self.colour is not None:
            values, vectors, std = self.colour
            first, _, total = self.rows(step)
            within = (first, total)
            augment.colour_noise(x, values, vectors, std, generator, within=within, out=x)
        return x, labels

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the batches of one epoch from `first_step` on, each cut while the one before it is
        in use. Floats are made by who takes them: there memory is kept (`allocator.kept`)."""
        with ThreadPoolExecutor(1) as worker:
            steps = range(first_step, len(self))
            ahead = worker.submit(self._cut, epoch, first_step) if steps else None
            for step in steps:
                cut = ahead.result()
                if step + 1 < len(self):
                    ahead = worker.submit(self._cut, epoch, step + 1)
                yield self._finish(step, *cut)
