"""AlexNet as its sources describe it: every constant once, each with where it comes from.

Sources, as they are cited here:
[P]  Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural
     Networks, NIPS 2012, by section.
[S]  the 2012 source code, released by the Computer History Museum in 2025
     (github.com/computerhistory/AlexNet-Source-Code), by path and line.
[C]  BVLC Caffe, models/bvlc_alexnet. [T] torchvision.models.alexnet.
[A]  the Japanese article from which this course grew.

The networks themselves are in `architectures`, the claims and the discrepancies in
`experiments.paper_claims`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = [
    "CONVENTIONS",
    "DIARY_2012",
    "EPOCHS_2012",
    "ERRORS_2012",
    "IMAGENET_IMAGES",
    "LrnConvention",
    "PUBLISHED_THROUGHPUT",
    "RECIPES",
    "Recipe",
    "STOPPED_2012",
    "TRANSFERS",
]


@dataclass(frozen=True)
class LrnConvention:
    """What one source means by the parameters of local response normalization.

    Every convention computes y = x * (k + c * S) ** -beta, S the sum of squares in a window of
    channels. title: its name in sentences. divisor: "none" when c = alpha, "size" when
    c = alpha / size. reach: size -> how many channels the window reaches (behind, ahead) of the one
    normalized. window: the same in words. size, alpha, beta, k: its own defaults. names: what it
    calls these four. odd_only: whether it refuses even sizes. least_k: the smallest k it takes.
    """

    name: str
    title: str
    divisor: str
    reach: Callable[[int], tuple[int, int]]
    window: str
    size: int
    alpha: float
    beta: float
    k: float
    names: Mapping[str, str]
    source: str
    odd_only: bool = False
    least_k: float = 0.0


def _called(size: str, alpha: str, beta: str, k: str) -> dict[str, str]:
    return {"size": size, "alpha": alpha, "beta": beta, "k": k}


CONVENTIONS: dict[str, LrnConvention] = {
    convention.name: convention
    for convention in (
        LrnConvention(
            "paper", "the paper", "none", lambda n: (n // 2, n // 2), "n/2 to either side",
            5, 1e-4, 0.75, 2.0, _called("n", "α", "β", "k"), "[P §3.3]",
        ),
        LrnConvention(
            "seed", "the article", "size", lambda r: (r // 2, r // 2), "r/2 to either side",
            2, 1e-4, 0.75, 1.0, _called("r", "α", "β", "κ"), "[A]",
        ),
        LrnConvention(
            "source2012", "the 2012 source", "size", lambda n: (n // 2, n - 1 - n // 2),
            "size channels, an even size leans back",
            5, 1e-4, 0.75, 2.0, _called("size", "scale", "pow", "minDiv"),
            "[S layer.py:1183, layer-params-145.cfg:137-155]",
        ),
        LrnConvention(
            "pytorch", "PyTorch", "size", lambda n: (n // 2, (n - 1) // 2),
            "size channels, an even size leans back",
            5, 1e-4, 0.75, 1.0, _called("size", "alpha", "beta", "k"), "torch.nn.LocalResponseNorm",
        ),
        LrnConvention(
            "caffe", "Caffe", "size", lambda n: ((n - 1) // 2, (n - 1) // 2),
            "local_size channels, odd sizes only",
            5, 1.0, 0.75, 1.0, _called("local_size", "alpha", "beta", "k"), "[C] LRNParameter",
            odd_only=True,
        ),
        LrnConvention(
            "tensorflow", "TensorFlow", "none", lambda radius: (radius, radius),
            "depth_radius to either side",
            5, 1.0, 0.5, 1.0, _called("depth_radius", "alpha", "beta", "bias"),
            "tf.nn.local_response_normalization",
        ),
        LrnConvention(
            "cudnn", "cuDNN", "size", lambda n: ((n - 1) // 2, n // 2),
            "lrnN channels, an even lrnN leans ahead",
            5, 1e-4, 0.75, 2.0, _called("lrnN", "lrnAlpha", "lrnBeta", "lrnK"),
            "cudnnSetLRNDescriptor", least_k=1e-5,
        ),
        LrnConvention(
            "onnx", "ONNX", "size", lambda n: ((n - 1) // 2, n // 2),
            "size channels, an even size leans ahead",
            5, 1e-4, 0.75, 1.0, _called("size", "alpha", "beta", "bias"), "ONNX operator LRN",
        ),
    )
}


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, as plain data.

    batch_size in images; momentum and weight_decay as in [P §5]; lr is the initial learning
    rate; bias_lr multiplies it for biases; decay_biases: whether biases decay too.
    schedule: "plateau" (divide the rate by `factor` when the validation error stops improving),
    "step" (divide at the `milestones`, shares of the run from 0 to 1) or "cosine"; with
    `warmup` the share of the run in which the rate climbs from zero. initialization: "network"
    for what the network's stages say, "he" for He initialization with zero biases; `biases` and
    `weight_std` then override single stages. label_smoothing from 0 to 1.
    colour_noise: standard deviation of the PCA colour noise, 0 for none.
    mixed_precision: bfloat16 autocast on a GPU. source: what it follows and where it departs.
    """

    name: str
    epochs: int = 90
    batch_size: int = 128
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    bias_lr: float = 1.0
    decay_biases: bool = False
    schedule: str = "plateau"
    milestones: tuple[float, ...] = ()
    factor: float = 10.0
    patience: int = 5
    warmup: float = 0.0
    initialization: str = "network"
    biases: dict[str, float] = field(default_factory=dict)
    weight_std: dict[str, float] = field(default_factory=dict)
    label_smoothing: float = 0.0
    nesterov: bool = False
    colour_noise: float = 0.1
    mixed_precision: bool = False
    source: str = ""


