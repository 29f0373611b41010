"""What the paper, the program of 2012 and the article say of each stage of the network.

Sources are cited as in `paper`: [P] the paper, [S] the 2012 source code, [A] the article from
which this course grew. In this course's words.
"""

from __future__ import annotations

__all__ = ["SOURCES", "STAGE_NOTES"]

#: The columns of STAGE_NOTES.
SOURCES = ("the paper", "the program of 2012", "the article")

_POOL = "max-pooling, window 3, stride 2 [P §3.4]"
_POOL_2012 = "the same; window 3, stride 2 everywhere [S]"

#: stage -> what each of SOURCES says; "" where it says nothing.
STAGE_NOTES: dict[str, tuple[str, str, str]] = {
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
