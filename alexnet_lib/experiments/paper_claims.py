"""What the paper claims in numbers, [P]: the results that its records are held against."""

from __future__ import annotations

from dataclasses import dataclass, field

from .._errors import unknown_name

__all__ = ["CLAIMS", "Claim", "by_key"]


@dataclass(frozen=True)
class Claim:
    """One claim of the paper that has numbers.

    key: a short name. claim: what is claimed, in this course's words. values: the printed
    numbers by name, with unit in the name. section: where in [P]. how: how to measure it here.
    """

    key: str
    claim: str
    section: str
    how: str
    values: dict[str, float] = field(default_factory=dict)


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "size",
        "The network has 60 million parameters and 650,000 neurons.",
        "abstract, §3.5",
        "Count them: python -m alexnet_lib verify.",
        {"parameters": 60e6, "neurons": 650e3},
    ),
    Claim(
        "ilsvrc2010",
        "On ILSVRC-2010's test set it errs on 37.5% with one guess, 17.0% with five.",
        "§6, Table 1",
        "Needs ImageNet; a smaller set shows the method: `evaluate RUN --ten-crop`.",
        {"top1_error_percent": 37.5, "top5_error_percent": 17.0},
    ),
    Claim(
        "earlier_best",
        "The best results before were 45.7% and 25.7%.",
        "§6, Table 1",
        "Not here: SIFT and Fisher vectors. The history of ILSVRC is in data/history.",
        {"top1_error_percent": 45.7, "top5_error_percent": 25.7},
    ),
    Claim(
        "ten_views",
        "With the centre crop alone instead of ten views it errs on 39.0% and 18.3%.",
        "§4.1",
        "Evaluate one trained network twice, with and without --ten-crop.",
        {"top1_error_percent": 39.0, "top5_error_percent": 18.3},
    ),
    Claim(
        "ilsvrc2012",
        "On ILSVRC-2012's validation set one network errs on 40.7% and 18.2%.",
        "§6, Table 2",
        "Needs ImageNet: python -m alexnet_lib train --data imagenet --recipe paper2012.",
        {"top1_error_percent": 40.7, "top5_error_percent": 18.2},
    ),
    Claim(
        "ensemble",
        "Five networks average to 38.1% and 16.4%; seven, two of them pre-trained, to 36.7% and "
        "15.4%, and 15.3% on the test set, where the runner-up had 26.2%.",
        "§6, Table 2",
        "Train the same network from several seeds on a small set and average their probabilities.",
        {"five_top1_error_percent": 38.1, "five_top5_error_percent": 16.4,
         "seven_top1_error_percent": 36.7, "seven_top5_error_percent": 15.4,
         "seven_test_top5_error_percent": 15.3, "runner_up_top5_error_percent": 26.2},
    ),
    Claim(
        "relu",
        "With ReLU a four-layer network reaches 25% training error on CIFAR-10 six times faster "
        "than with tanh.",
        "§3.1, Fig. 1",
        "Count the epochs to 25% training error, rates tuned for each, over several seeds.",
        {"training_error_percent": 25.0, "times_faster": 6.0},
    ),
    Claim(
        "two_gpus",
        "Two GPUs lower the error by 1.7 and 1.2 points against half the kernels on one.",
        "§3.2",
        "Compare the variants paper and one_tower on a small set, several seeds.",
        {"top1_points": 1.7, "top5_points": 1.2},
    ),
    Claim(
        "lrn",
        "LRN lowers the error by 1.4 and 1.2 points.",
        "§3.3",
        "A small network with and without LRN, several seeds (chapter 05).",
        {"top1_points": 1.4, "top5_points": 1.2},
    ),
    Claim(
        "lrn_cifar10",
        "On CIFAR-10 LRN takes a four-layer network from 13% to 11% test error.",
        "§3.3",
        "The same small network on CIFAR-10.",
        {"without_error_percent": 13.0, "with_error_percent": 11.0},
    ),
    Claim(
        "overlapping_pooling",
        "Pooling with z = 3, s = 2 instead of z = 2, s = 2 lowers the error by 0.4 and 0.3 points.",
        "§3.4",
        "A small network with either pooling, several seeds (chapter 03).",
        {"top1_points": 0.4, "top5_points": 0.3},
    ),
    Claim(
        "crops",
        "Crops and mirror images make the training set 2048 times as large.",
        "§4.1",
        "Count the places of the crop: 33 x 33 x 2.",
        {"times": 2048.0},
    ),
    Claim(
        "colour_gain",
        "Noise along the principal colours lowers the top-1 error by over 1 point.",
        "§4.1",
        "Train with and without colour noise, several seeds (chapter 08).",
        {"top1_points": 1.0},
    ),
    Claim(
        "dropout",
        "Dropout in two layers roughly doubles the iterations to converge, and without it the "
        "network overfits.",
        "§4.2",
        "Training and validation curves with and without dropout (chapter 08).",
        {"times_iterations": 2.0, "keep": 0.5},
    ),
    Claim(
        "weight_decay",
        "A weight decay of 0.0005 lowers the training error too.",
        "§5",
        "Train with and without decay and compare the training error.",
        {"weight_decay": 5e-4},
    ),
    Claim(
        "training_time",
        "About 90 cycles through 1.2 million images took 5 to 6 days on two GTX 580 of 3 GB.",
        "§1, §5",
        "Images a second of `train`, times 90 * 1.2 million.",
        {"epochs": 90.0, "days_least": 5.0, "days_most": 6.0, "images": 1.2e6},
    ),
    Claim(
        "conv_share",
        "Each convolution holds no more than 1% of the parameters.",
        "§1",
        "Count: conv3 holds 1.45%.",
        {"most_percent": 1.0},
    ),
    Claim(
        "depth",
        "Removing any middle layer costs about 2 points of top-1.",
        "§7",
        "Leave out conv3, conv4 or conv5 and train anew, several seeds.",
        {"top1_points": 2.0},
    ),
    Claim(
        "specialization",
        "One GPU's kernels become colour-agnostic, the other's colour-specific, in every run.",
        "§6.1, Fig. 3",
        "Measure the colour of each tower's 48 filters after training (chapter 11).",
        {"kernels_per_tower": 48.0},
    ),
)


def by_key(key: str) -> Claim:
    """Return the claim called `key`; ValueError with the nearest key for an unknown one."""
    known = {claim.key: claim for claim in CLAIMS}
    if key not in known:
        raise unknown_name("claim", key, known)
    return known[key]
