"""What is done to a picture before the network sees it: mean, crops, flips, colour, ten views.

Pictures are whole batches: uint8 (N, H, W, C) as they are stored, float32 (N, C, H, W) as the
network takes them. Everything random comes from a generator or seed that the caller gives.
"""

from __future__ import annotations

import numpy as np
import torch
from tqdm import tqdm

from .kernels import crop as crop_kernel
from .kernels.dispatch import serves

__all__ = [
    "centre_crop",
    "colour_components",
    "colour_noise",
    "mean_image",
    "pixel_sum",
    "random_crops",
    "ten_crop",
    "to_input",
]

CHUNK = 256  # images read at once, 50 MB at 256 px


def _check_crop(H: int, W: int, size: int) -> None:
    if not 1 <= size <= min(H, W):
        raise ValueError(
            f"a crop of {size} doesn't fit pictures of {H} x {W}; load them at size {size} or more."
        )


def pixel_sum(
    images: np.ndarray, first: int = 0, last: int | None = None, chunk: int = CHUNK
) -> torch.Tensor:
    """Return the sum of uint8 images (N, H, W, C) for each pixel and channel, int64 (H, W, C).

    first, last: which images, from and up to; all by default. chunk: images in memory at once.
    A bar appears in a terminal when it takes more than some seconds.
    """
    total = np.zeros(images.shape[1:], np.int64)
    last = len(images) if last is None else last
    for start in tqdm(range(first, last, chunk), "mean image", delay=3, disable=None, leave=False):
        total += images[start : min(start + chunk, last)].sum(axis=0, dtype=np.int64)
    return torch.from_numpy(total)


def mean_image(images: np.ndarray, chunk: int = CHUNK) -> torch.Tensor:
    """Return the mean of uint8 images (N, H, W, C) for each pixel and channel, float32 (H, W, C).

    Source: "subtracting the mean activity over the training set from each pixel" [P §2].
    """
    if len(images) == 0:
        raise ValueError("there are no images to average; give at least one.")
    return (pixel_sum(images, chunk=chunk).double() / len(images)).float()


def colour_components(images: np.ndarray, limit: int = 2000) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the principal components of the RGB values in a training set [P §4.1].

    images: uint8 (N, H, W, 3), of which `limit`, evenly spread, are read. Returns eigenvalues (3,)
    of the 3 x 3 covariance, largest first, in squared steps of 0 to 255, and the eigenvectors
    (3, 3), one a column.
    """
    if images.shape[-1] != 3:
        raise ValueError(f"images have {images.shape[-1]} channel(s); colour noise needs 3 (RGB).")
    step = max(1, -(-len(images) // limit))
    count, total, products = 0, np.zeros(3), np.zeros((3, 3))
    for start in range(0, len(images), CHUNK * step):
        for image in images[start : start + CHUNK * step : step]:
            pixels = image.reshape(-1, 3).astype(np.float64)
            count += len(pixels)
            total += pixels.sum(axis=0)
            products += pixels.T @ pixels
    mean = total / count
    values, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
    return (
        torch.from_numpy(values[::-1].clip(0).astype(np.float32)),
        torch.from_numpy(vectors[:, ::-1].astype(np.float32)),
    )


def colour_noise(
    x: torch.Tensor, values: torch.Tensor, vectors: torch.Tensor, std: float = 0.1,
    generator: torch.Generator | None = None, convention: str = "source2012",
    within: tuple[int, int] | None = None, out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Shift the colour of each picture along the principal components [P §4.1].

    x: float (N, 3, H, W) on the scale 0 to 255. values, vectors: from `colour_components`.
    std: of the random factors, one for each picture and component.
    convention: "source2012" multiplies by square roots of the eigenvalues and divides the
    picture by 1 + std [S convdata_jpeg.py:65,155-179]; "paper" multiplies by the eigenvalues, on
    pictures scaled to 0..1 and back, and divides by nothing. within: as in `random_crops`. out:
    where the result goes, such as x itself, which saves the time that fresh memory takes.
    """
    rows, total = _rows(len(x), within)
    factors = torch.randn(total, 3, generator=generator)[rows].to(x.device) * std  # (N, 3)
    if convention == "source2012":
        scales, divisor = values.sqrt(), 1 + std
    elif convention == "paper":
        scales, divisor = values / 255, 1.0
    else:
        raise ValueError(f"convention is {convention!r}; choose 'source2012' or 'paper'.")
    shifts = (factors * scales.to(x.device)) @ vectors.to(x.device).T  # (N, 3): one RGB shift each
    return torch.add(x, shifts[:, :, None, None], out=out).div_(divisor)


