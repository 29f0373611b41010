"""Features made by hand: histograms of the directions in which a picture changes, cell by cell.

The recipe behind SIFT and HOG in its simplest form: numpy, no learning, four numbers to choose.
Source: Dalal and Triggs: Histograms of Oriented Gradients for Human Detection, CVPR 2005; here
every pixel votes for one direction only, and every block of cells counts alike.
"""

from __future__ import annotations

import numpy as np

__all__ = ["features", "gradients", "grey", "histograms"]

CELL, BINS, BLOCK = 7, 9, 2  # pixels, directions over half a turn, cells
FLOOR = 0.01  # added to a block's length, so that an empty block stays small


def grey(picture: np.ndarray) -> np.ndarray:
    """Return a picture's brightness from 0 to 1: the mean of red, green and blue.

    picture: uint8 (H, W, C) or (N, H, W, C). Returns float32 without the last axis.
    """
    return (np.asarray(picture).mean(axis=-1) / 255).astype(np.float32)


def gradients(brightness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how strongly and in which direction brightness changes at each pixel.

    brightness: (..., H, W). The change is right minus left and below minus above; at the border a
    pixel stands in for the neighbour that it lacks. Returns strength and direction, both of the
    same shape; directions in degrees, 0 up to 180: dark to bright and bright to dark count alike.
    """
    x = np.asarray(brightness, dtype=np.float64)
    edges = [(0, 0)] * (x.ndim - 2)
    along = np.pad(x, [*edges, (0, 0), (1, 1)], mode="edge")
    down = np.pad(x, [*edges, (1, 1), (0, 0)], mode="edge")
    gx = along[..., 2:] - along[..., :-2]  # right minus left
    gy = down[..., 2:, :] - down[..., :-2, :]  # below minus above
    return np.hypot(gx, gy), np.degrees(np.arctan2(gy, gx)) % 180


def histograms(brightness: np.ndarray, cell: int = CELL, bins: int = BINS) -> np.ndarray:
    """Return each cell's histogram of directions, every pixel counting by its strength.

    brightness: (..., H, W). cell: side of a cell, pixels; rows and columns that don't fill a last
    cell are left out. bins: equal parts of the half turn.
    Returns (..., H // cell, W // cell, bins).
    Raises ValueError for a cell that doesn't fit, and for fewer than one bin.
    """
    H, W = np.shape(brightness)[-2:]
    if not 1 <= cell <= min(H, W):
        raise ValueError(f"cell is {cell}; it must be 1 to {min(H, W)} in a picture of {H} x {W}.")
    if bins < 1:
        raise ValueError(f"bins is {bins}; a histogram needs at least 1.")
    strength, direction = gradients(brightness)
    number = np.minimum((direction * bins / 180).astype(np.int64), bins - 1)
    rows, columns = H // cell, W // cell
    result = np.empty((*strength.shape[:-2], rows, columns, bins))
    for b in range(bins):
        votes = np.where(number == b, strength, 0.0)[..., : rows * cell, : columns * cell]
        tiles = votes.reshape(*votes.shape[:-2], rows, cell, columns, cell)
        result[..., b] = tiles.sum(axis=(-3, -1))
    return result


def features(
    brightness: np.ndarray, cell: int = CELL, bins: int = BINS, block: int = BLOCK
) -> np.ndarray:
    """Return one row of numbers a picture: the histograms of overlapping blocks, each of length 1.

    brightness: (N, H, W). block: side of a block, cells; blocks start at every cell. Returns
    float32 (N, F) with F = (H // cell - block + 1) * (W // cell - block + 1) * block^2 * bins.
    Raises ValueError for a block that doesn't fit.
    """
    cells = histograms(brightness, cell, bins)  # (N, rows, columns, bins)
    N, rows, columns, _ = cells.shape
    if not 1 <= block <= min(rows, columns):
        raise ValueError(
            f"block is {block}; it must be 1 to {min(rows, columns)}, as there are {rows} x "
            f"{columns} cells."
        )
    parts = []
    for row in range(rows - block + 1):
        for column in range(columns - block + 1):
            part = cells[:, row : row + block, column : column + block].reshape(N, -1)
            length = np.linalg.norm(part, axis=1, keepdims=True)
            parts.append(part / (length + FLOOR))
    return np.concatenate(parts, axis=1).astype(np.float32)
