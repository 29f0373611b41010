"""AlexNet and its relatives, built from LayerSpecs.

Modules bear the names of their stages: `model.features.conv1`, `model.classifier.fc6`; in the
variant "torchvision" they are numbered as in torchvision, so that its state dict loads.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import nn

from . import architectures, ops, shapes
from .architectures import LayerSpec, NetworkSpec
from .kernels.fused import FusedSequential

__all__ = [
    "Conv2d", "LRN", "MaskDropout", "MaxPool2d", "Net", "SameMapNorm", "alexnet",
    "blueprint", "build", "stage_module", "stage_paths", "starting_values",
]


def alexnet(variant: str = "paper", num_classes: int = 1000, seed: int | None = None) -> Net:
    """Build one variant of AlexNet, initialized as that variant is.

    variant: paper, source2012, caffe, one_tower, ungrouped or torchvision. num_classes: units of
    the last layer. seed: draws the weights without touching torch's global state.
    Raises ValueError for an unknown variant, with the nearest name.
    """
    return build(architectures.network(variant, num_classes), seed)


class Net(nn.Module):
    """A network built from a NetworkSpec: `features` over maps, then `classifier` over vectors.

    spec: what it was built from. Takes (N, C, H, W) images of spec.input_size, mean subtracted,
    on the scale 0 to 255; gives (N, classes) logits.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.stages = stage_paths(spec)
        parts: dict[str, OrderedDict[str, nn.Module]] = {
            "features": OrderedDict(), "classifier": OrderedDict(),
        }
        shape: tuple[int, ...] = (spec.input_channels, spec.input_size, spec.input_size)
        for layer, row in zip(spec.layers, shapes.walk(spec), strict=True):
            module = stage_module(layer, shape)
            part, _, key = self.stages[layer.name].rpartition(".")
            if part:
                parts[part][key] = module
            else:
                self.add_module(key, module)
            shape = row.output
        self.features = FusedSequential(parts["features"])
        self.classifier = nn.Sequential(parts["classifier"])
        self._between = [name for name in self.stages if "." not in self.stages[name]]

    def stage(self, name: str) -> nn.Module:
        """Return the module of a stage by the stage's name, such as "conv1"."""
        self.spec.layer(name)
        return self.get_submodule(self.stages[name])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.features(x)
        for name in self._between:
            x = getattr(self, name)(x)
        return self.classifier(x)

    @torch.no_grad()
    def initialize(
        self, seed: int | None = None, biases: dict[str, float] | None = None, he: bool = False,
        weight_std: dict[str, float] | None = None,
    ) -> Net:
        """Draw all weights anew, as the stages say.

        seed: for the weights alone; torch's global state is left as it was, None uses it.
        he: He initialization and zero biases instead of what the stages say. biases, weight_std:
        initial biases and standard deviations of single stages, which override either. A
        stage without a standard deviation keeps torch's own rule.
        """
        parameters = dict(self.named_parameters())
        for name, values in starting_values(self.spec, seed, biases, he, weight_std):
            parameters[name].copy_(values)
        return self


def build(spec: NetworkSpec, seed: int | None = None) -> Net:
    """Build any NetworkSpec and initialize it; seed as in `Net.initialize`."""
    net = blueprint(spec)  # torch's own first draw of the weights would be thrown away
    for module in net.modules():
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(torch.empty(parameter.shape)))
    return net.initialize(seed)


def blueprint(spec: NetworkSpec) -> Net:
    """Build a network without memory for its weights (on torch's device "meta"): shapes alone."""
    with torch.device("meta"):
        return Net(spec)


def stage_module(spec: LayerSpec, inputs: tuple[int, ...]) -> nn.Module:
    """Build one stage; inputs is the shape it gets, (C, H, W) or (C,)."""
    if spec.kind == "conv":
        window = (spec.kernel, spec.stride, spec.padding)
        return Conv2d(
            inputs[0], spec.channels, *window, groups=spec.groups, rounding=spec.rounding
        )
    if spec.kind == "fc":
        return nn.Linear(inputs[0], spec.channels)
    if spec.kind == "dropout":
        return MaskDropout(spec.keep, spec.inverted)
    window, ceil_mode = (spec.kernel, spec.stride, spec.padding), spec.rounding == "ceil"
    return {
        "relu": lambda: nn.ReLU(inplace=True),
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
        "lrn": lambda: LRN(spec),
        "same_map_norm": lambda: SameMapNorm(spec),
        "max_pool": lambda: MaxPool2d(*window, ceil_mode=ceil_mode),
        "average_pool": lambda: nn.AvgPool2d(*window, ceil_mode, count_include_pad=False),
        "adaptive_pool": lambda: nn.AdaptiveAvgPool2d(spec.size),
        "flatten": nn.Flatten,
    }[spec.kind]()