def _rows(count: int, within: tuple[int, int] | None) -> tuple[slice, int]:
    """Return where `count` pictures lie in their batch, and how many that has."""
    first, total = within or (0, count)
    return slice(first, first + count), total


def random_crops(
    images: torch.Tensor | np.ndarray, size: int, generator: torch.Generator | None = None,
    flip: bool = True, within: tuple[int, int] | None = None, chosen: np.ndarray | None = None,
) -> torch.Tensor:
    """Cut a random square from every picture and mirror every second one or so [P §4.1].

    images: uint8 (N, H, W, C), on any device; or packed pictures in memory, an array. chosen:
    which of them, all by default. size: side of the square. generator: on the CPU.
    within: (first, total) where these are pictures first, first + 1, ... of a batch of `total`;
    each then gets what it would get if the batch were cut as a whole.
    Returns uint8 (N, size, size, C). Raises ValueError where the square doesn't fit.
    """
    N, H, W, _ = images.shape
    _check_crop(H, W, size)
    rows, total = _rows(N if chosen is None else len(chosen), within)
    tops = torch.randint(H - size + 1, (total,), generator=generator)[rows]
    lefts = torch.randint(W - size + 1, (total,), generator=generator)[rows]
    mirrored = (torch.rand(total, generator=generator)[rows] < 0.5) & flip
    if not isinstance(images, torch.Tensor):
        chosen = np.arange(N) if chosen is None else chosen
        if serves(crop_kernel.takes, images):
            starts, _alive = crop_kernel.pointers(images, chosen)
            return crop_kernel.cut(starts, images.shape[1:], size, tops, lefts, mirrored)
        images, chosen = torch.from_numpy(np.array(images[chosen])), None
    if chosen is not None:
        images = images[chosen]
    cut = _cut_one_by_one if images.device.type == "cpu" else _cut_at_once
    return cut(images, size, tops, lefts, mirrored)


def _cut_one_by_one(images, size, tops, lefts, mirrored) -> torch.Tensor:
    crops = torch.empty(len(images), size, size, images.shape[3], dtype=images.dtype)
    places = zip(tops.tolist(), lefts.tolist(), mirrored.tolist(), strict=True)
    for n, (top, left, mirror) in enumerate(places):
        crop = images[n, top : top + size, left : left + size]
        crops[n] = crop.flip(1) if mirror else crop
    return crops


def _cut_at_once(images, size, tops, lefts, mirrored) -> torch.Tensor:
    device, steps = images.device, torch.arange(size)
    rows = (tops[:, None] + steps).to(device)  # (N, size)
    columns = lefts[:, None] + torch.where(mirrored[:, None], steps.flip(0), steps)
    picture = torch.arange(len(images), device=device)[:, None, None]
    return images[picture, rows[:, :, None], columns.to(device)[:, None, :]]


def centre_crop(images: torch.Tensor, size: int) -> torch.Tensor:
    """Cut the central square from pictures (..., H, W, C); ValueError where it doesn't fit."""
    H, W = images.shape[-3:-1]
    _check_crop(H, W, size)
    top, left = (H - size) // 2, (W - size) // 2
    return images[..., top : top + size, left : left + size, :]


def ten_crop(images: torch.Tensor, size: int) -> torch.Tensor:
    """Return the four corners and the centre of each picture, and their mirror images [P §4.1].

    images: (N, H, W, C). Returns (N, 10, size, size, C): top left, top right, bottom left, bottom
    right, centre, then the same five mirrored. Raises ValueError where the square doesn't fit.
    """
    N, H, W, _ = images.shape
    _check_crop(H, W, size)
    corners = [(0, 0), (0, W - size), (H - size, 0), (H - size, W - size)]
    centre = ((H - size) // 2, (W - size) // 2)
    five = torch.stack(
        [images[:, top : top + size, left : left + size] for top, left in (*corners, centre)], dim=1
    )
    return torch.cat([five, five.flip(3)], dim=1)


def to_input(images: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """Turn uint8 (N, H, W, C) into what a network takes: float32 (N, C, H, W), mean subtracted.

    mean: (H', W', C) with H' of at least H: its centre is used; or (C,). The result is
    channels_last in memory, on the scale 0 to 255.
    """
    if mean.dim() == 3:
        mean = centre_crop(mean, images.shape[1])
    return images.float().sub_(mean.to(images.device)).permute(0, 3, 1, 2)
