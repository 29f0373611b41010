"""AlexNet's variants and the small networks of the experiments, as LayerSpecs.

A network here is data alone: `shapes` computes with it, `models` builds it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ._errors import unknown_name
from .paper import CONVENTIONS

__all__ = ["VARIANTS", "LayerSpec", "NetworkSpec", "network", "small_network"]


@dataclass(frozen=True)
class LayerSpec:
    """One stage of a network, as plain data.

    kind is one of conv, relu, tanh, sigmoid, lrn, same_map_norm, max_pool, average_pool,
    adaptive_pool, flatten, fc, dropout. Fields that a kind doesn't use keep their defaults.

    name: the stage, such as "conv1". channels: kernels of a conv, units of an fc (both towers).
    kernel, stride, padding: pixels, of a conv or pool. rounding: "floor" or "ceil", for the
    output size. groups: channel groups of a conv; for lrn, the towers its windows stay within.
    weight_std: standard deviation of the initial weights, None for torch's own rule.
    bias: initial bias. size, alpha, beta, k, convention: of an lrn (same_map_norm has no
    convention: its sum is divided by size squared). keep: of dropout, the share of units kept.
    inverted: dropout scales in training (True) or at test, as in 2012 (False).
    """

    name: str
    kind: str
    channels: int = 0
    kernel: int = 0
    stride: int = 1
    padding: int = 0
    rounding: str = "floor"
    groups: int = 1
    weight_std: float | None = None
    bias: float = 0.0
    size: int = 0
    alpha: float = 0.0
    beta: float = 0.0
    k: float = 0.0
    convention: str = ""
    keep: float = 1.0
    inverted: bool = False


@dataclass(frozen=True)
class NetworkSpec:
    """A network as data: a name, the input it expects and its stages in order.

    input_size: side of the square input, pixels. input_channels: 3 for colour.
    numbered: the modules are named by position, as in torchvision, not by stage.
    source: where the configuration comes from.
    """

    name: str
    input_size: int
    layers: tuple[LayerSpec, ...]
    input_channels: int = 3
    numbered: bool = False
    source: str = ""

    def layer(self, name: str) -> LayerSpec:
        """Return the stage called `name`, or raise ValueError with the nearest name."""
        for spec in self.layers:
            if spec.name == name:
                return spec
        raise unknown_name(f"layer of {self.name!r}", name, [spec.name for spec in self.layers])


def _conv(name: str, channels: int, kernel: int, **options) -> LayerSpec:
    return LayerSpec(name, "conv", channels=channels, kernel=kernel, **options)


def _fc(name: str, channels: int, **options) -> LayerSpec:
    return LayerSpec(name, "fc", channels=channels, **options)


def _relu(name: str) -> LayerSpec:
    return LayerSpec(name, "relu")


def _pool(name: str, rounding: str = "floor", **options) -> LayerSpec:
    settings = {"kernel": 3, "stride": 2} | options  # overlapping, everywhere [P §3.4]
    return LayerSpec(name, "max_pool", rounding=rounding, **settings)


def _lrn(name: str, convention: str, groups: int = 1, **options) -> LayerSpec:
    paper, k = CONVENTIONS["paper"], CONVENTIONS[convention].k
    settings = {"size": paper.size, "alpha": paper.alpha, "beta": paper.beta, "k": k} | options
    return LayerSpec(name, "lrn", convention=convention, groups=groups, **settings)


def _head(
    num_classes: int, units: int = 4096, std: float = 0.01, hidden_std: float = 0.01,
    bias: float = 1.0, inverted: bool = False,
) -> tuple[LayerSpec, ...]:
    """The three fully connected layers, each hidden one followed by dropout [P §3.5, §4.2]."""
    stages: list[LayerSpec] = [LayerSpec("flatten", "flatten")]
    for number in (6, 7):
        stages += [
            _fc(f"fc{number}", units, weight_std=hidden_std, bias=bias),
            _relu(f"relu{number}"),
            LayerSpec(f"drop{number}", "dropout", keep=0.5, inverted=inverted),
        ]
    return (*stages, _fc("fc8", num_classes, weight_std=std))


def _body(
    channels: tuple[int, ...], groups: int, norm: tuple[LayerSpec, LayerSpec], bias: float = 1.0,
) -> tuple[LayerSpec, ...]:
    """The five convolutions in the paper's order: conv, ReLU, LRN, pool [P §3.5]."""
    one, two, three, four, five = channels
    return (
        _conv("conv1", one, 11, stride=4, weight_std=0.01),
        _relu("relu1"), norm[0], _pool("pool1"),
        _conv("conv2", two, 5, padding=2, groups=groups, weight_std=0.01, bias=bias),
        _relu("relu2"), norm[1], _pool("pool2"),
        _conv("conv3", three, 3, padding=1, weight_std=0.01),
        _relu("relu3"),
        _conv("conv4", four, 3, padding=1, groups=groups, weight_std=0.01, bias=bias),
        _relu("relu4"),
        _conv("conv5", five, 3, padding=1, groups=groups, weight_std=0.01, bias=bias),
        _relu("relu5"), _pool("pool5"),
    )


def _plain(name: str, channels: tuple[int, ...], groups: int, source: str, num_classes: int):
    norm = (_lrn("lrn1", "paper", groups), _lrn("lrn2", "paper", groups))
    return NetworkSpec(name, 227, _body(channels, groups, norm) + _head(num_classes), source=source)