class Conv2d(nn.Conv2d):
    """torch's convolution by way of `ops`, which is faster on large batches on a CPU.

    rounding: with "ceil" the last windows may stick out on the right and at the bottom.
    """

    def __init__(self, *arguments: int, groups: int = 1, rounding: str = "floor") -> None:
        super().__init__(*arguments, groups=groups)
        self.rounding = rounding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return ops.conv2d(
            x, self.weight, self.bias, self.stride[0], self.padding[0], self.groups, self.rounding
        )


class LRN(nn.Module):
    """Local response normalization; with groups=2 no window crosses between the towers."""

    takes_relu = True  # see kernels.fused

    def __init__(self, spec: LayerSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, x: torch.Tensor, relu: bool = False) -> torch.Tensor:
        """(N, C, H, W) -> the same; relu: take x through a ReLU first, in the same pass."""
        s = self.spec
        constants = (s.size, s.alpha, s.beta, s.k, s.convention, s.groups)
        return ops.local_response_norm(x, *constants, relu=relu)

    def extra_repr(self) -> str:
        s = self.spec
        window = f"size={s.size}, alpha={s.alpha}, beta={s.beta}, k={s.k}"
        return f"{window}, {s.convention!r}, groups={s.groups}"


class MaxPool2d(nn.MaxPool2d):
    """torch's max-pooling, by way of `ops`: the same to the bit, with one byte kept a window."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rounding = "ceil" if self.ceil_mode else "floor"
        return ops.max_pool2d(x, self.kernel_size, self.stride, self.padding, rounding)


class MaskDropout(nn.Module):
    """Dropout as in 2012: a plain mask in training, a factor `keep` at test.

    inverted: divide by `keep` in training instead, as today. parts, part: where a layer's units
    lie on several devices, into how many equal parts they are cut and which this one is. Every
    process draws the mask of the whole batch and layer, and uses its own part of it: so the run
    is the same however it is spread. `rows` says which pictures of the batch are here.
    """

    def __init__(
        self, keep: float = 0.5, inverted: bool = False, parts: int = 1, part: int = 0
    ) -> None:
        super().__init__()
        self.keep, self.inverted, self.parts, self.part = keep, inverted, parts, part
        self.rows: tuple[int, int] | None = None  # the first picture here, pictures in all

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, total = self.rows if self.training and self.rows else (0, len(x))
        units = x.shape[1]
        whole, corner = (total, units * self.parts), (first, units * self.part)
        return ops.mask_dropout(x, self.keep, self.training, self.inverted, whole, corner)

    def extra_repr(self) -> str:
        return f"keep={self.keep}" + (", inverted" if self.inverted else "")


class SameMapNorm(nn.Module):
    """Normalization within each map, which followed the LRN of layer 2 in 2012."""

    def __init__(self, spec: LayerSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return ops.same_map_norm(x, self.spec.size, self.spec.alpha, self.spec.beta, self.spec.k)


def stage_paths(spec: NetworkSpec) -> dict[str, str]:
    """Return where each stage's module lies in a Net, such as conv1: features.conv1."""
    paths, part, count = {}, "features", 0
    for layer in spec.layers:
        if layer.kind in ("adaptive_pool", "flatten"):
            paths[layer.name] = layer.name
            part, count = "classifier", 0
            continue
        paths[layer.name] = f"{part}.{count if spec.numbered else layer.name}"
        count += 1
    return paths


def starting_values(
    spec: NetworkSpec, seed: int | None = None, biases: dict[str, float] | None = None,
    he: bool = False, weight_std: dict[str, float] | None = None,
) -> Iterator[tuple[str, torch.Tensor]]:
    """Draw a network's first weights and biases, one parameter after another, by name.

    Arguments as in `Net.initialize`. The draws are the same on every machine and device.
    """
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    paths, before = stage_paths(spec), (spec.input_channels,)
    for layer, row in zip(spec.layers, shapes.walk(spec), strict=True):
        inputs, before = before, row.output
        if layer.kind not in shapes.WEIGHTED:
            continue
        window = (layer.kernel, layer.kernel) if layer.kind == "conv" else ()
        weight = torch.empty(layer.channels, inputs[0] // layer.groups, *window)
        bias = torch.empty(layer.channels)
        value = 0.0 if he else layer.bias
        given = (weight_std or {}).get(layer.name)
        std = layer.weight_std if given is None else given
        if he and given is None:
            nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
        elif std is None:
            nn.init.kaiming_uniform_(weight, a=5**0.5, generator=generator)
            fan_in = weight[0].numel()
            bias.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator)
            value = None
        else:
            weight.normal_(0, std, generator=generator)
        value = (biases or {}).get(layer.name, value)
        if value is not None:
            bias.fill_(value)
        yield f"{paths[layer.name]}.weight", weight
        yield f"{paths[layer.name]}.bias", bias
