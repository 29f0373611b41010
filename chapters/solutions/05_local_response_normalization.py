"""Solutions to the exercises of chapter 05."""

import torch.nn.functional as F


def lrn_row(row, r, kappa, alpha, beta):
    """Normalize one row in the article's convention.

    A slice may run past the end of a list, but a negative start would count from the end; hence
    the max. The divisor stays r at the ends, where fewer neighbours are summed, so the numbers
    there are normalized less. The result is a new list: overwriting row would change the numbers
    that the next windows still need.
    """
    result = []
    for i, value in enumerate(row):
        window = row[max(0, i - r // 2) : i + r // 2 + 1]
        bracket = kappa + alpha / r * sum(v * v for v in window)
        result.append(value / bracket**beta if bracket else 0.0)
    return result


def lrn(x, n, k, alpha, beta):
    """Normalize feature maps (N, C, H, W) in the paper's convention.

    A window over channels is a sum of n slices of the squares, each shifted by one channel. With
    n // 2 channels of zeros at both ends every slice has C channels, and what lies beyond the
    first and last channel adds nothing. F.pad counts axes from the last one: two numbers for the
    columns, two for the rows, then two for the channels.
    """
    channels = x.shape[1]
    squares = F.pad(x * x, (0, 0, 0, 0, n // 2, n // 2))  # (N, C + n - 1, H, W)
    sums = sum(squares[:, j : j + channels] for j in range(n))  # (N, C, H, W)
    return x / (k + alpha * sums) ** beta


def convert(convention, n, k, alpha, beta):
    """Find the arguments of torch.nn.LocalResponseNorm for another convention.

    Two questions decide. How many channels does the window span? That is torch's size; it must
    be odd, since torch's even windows lean to one side. What is c, which multiplies the sum of
    squares? torch multiplies it by alpha / size, so it needs alpha = c * size.
    """
    size = n + 1 if convention == "seed" else n
    c = alpha if convention == "paper" else alpha / n
    return {"size": size, "alpha": c * size, "beta": beta, "k": k}
