"""Solutions to the exercises of chapter 09."""

import math


def step_2012(w, v, g, rate, momentum, decay):
    """Take one step of 2012 for one weight.

    The decay joins the gradient inside the bracket, so the rate scales both. The old velocity goes
    on, damped, and the weight moves by the new one.
    """
    v = momentum * v - rate * (g + decay * w)
    return [w + v, v]


def diary_rate(layer, epoch):
    """Return the rate of a layer at an epoch, by the diary of 2012.

    The latest date that has passed decides, so the questions go backwards in time. conv1 has two
    dates of its own; before them it does what all do.
    """
    if epoch >= 93:
        return 0.0
    if layer == "conv1" and epoch >= 68:
        return 0.0 if epoch >= 72 else 1e-5
    for start, rate in ((78, 1e-5), (51, 1e-4), (23, 1e-3)):
        if epoch >= start:
            return rate
    return 1e-2


def diagnose(losses, chance, dead, update, across, changed):
    """Name the fault behind a patient's file.

    Causes before consequences: an exploded network also has dead units, and behind a dead layer
    nothing moves. What is left when all signals are well is the data.
    """
    last = losses[-1]
    if math.isnan(last) or last > 10 * chance:
        return "rate"
    if any(share == 1 for share in dead):
        return "dead"
    if any(ratio == 0 for ratio in update):
        return "frozen"
    if across[-1] < 0.01:
        return "faint"
    if changed > 0:
        return "dropout"
    return "labels" if last > 0.95 * chance else "healthy"
