"""The numbers of AlexNet that follow from its layers alone, each held against a known value.

`verification` adds those that need tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from .. import architectures, shapes
from ..architectures import LayerSpec, NetworkSpec
from ..paper import ERRORS_2012, TRANSFERS

__all__ = ["Result", "checks", "close", "equal", "run_groups"]

PARAMETERS = {
    "paper": 60_965_224, "source2012": 60_965_224, "caffe": 60_965_224,
    "one_tower": 59_798_312, "ungrouped": 62_378_344, "torchvision": 61_100_840,
}
MACS = {
    "paper": 724_406_816, "ungrouped": 1_135_256_096, "one_tower": 391_514_384,
    "torchvision": 714_188_480,
}
LAYERS = {  # stage: output side (1 for a vector), parameters, MACs
    "conv1": (55, 34_944, 105_415_200),
    "conv2": (27, 307_456, 223_948_800),
    "conv3": (13, 885_120, 149_520_384),
    "conv4": (13, 663_936, 112_140_288),
    "conv5": (13, 442_624, 74_760_192),
    "fc6": (1, 37_752_832, 37_748_736),
    "fc7": (1, 16_781_312, 16_777_216),
    "fc8": (1, 4_097_000, 4_096_000),
}
SIDES = {
    "conv1": 55, "pool1": 27, "conv2": 27, "pool2": 13, "conv3": 13, "conv4": 13, "conv5": 13,
    "pool5": 6, "flatten": 9216,
}
RECEPTIVE_FIELDS = {
    "conv1": (11, 4), "pool1": (19, 8), "conv2": (51, 8), "pool2": (67, 16), "conv3": (99, 16),
    "conv4": (131, 16), "conv5": (163, 16), "pool5": (195, 32),
}
FIG2_NEURONS = (253_440, 186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000)
BATCH = 128


@dataclass(frozen=True)
class Result:
    """One check: what it is about, what is expected, what came out, whether they agree."""

    name: str
    expected: Any
    got: Any
    ok: bool
    group: str = ""


def equal(name: str, expected: Any, got: Any) -> Result:
    """Return the check that `got` is `expected`, exactly."""
    return Result(name, expected, got, bool(expected == got))


def close(name: str, expected: Any, got: Any, tolerance: float) -> Result:
    """Return the check that a number, or each of a row, lies within `tolerance` of the expected.

    tolerance: absolute, in the numbers' own unit.
    """
    rows = [[value] if isinstance(value, int | float) else list(value) for value in (expected, got)]
    ok = len(rows[0]) == len(rows[1]) and all(
        abs(one - other) <= tolerance for one, other in zip(*rows, strict=True)
    )
    return Result(name, expected, got, ok)


def run_groups(groups: dict[str, Callable[[], Iterable[Result]]]) -> list[Result]:
    """Run groups of checks by title; a group that breaks counts as one failed check."""
    results = []
    for title, group in groups.items():
        try:
            results += [replace(result, group=title) for result in group()]
        except Exception as error:  # a broken model is a failed check, not the end of the table
            message = f"{type(error).__name__}: {error}"
            results.append(Result("the checks run", "no error", message, False, title))
    return results


def _sides(spec: NetworkSpec, names: Iterable[str], input_size: int | None = None) -> list[int]:
    outputs = {row.name: row.output for row in shapes.walk(spec, input_size)}
    return [outputs[name][-1] for name in names]


def _parameters() -> list[Result]:
    results = [
        equal(
            f"parameters, {variant}",
            count,
            shapes.totals(architectures.network(variant)).parameters,
        )
        for variant, count in PARAMETERS.items()
    ]
    totals = shapes.totals(architectures.network("paper"))
    rows = {row.name: row for row in shapes.walk(architectures.network("paper"))}
    results += [
        equal("biases", 10_568, totals.biases),
        equal("parameters of the convolutions", 2_334_080, totals.conv_parameters),
        equal("parameters of the fully connected layers", 58_631_144, totals.fc_parameters),
        equal("parameters, TF slim alexnet_v2", 50_303_912, shapes.totals(_slim()).parameters),
    ]
    results += [
        equal(f"parameters of {name}", count, rows[name].parameters)
        for name, (_, count, _) in LAYERS.items()
    ]
    share = 100 * totals.conv_parameters / totals.parameters
    thirds = [100 * rows[name].parameters / totals.parameters for name in ("conv3", "conv4")]
    return [
        *results,
        close("share of the convolutions, %", 3.8, share, 0.05),
        close("share of conv3 and conv4 (the paper: at most 1), %", [1.45, 1.09], thirds, 0.005),
    ]


def _slim() -> NetworkSpec:
    """The network of TF slim's alexnet_v2, whose fc6 is a 5 x 5 convolution."""
    def conv(name: str, channels: int, kernel: int, **options: int) -> LayerSpec:
        return LayerSpec(name, "conv", channels=channels, kernel=kernel, **options)

    def pool(name: str) -> LayerSpec:
        return LayerSpec(name, "max_pool", kernel=3, stride=2)

    return NetworkSpec("alexnet_v2", 224, (
        conv("conv1", 64, 11, stride=4), pool("pool1"), conv("conv2", 192, 5, padding=2),
        pool("pool2"), conv("conv3", 384, 3, padding=1), conv("conv4", 384, 3, padding=1),
        conv("conv5", 256, 3, padding=1), pool("pool5"), conv("fc6", 4096, 5),
        conv("fc7", 4096, 1), conv("fc8", 1000, 1),
    ))


