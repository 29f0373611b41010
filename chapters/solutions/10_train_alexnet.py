"""Solutions to the exercises of chapter 10."""


def training_hours(images, epochs, rate):
    """Turn a budget of images into hours: all images seen, over images an hour."""
    return images * epochs / (rate * 3600)


def top_k_error(logits, labels, k):
    """Return the share of pictures whose label isn't among the k highest logits.

    The comparison is (N, k) against (N, 1): True where one of the k best classes is the label.
    At most one of the k can be, so any() asks the right question, and its mean is the accuracy.
    """
    best = logits.topk(k, dim=1).indices  # (N, k)
    right = (best == labels[:, None]).any(dim=1)  # (N,)
    return 1 - right.double().mean().item()


def ten_crop_average(logits):
    """Average ten views as the paper does: probabilities over classes, then the mean over views.

    The order matters. Averaging logits first would multiply the views' probabilities rather than
    add them, and a single very sure view could outvote nine others.
    """
    return logits.softmax(dim=2).mean(dim=1)
