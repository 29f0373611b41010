"""Every fact about AlexNet that can be computed, held against the models: `alexnet_lib verify`."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .. import architectures, augment, models, ops, optim, shapes, training
from ..datasets import ImageSet
from ..paper import CONVENTIONS
from . import reference_values
from .reference_values import Result, close, equal

__all__ = ["Result", "checks", "report"]

LONE_ONE = [0.0] * 5 + [1.0] + [0.0] * 4
NINE_AMONG_EIGHTS = [8.0] * 5 + [9.0] + [8.0] * 4


def _random(*shape: int, seed: int = 2012) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _agree(name: str, one: torch.Tensor, other: torch.Tensor, tolerance: float = 1e-9) -> Result:
    largest = (one - other).abs().max().item() if one.shape == other.shape else float("inf")
    return close(f"{name}: largest difference", 0, largest, tolerance)


def _differ(name: str, one: torch.Tensor, other: torch.Tensor) -> Result:
    same = one.shape == other.shape and torch.allclose(one, other)
    return equal(f"{name}: the same", False, same)


def _lrn_rows() -> list[Result]:
    def row(values: list[float], **settings: Any) -> list[float]:
        article = {"size": 2, "alpha": 2.0, "beta": 2.0, "k": 0.0, "convention": "seed"}
        x = torch.tensor([values], dtype=torch.float64)
        return ops.local_response_norm(x, **(article | settings))[0].tolist()

    hundreds = torch.full((1, 10), 100.0, dtype=torch.float64)
    factors = {"source2012": 0.438691, "paper": 0.232368, "pytorch": 0.594604}
    eights = row(NINE_AMONG_EIGHTS)
    return [
        equal("0000010000, kappa 0 (0/0 is 0)", LONE_ONE, row(LONE_ONE)),
        equal("0000010000, kappa 1", [0.25 * v for v in LONE_ONE], row(LONE_ONE, k=1.0)),
        close("8888898888: both ends", [8 / 128**2] * 2, [eights[0], eights[9]], 1e-12),
        close("8888898888: beside the 9", [8 / 209**2] * 2, [eights[4], eights[6]], 1e-12),
        close("8888898888: the 9", 9 / 209**2, eights[5], 1e-12),
        close("8888898888: the other 8s", [8 / 192**2] * 5, eights[1:4] + eights[7:9], 1e-12),
        *(
            close(f"factor where all channels are 100, {convention}", factor,
                  ops.local_response_norm(hundreds, convention=convention)[0, 5].item() / 100,
                  5e-7)
            for convention, factor in factors.items()
        ),
    ]


def _lrn_conventions() -> list[Result]:
    x = 3 * _random(2, 9, 4)
    windows = {  # size 4, or a radius of 4, and what it reaches behind and ahead
        "paper": (2, 2), "seed": (2, 2), "source2012": (2, 1), "pytorch": (2, 1),
        "tensorflow": (4, 4), "cudnn": (1, 2), "onnx": (1, 2),
    }
    divided = {"paper": 1, "tensorflow": 1}
    results = []
    for convention in CONVENTIONS:
        size = 4 if convention in windows else 5
        settings = (size, 0.3, 0.6, 1.5, convention)
        ours = ops.local_response_norm(x, *settings)
        loops = ops.local_response_norm_loops(x, *settings)
        results += [
            equal(f"{convention}, size {size}: channels behind and ahead",
                  list(windows.get(convention, (2, 2))), list(ops.window(convention, size))),
            close(f"{convention}, size 5: c / alpha", 1 / divided.get(convention, 5),
                  ops.coefficient(convention, 5, 1.0), 1e-15),
            _agree(f"{convention}, tensor and loops", ours, loops),
        ]
    return results


def _lrn_conversions() -> list[Result]:
    x = 30 * _random(2, 12, 4)

    def lrn(*settings: Any) -> torch.Tensor:
        return ops.local_response_norm(x, *settings)

    code = lrn(5, 1e-4, 0.75, 2.0, "source2012")
    printed = lrn(5, 1e-4, 0.75, 2.0, "paper")
    results = [
        _agree("PyTorch's own module", lrn(5, 0.02, 0.75, 1.5, "pytorch"),
               nn.LocalResponseNorm(5, 0.02, 0.75, 1.5)(x)),
        _agree("PyTorch's own module, size 4", lrn(4, 0.02, 0.75, 1.5, "pytorch"),
               nn.LocalResponseNorm(4, 0.02, 0.75, 1.5)(x)),
        _agree("the 2012 code in PyTorch: k 2", code, lrn(5, 1e-4, 0.75, 2.0, "pytorch")),
        _agree("the 2012 code in TensorFlow: radius 2, alpha 2e-5", code,
               lrn(2, 2e-5, 0.75, 2.0, "tensorflow")),
        _differ("the 2012 code and the printed formula", code, printed),
        _agree("the article with r 2, alpha 2: size 3, alpha 3", lrn(2, 2.0, 2.0, 1.0, "seed"),
               lrn(3, 3.0, 2.0, 1.0, "pytorch")),
        _agree("the article with r 4: size 5, alpha 5/4", lrn(4, 0.4, 0.75, 1.0, "seed"),
               lrn(5, 0.5, 0.75, 1.0, "pytorch")),
    ]
    for convention in ("pytorch", "caffe", "cudnn", "onnx"):
        results.append(_agree(
            f"the printed formula in {convention}: alpha 5e-4", printed,
            lrn(5, 5e-4, 0.75, 2.0, convention),
        ))
    ones = ops.local_response_norm(torch.ones(1, 8), 5, 1.0, 0.75, 1.0, "pytorch")[0]
    half = torch.tensor([[0.01] * 8], dtype=torch.bfloat16)
    wide = ops.local_response_norm(half.float(), 5, 1.0, 0.75, 2.0, "pytorch").bfloat16()
    return [
        *results,
        equal("the first channel is normalized less than an inner one", True,
              bool(ones[0] > ones[3])),
        equal("bfloat16 is computed in float32", True,
              torch.equal(ops.local_response_norm(half, 5, 1.0, 0.75, 2.0, "pytorch"), wide)),
    ]


def _first_layer() -> list[Result]:
    image, weight = _random(1, 3, 224, 224), _random(4, 3, 11, 11, seed=1)
    ceil = ops.conv2d(image, weight, stride=4, rounding="ceil")
    far = ops.conv2d(F.pad(image, (0, 3, 0, 3)), weight, stride=4)
    even = ops.conv2d(image, weight, stride=4, padding=2)
    x = _random(2, 16, 15, 15)
    settings = (5, 1.0, 0.75, 1.0)
    relu_first = ops.local_response_norm(x.relu(), *settings)
    relu_last = ops.local_response_norm(x, *settings).relu()
    return [
        equal("conv1 of a 224 image, rounded up: side", 55, ceil.shape[3]),
        _agree("the same with 3 zeros on the right and at the bottom", ceil, far),
        _differ("the same with 2 zeros on every side", ceil, even),
        _agree("ReLU, max-pool and max-pool, ReLU", ops.max_pool2d(x.relu()),
               ops.max_pool2d(x).relu()),
        _differ("ReLU, LRN and LRN, ReLU on signed input", relu_first, relu_last),
    ]


def _two_towers() -> list[Result]:
    x, weight, bias = _random(1, 96, 9, 9), _random(256, 48, 5, 5, seed=1), _random(256, seed=2)
    grouped = ops.conv2d(x, weight, bias, padding=2, groups=2)
    towers = [
        ops.conv2d(x[:, 48 * t : 48 * t + 48], weight[128 * t : 128 * t + 128],
                   bias[128 * t : 128 * t + 128], padding=2)
        for t in range(2)
    ]
    inputs, kernels, shift = _random(1, 256, 7, 7), _random(8, 256, 3, 3, seed=1), _random(8)
    sums = sum(
        ops.conv2d(inputs[:, half], kernels[:, half], padding=1)
        for half in (slice(0, 128), slice(128, 256))
    )
    results = [
        _agree("grouped convolution and two towers", grouped, torch.cat(towers, dim=1), 1e-8),
        _agree("conv3 and two half-input convolutions, one bias", sums + shift[:, None, None],
               ops.conv2d(inputs, kernels, shift, padding=1), 1e-8),
    ]
    for channels in (96, 256):
        x = 30 * _random(2, channels, 3, 3)
        per_half = ops.local_response_norm(x, groups=2)
        halves = [ops.local_response_norm(half) for half in x.chunk(2, dim=1)]
        full = ops.local_response_norm(x)
        changed = (full != per_half).any(dim=(0, 2, 3)).nonzero().flatten()  # (K,)
        middle = channels // 2
        results += [
            _agree(f"LRN per half of {channels} channels", per_half, torch.cat(halves, dim=1)),
            equal(f"channels of {channels} that full-width LRN changes",
                  list(range(middle - 2, middle + 2)), changed.tolist()),
        ]
    return results


def _built() -> list[Result]:
    """Every variant as torch modules (without memory): parameters, and every stage's shape."""
    results = []
    for variant, count in reference_values.PARAMETERS.items():
        model = models.blueprint(architectures.network(variant))
        results.append(equal(
            f"parameters of the {variant} model", count, sum(p.numel() for p in model.parameters())
        ))
        seen = _stage_shapes(model)
        differing = [row.name for row in shapes.walk(model.spec) if seen[row.name] != row.output]
        results.append(equal(f"stages of {variant} whose shape isn't as computed", [], differing))
    return results