def _macs() -> list[Result]:
    rows = {row.name: row for row in shapes.walk(architectures.network("paper"))}
    totals = shapes.totals(architectures.network("paper"))
    results = [
        equal(f"MACs of {name}", macs, rows[name].macs) for name, (_, _, macs) in LAYERS.items()
    ]
    results += [
        equal(f"MACs, {variant}", count, shapes.totals(architectures.network(variant)).macs)
        for variant, count in MACS.items()
    ]
    share = 100 * totals.conv_macs / totals.macs
    return [*results, close("share of the convolutions, %", 91.9, share, 0.05)]


def _shapes() -> list[Result]:
    paper, source = architectures.network("paper"), architectures.network("source2012")
    sides, names = list(SIDES.values()), list(SIDES)
    without_overlap = replace(source, layers=tuple(_apart(layer) for layer in source.layers))
    maps = [name for name in names if name != "flatten"]
    fields = {row.name: (row.receptive_field, row.jump) for row in shapes.walk(paper)}
    return [
        equal("sides of the maps, paper at 227", sides, _sides(paper, names)),
        equal("sides of the maps, source2012 at 224", sides, _sides(source, names)),
        equal("conv1 of the paper at 224, rounded down", [54], _sides(paper, ["conv1"], 224)),
        equal("pool1 of 54, rounded up, hides it", 27, shapes.output_size(54, 3, 2, 0, "ceil")),
        equal("conv1 of torchvision at 224", [55],
              _sides(architectures.network("torchvision"), ["conv1"])),
        equal("zeros read beyond 224 by conv1, rounded up", 3,
              -shapes.clipped_pixels(224, 11, 4, 0, "ceil")),
        equal("sides with 2 x 2 pooling (run 147)", [55, 28, 26, 13, 13, 13, 11, 6],
              _sides(without_overlap, maps)),
        *(
            equal(f"receptive field and step of {name}, pixels", list(field), list(fields[name]))
            for name, field in RECEPTIVE_FIELDS.items()
        ),
        equal("places of a 224 crop in 256, mirrored", 2178,
              2 * shapes.output_size(256, 224) ** 2),
    ]