EPOCHS_2012 = 90  # "roughly 90 cycles through the training set" [P §5]

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "paper2012",
            source="[P §5]: batch 128, momentum .9, decay .0005, rate .01 divided by 10 when the "
            "validation error stops improving; 'three times prior to termination'.",
        ),
        Recipe(
            "paper2012_small_data",
            epochs=16,
            batch_size=64,
            bias_lr=2.0,
            schedule="step",
            milestones=(0.75, 0.9),
            biases={"fc6": 0.0, "fc7": 0.0},
            weight_std={"conv3": 0.03, "conv4": 0.03, "conv5": 0.03},
            source="paper2012 adapted to some ten classes and ten thousand photos: batch 64 for "
            "more updates an epoch; std .03 in conv3 to conv5 as in [S layers-145.cfg], not the "
            "printed .01; biases of fc6 and fc7 at 0 instead of 1, and biases learn twice as fast "
            "(as in [C]); the rate drops at fixed shares of a short run.",
        ),
        Recipe(
            "quick_look",
            epochs=1,
            batch_size=12,
            lr=0.001,
            schedule="step",
            biases=dict.fromkeys(("conv2", "conv4", "conv5", "fc6", "fc7"), 0.0),
            weight_std={
                "conv2": 0.04, "conv3": 0.03, "conv4": 0.03, "conv5": 0.03, "fc6": 0.015,
                "fc7": 0.02, "fc8": 0.002,
            },
            colour_noise=0.0,
            source="not from 2012: this course's own, for a network that shows something after "
            "thirty steps on `plain_shapes`. Every hidden layer but the first starts about as wide "
            "as He et al. worked out in 2015, sqrt(2 / inputs), so that a picture reaches the last "
            "layer at full strength; the last layer starts small, so that the first answers are "
            "guesses; no biases of 1. A tenth of the paper's rate keeps so loud a start in check.",
        ),
        Recipe(
            "modern",
            epochs=30,
            batch_size=128,
            lr=0.002,
            schedule="cosine",
            warmup=0.1,
            nesterov=True,
            label_smoothing=0.1,
            initialization="he",
            weight_std={"conv1": 0.01, "fc8": 0.002},
            mixed_precision=True,
            source="not from 2012: cosine schedule with warm-up, Nesterov momentum, label "
            "smoothing, He initialization, bfloat16 on a GPU. He's rule is for inputs around 1; "
            "pixels here reach to 255, so conv1 starts as in 2012, and fc8 so small that the first "
            "answers are guesses. A tenth of the usual rate, for the same reason: .02 ended in NaN "
            "after six steps.",
        ),
    )
}

# What was done by hand in the run of 2010's data: (from this epoch on, the rate of conv1, the
# rate of all other layers, the reason or the remark). It ended after epoch 93 [S
# layer-params-145-2010.cfg].
DIARY_2012: tuple[tuple[int, float, float, str], ...] = (
    (0, 1e-2, 1e-2, "the start"),
    (23, 1e-3, 1e-3, "all layers, a tenth"),
    (51, 1e-4, 1e-4, "all layers, a tenth"),
    (68, 1e-5, 1e-4, "conv1 alone, a tenth; colour noise off"),
    (72, 0.0, 1e-4, "conv1 frozen"),
    (78, 0.0, 1e-5, "all others, a tenth"),
)
STOPPED_2012 = 93  # the epoch in which that run was stopped [S layer-params-145-2010.cfg]

# Top-1 and top-5 error in percent, as logged in the released configuration files.
# run: (what it is, data, views, top-1, top-5, where in [S])
ERRORS_2012: dict[str, tuple[str, str, int, float, float, str]] = {
    "145-2010": ("the network", "ILSVRC-2010 test", 10, 37.4727, 16.9987, "params-145-2010:178"),
    "145-2010-centre": (
        "the network", "ILSVRC-2010 test", 1, 39.0247, 18.2953, "params-145-2010:180",
    ),
    "145": ("the network", "ILSVRC-2012 val", 10, 40.664, 18.210, "params-145:182"),
    "145-half": ("one tower", "ILSVRC-2010 test", 10, 39.168, 18.2287, "params-145-half:100"),
    "148": ("no normalization", "ILSVRC-2012 val", 10, 42.034, 19.362, "params-148:148"),
    "147": ("2x2 pooling", "ILSVRC-2012 val", 10, 41.058, 18.510, "params-147:174"),
    "150": ("towers never talk", "ILSVRC-2012 val", 10, 41.828, 19.330, "params-150:179"),
}

# What crosses between the two GPUs in a forward pass: stage read, stage reading it, both ways?
TRANSFERS: tuple[tuple[str, str, bool], ...] = (
    ("pool2", "conv3", True),
    ("pool5", "fc6", True),
    ("fc6", "fc7", True),
    ("fc7", "fc8", False),  # only GPU 1's half travels, to GPU 0, which holds fc8 [S]
)

IMAGENET_IMAGES = 1_281_167  # training pictures of ILSVRC 2012

#: Published training rates of one GPU, images/s, and their source. None was measured here.
PUBLISHED_THROUGHPUT: dict[str, tuple[int, str]] = {
    "P100": (2_890, "TensorFlow benchmarks 2017, AlexNet on real data, one P100"),
    "V100": (5_148, "TensorFlow, AlexNet, one V100"),
}