def _stage_shapes(model: models.Net) -> dict[str, tuple[int, ...]]:
    """Return the shape of each stage's output for one image, from a pass without numbers."""
    seen: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Any:
        return lambda module, inputs, output: seen.update({name: tuple(output.shape[1:])})

    for name in model.stages:
        model.stage(name).register_forward_hook(note(name))
    side = model.spec.input_size
    model(torch.empty(1, model.spec.input_channels, side, side, device="meta"))
    return seen


def _torchvision() -> list[Result]:
    from torchvision.models import alexnet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = alexnet(weights=None, num_classes=100).eval()
    ours = models.blueprint(architectures.network("torchvision", 100)).eval()
    keys = ours.load_state_dict(theirs.state_dict(), assign=True)
    x = _random(2, 3, 224, 224).float()
    with torch.no_grad():
        return [
            equal("torchvision's state dict: keys missing or unknown", 0,
                  len(keys.missing_keys) + len(keys.unexpected_keys)),
            _agree("torchvision's output", ours(x), theirs(x), 0.0),
        ]


def _initialization() -> list[Result]:
    expected = {  # variant: standard deviations, biases, of conv1 to fc8
        "paper": ([0.01] * 8, [0, 1, 0, 1, 1, 1, 1, 0]),
        "source2012": ([0.01] * 2 + [0.03] * 3 + [0.01] * 3, [0, 1, 0, 1, 1, 1, 1, 0]),
        "caffe": ([0.01] * 5 + [0.005] * 2 + [0.01], [0, 0.1, 0, 0.1, 0.1, 0.1, 0.1, 0]),
    }
    results = []
    for variant, (deviations, biases) in expected.items():
        layers = [x for x in architectures.network(variant).layers if x.kind in ("conv", "fc")]
        results += [
            equal(f"initial deviations, {variant}", deviations, [x.weight_std for x in layers]),
            equal(f"initial biases, {variant}", biases, [x.bias for x in layers]),
        ]
    spec = architectures.network("source2012")
    convolutions = replace(spec, layers=spec.layers[: spec.layers.index(spec.layer("flatten"))])
    model = models.build(convolutions, seed=0)
    drawn = [model.stage(f"conv{i}").weight.std().item() for i in range(1, 6)]
    asked = [0.01, 0.01, 0.03, 0.03, 0.03]
    return [*results, close("deviations drawn in conv1 to conv5", asked, drawn, 3e-4)]