def _apart(layer: LayerSpec) -> LayerSpec:
    """Change a layer as the run with 2 x 2 pooling did [S layer-params-147.cfg]."""
    if layer.kind == "max_pool":
        return replace(layer, kernel=2)
    padding = {"conv2": 1, "conv5": 0}.get(layer.name, layer.padding)
    return replace(layer, padding=padding)


def _activations() -> list[Result]:
    rows = {row.name: row for row in shapes.walk(architectures.network("paper"))}
    totals = shapes.totals(architectures.network("paper"))
    neurons = [rows[name].neurons for name in LAYERS]
    return [
        equal("neurons", 659_272, totals.neurons),
        equal("neurons of conv1", 290_400, rows["conv1"].neurons),
        equal("neurons of conv1 in Fig. 2 = 55 x 48 x 96", FIG2_NEURONS[0], 55 * 48 * 96),
        equal("neurons of the other layers, as in Fig. 2", list(FIG2_NEURONS[1:]), neurons[1:]),
        equal("sum of Fig. 2's numbers", 622_312, sum(FIG2_NEURONS)),
        equal("numbers in an image of 224", 150_528, 3 * 224 * 224),
        equal("bytes of conv and fc outputs, an image", 2_637_088, totals.bytes_weighted),
        equal("the same with LRN and pooling", 5_035_040, totals.bytes_with_norm_and_pool),
        equal("the same with the input", 5_653_388, totals.bytes_with_input),
    ]


def _two_gpus() -> list[Result]:
    spec = architectures.network("paper")
    totals = shapes.totals(spec)
    parameters, macs = shapes.tower_parameters(spec), shapes.tower_macs(spec)
    crossing = shapes.transfer_bytes(spec, TRANSFERS)
    activations = [count * BATCH / 1e6 for count in shapes.tower_activation_bytes(spec)]
    return [
        equal("parameters on GPU 0 and 1", [32_531_112, 28_434_112], list(parameters)),
        close("the same, MB", [130.1, 113.7], [4 * count / 1e6 for count in parameters], 0.05),
        close("weights, momentum and gradient, MiB", [372.3, 325.4],
              [3 * 4 * count / 2**20 for count in parameters], 0.05),
        close("activations of 128 images, MB", [401.6, 401.1], activations, 0.05),
        equal("MACs an image on GPU 0 and 1", [364_251_408, 360_155_408], list(macs)),
        *(
            equal(f"bytes from {stage} to {reader}, an image", expected, crossing[stage, reader])
            for (stage, reader, _), expected in zip(
                TRANSFERS, (173_056, 36_864, 16_384, 8_192), strict=True
            )
        ),
        equal("bytes crossing forward, an image", 234_496, sum(crossing.values())),
        close("all gradients, MB", 243.9, 4 * totals.parameters / 1e6, 0.05),
    ]


def _errors() -> list[Result]:
    """The results in the released files, rounded, are those that the paper prints."""
    printed = {
        "145-2010": (37.5, 17.0), "145-2010-centre": (39.0, 18.3), "145": (40.7, 18.2),
    }
    gains = {  # run without: (run with, gain printed)
        "145-half": ("145-2010", (1.7, 1.2)), "148": ("145", (1.4, 1.2)),
        "147": ("145", (0.4, 0.3)),
    }
    errors = {run: entry[3:5] for run, entry in ERRORS_2012.items()}
    results = [
        close(f"errors of run {run}, %", pair, errors[run], 0.05) for run, pair in printed.items()
    ]
    for run, (base, pair) in gains.items():
        gain = [one - other for one, other in zip(errors[run], errors[base], strict=True)]
        results.append(close(f"run {run} against {base}, points", pair, gain, 0.05))
    return results


def checks() -> list[Result]:
    """Return every check that needs no tensors."""
    return run_groups({
        "parameters": _parameters,
        "multiply-accumulates (MACs)": _macs,
        "shapes": _shapes,
        "activations": _activations,
        "two GPUs": _two_gpus,
        "results of 2012": _errors,
    })
