"""Solutions to the exercises of chapter 11."""

import statistics

from alexnet_lib.experiments import significance


def colour_share(weights):
    """Return the share of a filter's energy that is colour.

    The grey part is (h, w) and broadcasts over the three colours. Grey and colour stand at right
    angles, so their energies add up to the whole, and the share can't exceed 1.
    """
    grey = weights.mean(dim=0)
    return (((weights - grey) ** 2).sum() / (weights**2).sum()).item()


def occlusion_map(picture, weights, size, step):
    """Hide one square after another, each time from a fresh copy of the picture."""
    H, W = picture.shape
    whole = (picture * weights).sum()
    tops, lefts = range(0, H - size + 1, step), range(0, W - size + 1, step)
    drops = picture.new_zeros(len(tops), len(lefts))
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            hidden = picture.clone()
            hidden[top : top + size, left : left + size] = 0
            drops[i, j] = whole - (hidden * weights).sum()
    return drops


def verdict(each, paper, setting):
    """Judge an effect by the ledger's rule: is it there, and is it the same."""
    n = len(each)
    if n < 2:
        return "not tested"
    mean = statistics.mean(each)
    margin = significance.STUDENT[min(n, 10)] * statistics.stdev(each) / n**0.5
    if mean + margin < 0:
        return "the other way round at this scale"
    if mean - margin <= 0:
        return "not seen at this scale"
    if setting == "the paper's" and paper is not None and abs(mean - paper) <= margin:
        return "reproduced"
    return "in the same direction"