def _learning() -> list[Result]:
    weight, bias = nn.Parameter(torch.tensor([2.0])), nn.Parameter(torch.tensor([2.0]))
    groups = [
        {"params": [weight], "weight_decay": 0.5}, {"params": [bias], "weight_decay": 0.0},
    ]
    rule = optim.SGD2012(groups, lr=0.1, momentum=0.9)
    path = []
    for _ in range(2):
        weight.grad, bias.grad = torch.tensor([1.0]), torch.tensor([1.0])
        rule.step()
        path += [weight.item(), bias.item()]
    x = torch.ones(200_000)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2012)
        masked = ops.mask_dropout(x, 0.5, training=True).mean().item()
        inverted = ops.mask_dropout(x, 0.5, training=True, inverted=True).mean().item()
    at_test = ops.mask_dropout(x, 0.5, training=False).mean().item()
    # v = -.1 (1 + .5 * 2) = -.2, w = 1.8; v = .9 v - .1 (1 + .5 * 1.8) = -.37, w = 1.43
    return [
        close("one step of weight and bias, then another", [1.8, 1.9, 1.43, 1.71], path, 1e-6),
        close("mean under a plain mask, and at test", [0.5, 0.5], [masked, at_test], 0.005),
        close("mean under inverted dropout", 1.0, inverted, 0.01),
    ]