def _paper(num_classes: int) -> NetworkSpec:
    return _plain("paper", (96, 256, 384, 384, 256), 2, "[P §3.5, §5]", num_classes)


def _one_tower(num_classes: int) -> NetworkSpec:
    return _plain("one_tower", (48, 128, 192, 192, 256), 1, "[S layers-145-half.cfg]", num_classes)


def _ungrouped(num_classes: int) -> NetworkSpec:
    return _plain(
        "ungrouped", (96, 256, 384, 384, 256), 1, "the paper's widths on one device", num_classes
    )


def _caffe(num_classes: int) -> NetworkSpec:
    norm = (_lrn("lrn1", "caffe"), _lrn("lrn2", "caffe"))  # all channels, across the towers
    layers = _body((96, 256, 384, 384, 256), 2, norm, bias=0.1)
    head = _head(num_classes, hidden_std=0.005, bias=0.1, inverted=True)
    return NetworkSpec("caffe", 227, layers + head, source="[C]")


def _source2012(num_classes: int) -> NetworkSpec:
    """Config 145 as it ran [S layers-145.cfg, layer-params-145.cfg:137-155]."""
    layers = (
        _conv("conv1", 96, 11, stride=4, rounding="ceil", weight_std=0.01),
        _lrn("lrn1", "source2012", groups=2), _pool("pool1", "ceil"), _relu("relu1"),
        _conv("conv2", 256, 5, padding=2, groups=2, rounding="ceil", weight_std=0.01, bias=1.0),
        _relu("relu2"), _lrn("lrn2", "source2012", groups=2),
        # The norm within each map has no minDiv in the file: 1 is cuda-convnet's default.
        LayerSpec("map_norm2", "same_map_norm", size=5, alpha=1e-3, beta=0.75, k=1.0),
        _pool("pool2", "ceil"),
        _conv("conv3", 384, 3, padding=1, rounding="ceil", weight_std=0.03),
        _relu("relu3"),
        _conv("conv4", 384, 3, padding=1, groups=2, rounding="ceil", weight_std=0.03, bias=1.0),
        _relu("relu4"),
        _conv("conv5", 256, 3, padding=1, groups=2, rounding="ceil", weight_std=0.03, bias=1.0),
        _pool("pool5", "ceil"), _relu("relu5"),
    )
    return NetworkSpec("source2012", 224, layers + _head(num_classes), source="[S layers-145.cfg]")


def _torchvision(num_classes: int) -> NetworkSpec:
    layers = (
        _conv("conv1", 64, 11, stride=4, padding=2), _relu("relu1"), _pool("pool1"),
        _conv("conv2", 192, 5, padding=2), _relu("relu2"), _pool("pool2"),
        _conv("conv3", 384, 3, padding=1), _relu("relu3"),
        _conv("conv4", 256, 3, padding=1), _relu("relu4"),
        _conv("conv5", 256, 3, padding=1), _relu("relu5"), _pool("pool5"),
        LayerSpec("average", "adaptive_pool", size=6),
        LayerSpec("flatten", "flatten"),
        LayerSpec("drop6", "dropout", keep=0.5, inverted=True), _fc("fc6", 4096), _relu("relu6"),
        LayerSpec("drop7", "dropout", keep=0.5, inverted=True), _fc("fc7", 4096), _relu("relu7"),
        _fc("fc8", num_classes),
    )
    return NetworkSpec("torchvision", 224, layers, numbered=True, source="[T]")


VARIANTS = {
    "paper": _paper,
    "source2012": _source2012,
    "caffe": _caffe,
    "one_tower": _one_tower,
    "ungrouped": _ungrouped,
    "torchvision": _torchvision,
}


def network(variant: str = "paper", num_classes: int = 1000) -> NetworkSpec:
    """Return the stages of one variant of AlexNet.

    variant: a name in VARIANTS. num_classes: units of the last layer, at least 1.
    Raises ValueError for an unknown variant or a num_classes below 1.
    """
    if variant not in VARIANTS:
        raise unknown_name("variant", variant, VARIANTS)
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}; a network needs at least 1 class.")
    return VARIANTS[variant](num_classes)


def small_network(
    input_size: int = 28, input_channels: int = 1, num_classes: int = 10,
    channels: tuple[int, ...] = (32, 32, 64), activation: str = "relu",
    lrn: LayerSpec | None = None, pool_kernel: int = 3, pool_stride: int = 2,
) -> NetworkSpec:
    """Return a small network in AlexNet's manner, for experiments that last minutes.

    Every block is a 5x5 convolution, the activation, `lrn` where one is given (after the first
    two blocks, as in [P §3.5]) and max-pooling; one fully connected layer ends it.
    channels: kernels of each block. activation: relu, tanh or sigmoid.
    Raises ValueError for an unknown activation.
    """
    if activation not in ("relu", "tanh", "sigmoid"):
        raise unknown_name("activation", activation, ("relu", "tanh", "sigmoid"))
    stages: list[LayerSpec] = []
    for number, width in enumerate(channels, start=1):
        stages += [
            _conv(f"conv{number}", width, 5, padding=2),
            LayerSpec(f"{activation}{number}", activation),
        ]
        if lrn is not None and number <= 2:
            stages.append(replace(lrn, name=f"lrn{number}"))
        stages.append(_pool(f"pool{number}", kernel=pool_kernel, stride=pool_stride))
    stages += [LayerSpec("flatten", "flatten"), _fc("fc", num_classes)]
    return NetworkSpec("small", input_size, tuple(stages), input_channels, source="this course")
