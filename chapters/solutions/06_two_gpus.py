"""Solutions to the exercises of chapter 06."""

import torch.nn.functional as F


def grouped_parameters(inputs, outputs, kernel, groups):
    """Count the weights and biases of a convolution in groups.

    Each of the outputs has a kernel of its own, which reads its group's share of the inputs, and
    one bias.
    """
    weights_per_kernel = inputs // groups * kernel * kernel
    return outputs * (weights_per_kernel + 1)


def crossing_bytes(sizes, both, batch):
    """Count the bytes that cross in one training step.

    A layer that reads both towers gets sizes[i] / 2 numbers at each GPU. The last one lies on
    GPU 0 alone, so only one half travels. Backward, as many gradients go the other way.
    """
    numbers = 0
    for i, size in enumerate(sizes):
        if both[i]:
            numbers += size // 2 if i == len(sizes) - 1 else size
    return 2 * 4 * batch * numbers


def conv_of_both(own, other, weight, bias):
    """Convolve two halves of the channels one by one, and add.

    The bias belongs to the layer, not to a half: it's added once.
    """
    C = own.shape[1]
    y = F.conv2d(own, weight[:, :C], bias, padding=1)  # while the other half is on its way
    return y + F.conv2d(other, weight[:, C:], padding=1)
