"""Solutions to the exercises of chapter 01."""

import torch


def error_removed(before, after):
    """Turn two errors into the share that is gone, in percent.

    What is gone is a part of what was there before; so it is divided by that. The sign takes care
    of itself: where the error rose, the difference is negative.
    """
    return 100 * (before - after) / before


def strict_top_k(scores, labels, k):
    """Count for every label the other classes that are level with it or ahead.

    Sorting would have to decide about ties. Counting doesn't: with >= all who are level stand
    ahead. The label is level with itself, hence the - 1.
    """
    own = scores.gather(1, labels[:, None])  # (N, 1)
    ahead = (scores >= own).sum(dim=1) - 1  # (N,)
    return (ahead < k).double().mean().item()


def orientation_histogram(patch, bins):
    """Let every inner pixel vote for the direction in which brightness changes there.

    Slices that are shifted against each other give all differences at once. Modulo 180 lets dark
    to bright and bright to dark count alike. A pixel where nothing changes has no direction, and
    its strength of 0 makes that harmless.
    """
    gx = patch[1:-1, 2:] - patch[1:-1, :-2]  # right minus left
    gy = patch[2:, 1:-1] - patch[:-2, 1:-1]  # below minus above
    strength = torch.hypot(gx, gy)
    direction = torch.rad2deg(torch.atan2(gy, gx)) % 180
    number = (direction * bins / 180).long().clamp(max=bins - 1)
    return torch.stack([strength[number == b].sum() for b in range(bins)])
