"""Solutions to the exercises of chapter 08."""

import torch


def count_views(height, width, size):
    """Count the squares that can be cut from a picture, and their mirror images.

    Along a side of n pixels a window of size pixels begins at 0, 1, ... n - size: that is
    n - size + 1 places. Every row goes with every column, and every crop with its mirror image.
    """
    return 2 * (height - size + 1) * (width - size + 1)


def dropout(x, mask, keep, form, when):
    """Drop units out, in the form of 2012 or inverted.

    On average a mask leaves the share keep. The form of 2012 makes up for it at test, by a factor
    keep; the inverted form in training, by dividing.
    """
    if when == "training":
        return x * mask / keep if form == "inverted" else x * mask
    return x if form == "inverted" else x * keep


def colour_shifts(pixels, factors):
    """Shift colours along the principal directions of pixels (M, 3), one shift a picture.

    A variance's square root is a standard deviation, so factors of about 0.1 give a tenth of how
    far colours lie apart in each direction. The columns of vectors are the directions; their sign
    is a matter of taste, and the red part settles it.
    """
    away = pixels - pixels.mean(dim=0)
    covariance = away.T @ away / len(pixels)  # (3, 3)
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)  # the largest first
    vectors = vectors * torch.where(vectors[0] < 0, -1.0, 1.0)
    return (factors * values.sqrt()) @ vectors.T  # (N, 3)
