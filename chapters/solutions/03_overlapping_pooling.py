"""Solutions to the exercises of chapter 03."""

import torch


def votes(n, z, s):
    """Count in how many windows each pixel of a row is.

    The last window that fits starts at n - z at most, and range leaves out its end: hence the
    + 1. What no window reaches stays at 0.
    """
    counts = [0] * n
    for start in range(0, n - z + 1, s):
        for pixel in range(start, start + z):
            counts[pixel] += 1
    return counts


def max_pool(x, z, s):
    """Max-pool feature maps (N, C, H, W).

    Two loops over the windows are enough: a slice holds the same window of all images and all
    channels, and amax takes the maximum over its rows and columns.
    """
    N, C, H, W = x.shape
    height, width = (H - z) // s + 1, (W - z) // s + 1
    y = x.new_zeros(N, C, height, width)
    for i in range(height):
        for j in range(width):
            window = x[:, :, i * s : i * s + z, j * s : j * s + z]  # (N, C, z, z)
            y[:, :, i, j] = window.amax(dim=(2, 3))
    return y


def max_pool_gradient(x, z, s, g):
    """Send the gradient back through max-pooling: each window's goes to its winner.

    argmax of a window counts along its rows, and gives the first of equals. The window's corner
    is at (i * s, j * s), and inside the window best // z is the row, best % z the column. A pixel
    that wins several windows collects from all of them, so the gradients add up.
    """
    result = torch.zeros_like(x)
    for n in range(g.shape[0]):
        for c in range(g.shape[1]):
            for i in range(g.shape[2]):
                for j in range(g.shape[3]):
                    window = x[n, c, i * s : i * s + z, j * s : j * s + z]
                    best = int(window.argmax())
                    row, column = i * s + best // z, j * s + best % z
                    result[n, c, row, column] += g[n, c, i, j]
    return result
