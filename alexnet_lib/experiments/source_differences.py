"""Where the sources of AlexNet disagree, question by question and layer by layer.

Sources are cited as in `paper`: [P] the paper, [S] the 2012 source code, [C] Caffe, [T] PyTorch
and torchvision, [A] the article from which this course grew. In this course's words.
"""

from __future__ import annotations

from dataclasses import dataclass

from .._errors import unknown_name

__all__ = ["DISCREPANCIES", "LAYER_NOTES", "SOURCES", "Discrepancy", "by_key"]


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

#: The columns of LAYER_NOTES.
SOURCES = ("the paper", "the program of 2012", "the article")

_POOL = "max-pooling, window 3, stride 2 [P §3.4]"
_POOL_2012 = "the same; window 3, stride 2 everywhere [S]"

#: layer -> what each of SOURCES says; "" where it says nothing.
LAYER_NOTES: dict[str, tuple[str, str, str]] = {
    "input": (
        "224 × 224 × 3, the mean subtracted [P §2, §3.5]",
        "a crop of 224; the last windows read 3 zeros beyond it, so it acts like 227 [S]",
        "draws the picture once, for both towers [A]",
    ),
    "conv1": (
        "96 kernels of 11 × 11 × 3, stride 4 [P §3.5]",
        "48 a tower; LRN and pooling come before the ReLU here [S]",
        "not drawn by itself: its first block is conv1 and LRN1 together [A]",
    ),
    "lrn1": (
        "after the ReLU of layer 1; k = 2, n = 5 [P §3.3]. Figure 2 counts 253,440 neurons here, "
        "which is 55 × 48 × 96",
        "alpha is divided by 5; a window never leaves its tower [S]",
        "its first block after the picture: 55 × 55 × 48, twice [A]",
    ),
    "pool1": (_POOL, _POOL_2012, "not drawn by itself: it belongs to the next block [A]"),
    "conv2": (
        "256 kernels of 5 × 5 × 48: each reads its own tower [P §3.5]",
        "the same; biases start at 1 [S]",
        "not drawn by itself: pooling 1, conv2 and LRN2 are one block [A]",
    ),
    "lrn2": (
        "after the ReLU of layer 2 [P §3.5]",
        "followed by a second normalization, within each map, that the paper doesn't name [S]",
        "its second block: 27 × 27 × 128, twice, after pooling 1, conv2 and LRN2 [A]",
    ),
    "pool2": (_POOL, _POOL_2012, "not drawn by itself [A]"),
    "conv3": (
        "384 kernels of 3 × 3 × 256: reads both towers [P §3.5]. At most 1% of the parameters a "
        "convolution [P §1]; this one has more",
        "the same; initial weights of std .03, not .01 [S]",
        "13 × 13 × 192, twice; the lines cross here [A]",
    ),
    "conv4": (
        "384 kernels of 3 × 3 × 192, own tower; no pooling, no LRN [P §3.5]",
        "the same; std .03, biases 1 [S]",
        "13 × 13 × 192, twice [A]",
    ),
    "conv5": (
        "256 kernels of 3 × 3 × 192, own tower, then pooling alone [P §3.5]",
        "pooling, then ReLU. LRN after it was an experiment, run 149, without a result on "
        "record [S]",
        "lists LRN in layer 5 as well, which the paper doesn't have; draws 13 × 13 × 128, "
        "twice [A]",
    ),
    "pool5": (_POOL, _POOL_2012, "not drawn by itself [A]"),
    "fc6": (
        "4096 units, dropout [P §3.5, §4.2]",
        "2048 a GPU, each reads both [S]",
        "2048, twice; with ReLU [A]",
    ),
    "fc7": (
        "4096 units, dropout; Figure 4 compares pictures by these numbers [P §6.1]",
        "2048 a GPU, each reads both [S]",
        "2048, twice; with ReLU [A]",
    ),
    "fc8": (
        "1000 units and a softmax [P §3.5]",
        "whole, on GPU 0 [S]",
        "the answer, by softmax [A]",
    ),
}


def by_key(key: str) -> Discrepancy:
    """Return the discrepancy called `key`; ValueError with the nearest key for an unknown one."""
    known = {entry.key: entry for entry in DISCREPANCIES}
    if key not in known:
        raise unknown_name("discrepancy", key, known)
    return known[key]