def _ten_views() -> list[Result]:
    pixels = np.random.default_rng(2012).integers(0, 256, (6, 12, 12, 3)).astype(np.uint8)
    images = ImageSet(pixels, np.arange(6) % 3, ["a", "b", "c"], "noise", "val")
    net = models.build(architectures.small_network(8, 3, 3, (4,)), seed=0).eval()
    mean = torch.zeros(3)
    measured = training.evaluate(net, images, mean, ten_crop=True)["loss"]
    views = augment.ten_crop(torch.from_numpy(pixels), 8)
    with torch.no_grad():
        logits = net(augment.to_input(views.flatten(0, 1), mean)).unflatten(0, (6, 10))
    labels = torch.from_numpy(images.labels)
    probabilities = F.nll_loss(logits.softmax(2).mean(1).clamp_min(1e-12).log(), labels).item()
    other = F.cross_entropy(logits.mean(1), labels).item()
    return [
        equal("views of a picture", [10, 8, 8, 3], list(views.shape[1:])),
        equal("the last five mirror the first", True,
              torch.equal(views[:, 5:], views[:, :5].flip(3))),
        close("loss of the mean probabilities", probabilities, measured, 1e-5),
        equal("the mean of logits gives another", True, abs(other - measured) > 1e-3),
    ]


def checks() -> list[Result]:
    """Return every check, in the order of the table that `report` prints; takes some seconds."""
    return reference_values.checks() + reference_values.run_groups({
        "LRN: the article's rows and three constants": _lrn_rows,
        "LRN: the conventions": _lrn_conventions,
        "LRN: from one convention to another": _lrn_conversions,
        "the first layer": _first_layer,
        "two towers": _two_towers,
        "the models": _built,
        "torchvision": _torchvision,
        "initialization": _initialization,
        "learning": _learning,
        "ten views": _ten_views,
    })


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float | list | tuple):
        return str(value)
    if isinstance(value, list | tuple):
        return " ".join(_text(part) for part in value) or "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def report() -> int:
    """Print every check with expected and got; return 0 if all hold, else 1."""
    started = time.monotonic()
    results = checks()
    seconds = time.monotonic() - started
    marks = ("✓", "✗")
    try:
        "".join(marks).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        marks = ("ok", "NO")
    width = max(len(result.name) for result in results)
    group = None
    for result in results:
        if result.group != group:
            group = result.group
            print(f"\n{group}")
        mark = marks[0 if result.ok else 1]
        expected, got = _text(result.expected), _text(result.got)
        print(f"  {mark} {result.name:<{width}}  {expected} | {got}")
    failed = sum(not result.ok for result in results)
    print(f"\n{len(results) - failed} of {len(results)} checks hold ({seconds:.1f} s)")
    return 1 if failed else 0
