"""Solutions to the exercises of chapter 04."""

import torch


def relu_backward(x, g):
    """Send a gradient back through a ReLU.

    The slope of max(0, x) is 1 where x is above 0 and 0 elsewhere, so the chain rule multiplies g
    by a mask. It's x that decides; g may have either sign. g * mask is a new tensor: writing
    zeros into g would change what the layer behind still holds.
    """
    return g * (x > 0)


def dead_units(z):
    """List the channels of z (N, C, H, W) that stay 0 after ReLU, for every picture, everywhere.

    One value above 0 is enough to be alive. Each any takes one axis away; from the last to the
    first, so that the numbers of the axes that remain don't change.
    """
    alive = (z > 0).any(dim=3).any(dim=2).any(dim=0)  # (C,)
    return (~alive).nonzero().flatten().tolist()


def deep_gradient(name, x, weights, g):
    """Walk back through a stack of layers h -> f(h @ W), weights (L, D, D).

    The way forward keeps every z, because the slope of f is taken there. The way back takes the
    same steps in the opposite order: first through f, which multiplies by its slope, then through
    the weights, which carry the gradient of each output back to the inputs it came from.
    """
    functions = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}
    slopes = {
        "relu": lambda z: (z > 0).to(z.dtype),
        "tanh": lambda z: 1 - torch.tanh(z) ** 2,
        "sigmoid": lambda z: torch.sigmoid(z) * (1 - torch.sigmoid(z)),
    }
    h, kept = x, []
    for W in weights:
        kept.append(h @ W)  # (N, D)
        h = functions[name](kept[-1])
    for layer in reversed(range(len(weights))):
        g = g * slopes[name](kept[layer])
        g = g @ weights[layer].T
    return g
