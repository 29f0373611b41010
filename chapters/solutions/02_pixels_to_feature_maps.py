"""Solutions to the exercises of chapter 02."""


def left_over(n, k, s, p):
    """Count the places behind the last window.

    The padded row has n + 2p places. The first window takes k of them, every further step s. What
    whole steps can't take is the remainder.
    """
    return (n + 2 * p - k) % s


def convolve(x, weight, stride):
    """Convolve with loops over filters, rows and columns.

    One patch serves all pictures at once: it keeps the axis N. Multiplied by one filter (C, h, w)
    and summed over everything but N, it gives one number for each picture.
    """
    N, _, H, W = x.shape
    K, _, h, w = weight.shape
    y = x.new_zeros(N, K, (H - h) // stride + 1, (W - w) // stride + 1)
    for k in range(K):
        for i in range(y.shape[2]):
            for j in range(y.shape[3]):
                top, left = i * stride, j * stride
                patch = x[:, :, top : top + h, left : left + w]  # (N, C, h, w)
                y[:, k, i, j] = (patch * weight[k]).sum(dim=(1, 2, 3))
    return y


def receptive_field(kernels, strides):
    """Follow one number's view back to the picture, layer by layer.

    field: pixels that one number sees so far. step: pixels between two neighbours. A window of k
    numbers spans k - 1 steps more than one of them sees; then its own stride widens the step.
    """
    field, step = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * step
        step *= stride
    return field
