"""Where the sources of AlexNet disagree, and what the paper claims in numbers.

Sources are cited as in `paper`: [P] the paper, [S] the 2012 source code, [C] Caffe, [T] PyTorch
and torchvision, [A] the article from which this course grew.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["CLAIMS", "DISCREPANCIES", "Claim", "Discrepancy", "by_key"]


@dataclass(frozen=True)
class Discrepancy:
    """One question on which the sources give different answers.

    key: a short name. question: what is asked. paper, source2012, pytorch, article: what each
    says, empty where it says nothing. note: what to make of it. where: sections and lines.
    """

    key: str
    question: str
    paper: str
    source2012: str
    pytorch: str
    article: str
    note: str
    where: str


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


DISCREPANCIES: tuple[Discrepancy, ...] = (
    Discrepancy(
        "input_size",
        question="Is the input 224 or 227 pixels wide, and how does it become 55?",
        paper="224 x 224; its Fig. 2 shows 55 x 55 after the first layer.",
        source2012="224, with the output size rounded up: ceil((224 - 11) / 4) + 1 = 55; the last "
        "windows read 3 columns and rows of zeros on the right and at the bottom.",
        pytorch="224 with 2 zeros on every side, rounded down: 55 as well, from other windows.",
        article="55 x 55 x 48 in each tower.",
        note="224 rounded down gives 54, and pooling rounded up then gives 27 all the same, which "
        "hides the mistake. 227 rounded down gives 55 with no padding.",
        where="[P §3.5, Fig. 2], [S layer.py:1004], [T]",
    ),
    Discrepancy(
        "alpha_divided",
        question="Is LRN's alpha divided by the size of the window?",
        paper="No: k + alpha * sum, with alpha = 1e-4.",
        source2012="Yes: the scale 1e-4 is divided by 5, so that 2e-5 * sum counts.",
        pytorch="Yes: alpha / size.",
        article="Yes: alpha / r.",
        note="To get the printed formula from PyTorch take alpha = 5e-4. TensorFlow divides by "
        "nothing; Caffe, cuDNN and ONNX divide.",
        where="[P §3.3], [S layer.py:1183, layer-params-145.cfg:137-155]",
    ),
    Discrepancy(
        "lrn_constant",
        question="What constant stands in front of LRN's sum?",
        paper="k = 2.",
        source2012="minDiv = 2.",
        pytorch="k = 1 by default.",
        article="kappa = 1 by default.",
        note="The article's default is PyTorch's. Where all channels are 100, the 2012 code "
        "multiplies by 0.438691, the printed formula by 0.232368, PyTorch's default by 0.594604.",
        where="[P §3.3], [S layer-params-145.cfg:137-155], [A]",
    ),
    Discrepancy(
        "window_of_two",
        question="How many channels does a window of r = 2 span?",
        paper="n = 5 only, two on each side.",
        source2012="An even size leans backward: channels i - 1 and i for a size of 2.",
        pytorch="The same: i - 1 and i.",
        article="r / 2 on each side, so 3 channels, yet the sum is divided by 2.",
        note="PyTorch gives the article's numbers with size = 3 and alpha * 3 / 2. cuDNN and ONNX "
        "lean forward. The divisor stays the same at the clipped edges in all.",
        where="[A], torch.nn.LocalResponseNorm",
    ),
    Discrepancy(
        "init_std",
        question="How wide is the normal distribution of the initial weights?",
        paper="0.01 in every layer.",
        source2012="0.01 in conv1, conv2 and the fully connected layers, 0.03 in conv3 to conv5.",
        pytorch="Uniform, as wide as the number of inputs asks for.",
        article="",
        note="With 0.01 everywhere the signal shrinks from conv3 on and learning starts late, or "
        "never on a small data set.",
        where="[P §5], [S layers-145.cfg]",
    ),
    Discrepancy(
        "layer1_order",
        question="Does layer 1 normalize before or after the ReLU?",
        paper="After: convolution, ReLU, LRN, pooling.",
        source2012="Before: convolution without neuron, LRN, max-pooling, then ReLU.",
        pytorch="No LRN.",
        article="",
        note="ReLU and max-pooling can change places, ReLU and LRN can't: before the ReLU negative "
        "values still count in the sum of squares.",
        where="[P §3.5], [S layers-145.cfg]",
    ),
    Discrepancy(
        "lrn_per_tower",
        question="Does a window of LRN cross from one GPU's channels to the other's?",
        paper="Not said.",
        source2012="No: windows end between channels 47 and 48, and 127 and 128.",
        pytorch="",
        article="",
        note="Caffe keeps the two groups and normalizes over all channels. Only channels 46 to 49 "
        "of 96 and 126 to 129 of 256 come out different.",
        where="[S layers-145.cfg], [C]",
    ),
    Discrepancy(
        "biases",
        question="Which biases start at 1?",
        paper="conv2, conv4, conv5 and the fully connected hidden layers; the others at 0.",
        source2012="The same.",
        pytorch="Small random numbers.",
        article="",
        note="Caffe starts them at 0.1, because at 1 its loss stayed flat, draws fc6 and fc7 with "
        "0.005, and lets biases learn twice as fast.",
        where="[P §5], [S layers-145.cfg], [C train_val.prototxt]",
    ),
    Discrepancy(
        "dropout_scaling",
        question="Where is dropout's factor of one half?",
        paper="At test: all outputs times 0.5.",
        source2012="The same.",
        pytorch="In training: what survives is divided by the share kept; nothing at test.",
        article="",
        note="Equal in expectation. The variant source2012 and the paper's keep the first form.",
        where="[P §4.2], [S layers-145.cfg], torch.nn.Dropout",
    ),
    Discrepancy(
        "parameter_count",
        question="How many parameters are 60 million?",
        paper="60 million.",
        source2012="60,965,224 with two towers.",
        pytorch="61,100,840 in torchvision, with other widths (64, 192, 384, 256, 256), no groups.",
        article="",
        note="The paper's widths without groups have 62,378,344, one tower alone 59,798,312.",
        where="[P §1, §3.5], [S layers-145.cfg], [T]",
    ),
    Discrepancy(
        "fig2_neurons",
        question="How many neurons does the first layer have?",
        paper="253,440, which is 55 x 48 x 96; and 650,000 in all.",
        source2012="55 x 55 x 96 = 290,400; 659,272 in all.",
        pytorch="",
        article="55 x 55 x 48 in each tower, so 290,400.",
        note="Fig. 2's own numbers sum to 622,312. With 290,400 the total is what the paper says.",
        where="[P Fig. 2, §3.5]",
    ),
    Discrepancy(
        "one_percent",
        question="Does no convolution hold more than 1% of the parameters?",
        paper="Each holds at most 1%, and removing any costs much.",
        source2012="conv3 holds 1.45%, conv4 1.09%.",
        pytorch="",
        article="",
        note="All five together hold 3.8% of the parameters and 91.9% of the MACs.",
        where="[P §1]",
    ),
    Discrepancy(
        "same_map_norm",
        question="Is there another normalization in layer 2?",
        paper="Not mentioned.",
        source2012="Yes: after LRN, over 5 x 5 pixels in each map, scale 0.001 / 25, power 0.75.",
        pytorch="No.",
        article="",
        note="The run without normalization left it out as well, so the printed gain of LRN is the "
        "gain of both.",
        where="[S layers-145.cfg, layer-params-148.cfg]",
    ),
    Discrepancy(
        "lrn_layer5",
        question="After which layers is LRN?",
        paper="1 and 2. Max-pooling follows 1, 2 and 5.",
        source2012="1 and 2; an experiment with LRN after 5 (149) has no result in its file.",
        pytorch="None in torchvision.",
        article="1, 2 and 5.",
        note="The paper names 1, 2 and 5 for max-pooling, not for LRN.",
        where="[P §3.5], [S layer-params-149.cfg], [A]",
    ),
    Discrepancy(
        "last_channel",
        question="What is the last channel of LRN's sum?",
        paper="min(N - 1, i + n / 2).",
        source2012="The last channel there is.",
        pytorch="The last channel there is.",
        article="N + 1 in its text, N - 1 in its formula.",
        note="Channels count from 0 to N - 1, so the formula is right and the text a slip.",
        where="[P §3.3], [A]",
    ),
    Discrepancy(
        "colour_noise",
        question="What scales the colour noise?",
        paper="The eigenvalues of the colours' covariance, times a random number of std 0.1.",
        source2012="Their square roots, the standard deviations, times the same; then the picture "
        "is divided by 1.1.",
        pytorch="",
        article="",
        note="The square root is the one whose unit is a colour's. Caffe has no colour noise.",
        where="[P §4.1], [S convdata_jpeg.py:65,155-179]",
    ),
    Discrepancy(
        "crop_count",
        question="How many crops and mirror images does a picture have?",
        paper="2048: 32 x 32 positions, mirrored.",
        source2012="2178: 33 x 33 positions, mirrored; 32 pictures in a row share one draw.",
        pytorch="",
        article="",
        note="A square of 224 fits a picture of 256 at 33 places a side.",
        where="[P §4.1], [S convdata_jpeg.py:77,238]",
    ),
    Discrepancy(
        "pooling_ablation",
        question="What else changed when pooling stopped overlapping?",
        paper="Nothing: s = 2, z = 2 gives maps of equal size.",
        source2012="Padding: conv2 from 2 to 1, conv5 from 1 to 0, to keep the sizes.",
        pytorch="",
        article="Overlap is said to suppress overfitting.",
        note="The maps are 28 and 26 wide instead of 27. The paper only observed that overlap made "
        "overfitting slightly harder, and measured 0.4 and 0.3 points.",
        where="[P §3.4], [S layer-params-147.cfg], [A]",
    ),
)

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


def by_key(
    key: str, entries: Iterable[Discrepancy | Claim] = (*DISCREPANCIES, *CLAIMS)
) -> Discrepancy | Claim:
    """Return the entry called `key`: of the discrepancies, the claims or, by default, both.

    Raises ValueError, with the nearest key, where there is none.
    """
    known = {entry.key: entry for entry in entries}
    if key not in known:
        close = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
        raise ValueError(
            f"there is no entry {key!r} in the ledger; did you mean {', '.join(close)!r}? "
            f"Choose one of: {', '.join(known)}."
        )
    return known[key]
