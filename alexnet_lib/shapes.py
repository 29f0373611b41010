"""Arithmetic of a network: output sizes, receptive fields, parameters, MACs and bytes.

Everything follows from the stages alone (`architectures.NetworkSpec`), without torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor

__all__ = [
    "Row", "Totals", "TowerRow", "clipped_pixels", "output_size", "reads_both", "totals",
    "tower_activation_bytes", "tower_macs", "tower_parameters", "tower_rows", "transfer_bytes",
    "walk",
]

WINDOWED = ("conv", "max_pool", "average_pool")
WEIGHTED = ("conv", "fc")


def output_size(
    input_size: int, kernel: int, stride: int = 1, padding: int = 0, rounding: str = "floor"
) -> int:
    """Return the side of the output of a convolution or pooling.

    input_size: side of the square input, pixels. kernel, stride, padding: pixels; padding is on
    both sides. rounding: "floor" drops a window that would stick out of the padded input, "ceil"
    keeps it, as long as it starts inside (the 2012 source, [S layer.py:1004]; torch's ceil_mode).
    Raises ValueError for sizes that are not whole, below their minimum, or for a window that
    doesn't fit.
    """
    settings = {"input_size": input_size, "kernel": kernel, "stride": stride, "padding": padding}
    for name, value in settings.items():
        if isinstance(value, bool) or value != int(value):
            raise ValueError(f"{name} is {value!r}; it counts pixels, so give a whole number.")
        least = 0 if name == "padding" else 1
        if value < least:
            raise ValueError(f"{name} is {value}; it must be at least {least}.")
    if rounding not in ("floor", "ceil"):
        raise ValueError(f"rounding is {rounding!r}; choose 'floor' or 'ceil'.")
    room = input_size + 2 * padding - kernel
    if room < 0:
        raise ValueError(
            f"kernel is {kernel}, wider than the padded input of {input_size + 2 * padding}; "
            "take a smaller kernel or more padding."
        )
    if rounding == "floor":
        return floor(room / stride) + 1
    size = ceil(room / stride) + 1
    # A window that would start beyond the input and its near padding reads nothing: no output.
    return size - 1 if (size - 1) * stride >= input_size + padding else size


def clipped_pixels(
    input_size: int, kernel: int, stride: int = 1, padding: int = 0, rounding: str = "floor"
) -> int:
    """Return how many pixels at the far edge no window reads (positive), or how many zeros the
    last window reads beyond the padded input (negative)."""
    outputs = output_size(input_size, kernel, stride, padding, rounding)
    return input_size + 2 * padding - ((outputs - 1) * stride + kernel)


@dataclass(frozen=True)
class Row:
    """What one stage costs for one image.

    output: (C, H, W), or (C,) after flatten. parameters, macs (multiply-accumulates of the
    forward pass): counts. neurons: outputs of a conv or fc. bytes: output in float32.
    receptive_field, jump: pixels of the input that one output sees, and the step between
    neighbours; 0 once the network is fully connected.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    macs: int
    neurons: int
    bytes: int
    receptive_field: int
    jump: int


@dataclass(frozen=True)
class Totals:
    """Sums over a whole network for one image; bytes_weighted counts conv and fc outputs alone,
    bytes_with_norm_and_pool adds LRN's and pooling's, bytes_with_input the input as well."""

    parameters: int
    weights: int
    biases: int
    macs: int
    neurons: int
    conv_parameters: int
    fc_parameters: int
    conv_macs: int
    fc_macs: int
    bytes_weighted: int
    bytes_with_norm_and_pool: int
    bytes_with_input: int


def _volume(shape: tuple[int, ...]) -> int:
    product = 1
    for side in shape:
        product *= side
    return product


def _walk_one(layer, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int, int]:
    """Return output shape, weights (without biases) and MACs of one stage."""
    if layer.kind in WINDOWED:
        if len(shape) != 3:
            raise ValueError(f"{layer.name} needs maps (C, H, W); it gets {shape}.")
        C, H, W = shape
        try:
            height, width = (
                output_size(side, layer.kernel, layer.stride, layer.padding, layer.rounding)
                for side in (H, W)
            )
        except ValueError as error:
            raise ValueError(f"{layer.name}: {error}") from error
        if layer.kind != "conv":
            return (C, height, width), 0, 0
        if C % layer.groups or layer.channels % layer.groups:
            raise ValueError(
                f"{layer.name}: {C} input and {layer.channels} output channels don't divide into "
                f"{layer.groups} groups; take multiples of {layer.groups}."
            )
        weights = layer.channels * (C // layer.groups) * layer.kernel**2
        return (layer.channels, height, width), weights, weights * height * width
    if layer.kind == "fc":
        if len(shape) != 1:
            raise ValueError(f"{layer.name} needs a flat input; put a flatten stage before it.")
        weights = layer.channels * shape[0]
        return (layer.channels,), weights, weights
    if layer.kind == "flatten":
        return (_volume(shape),), 0, 0
    if layer.kind == "adaptive_pool":
        return (shape[0], layer.size, layer.size), 0, 0
    return shape, 0, 0


def walk(spec, input_size: int | None = None) -> list[Row]:
    """Return one row a stage: output shape, parameters, MACs, neurons, bytes, receptive field.

    spec: a NetworkSpec. input_size: side of the input in pixels, the network's own by default.
    Raises ValueError, naming the stage, where a window doesn't fit or groups don't divide.
    """
    side = spec.input_size if input_size is None else input_size
    shape: tuple[int, ...] = (spec.input_channels, side, side)
    field, jump = 1, 1
    rows = []
    for layer in spec.layers:
        shape, weights, macs = _walk_one(layer, shape)
        if layer.kind in WINDOWED:
            field, jump = field + (layer.kernel - 1) * jump, jump * layer.stride
        elif layer.kind in ("flatten", "fc", "adaptive_pool"):
            field, jump = 0, 0
        weighted = layer.kind in WEIGHTED
        rows.append(
            Row(
                layer.name, layer.kind, shape,
                parameters=weights + (layer.channels if weighted else 0),
                macs=macs,
                neurons=_volume(shape) if weighted else 0,
                bytes=4 * _volume(shape),
                receptive_field=field,
                jump=jump,
            )
        )
    return rows


def totals(spec, input_size: int | None = None) -> Totals:
    """Return the sums of `walk` over the whole network, for one image."""
    rows = walk(spec, input_size)
    side = spec.input_size if input_size is None else input_size
    conv = [row for row in rows if row.kind == "conv"]
    fc = [row for row in rows if row.kind == "fc"]
    extra = [row for row in rows if row.kind in ("lrn", "max_pool", "average_pool")]
    biases = sum(row.output[0] for row in conv + fc)
    parameters = sum(row.parameters for row in rows)
    weighted = sum(row.bytes for row in conv + fc)
    with_extra = weighted + sum(row.bytes for row in extra)
    return Totals(
        parameters=parameters,
        weights=parameters - biases,
        biases=biases,
        macs=sum(row.macs for row in rows),
        neurons=sum(row.neurons for row in rows),
        conv_parameters=sum(row.parameters for row in conv),
        fc_parameters=sum(row.parameters for row in fc),
        conv_macs=sum(row.macs for row in conv),
        fc_macs=sum(row.macs for row in fc),
        bytes_weighted=weighted,
        bytes_with_norm_and_pool=with_extra,
        bytes_with_input=with_extra + 4 * spec.input_channels * side * side,
    )


def reads_both(spec) -> list[str]:
    """Return the stages that read both towers, in order: conv3, fc6, fc7, fc8 in the paper.

    They are the conv and fc layers after the first that aren't in groups.
    """
    weighted = [layer for layer in spec.layers if layer.kind in WEIGHTED]
    return [layer.name for layer in weighted[1:] if layer.groups == 1]


def tower_parameters(spec) -> tuple[int, int]:
    """Return the parameters on GPU 0 and GPU 1 when the network is split over two.

    Every layer is halved but the last, which lies entirely on GPU 0 [S layers-145.cfg].
    """
    return _both_towers(spec, "parameters")


def tower_macs(spec) -> tuple[int, int]:
    """Return the MACs of one image on GPU 0 and GPU 1, split as in `tower_parameters`."""
    return _both_towers(spec, "macs")


def tower_activation_bytes(spec) -> tuple[int, int]:
    """Return the bytes of activations on GPU 0 and GPU 1 in the forward pass of one image, float32.

    Counted are the input, which both hold, and the outputs of convolutions, fully connected
    layers, LRN and pooling; the last layer's lie on GPU 0.
    """
    return _both_towers(spec, "bytes")


def _both_towers(spec, cost: str) -> tuple[int, int]:
    pairs = [getattr(row, cost) for row in tower_rows(spec, reads_both(spec))]
    return sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)


def transfer_bytes(spec, transfers) -> dict[tuple[str, str], int]:
    """Return what crosses between the two GPUs in the forward pass of one image, in float32.

    transfers: (stage, stage that reads it, both ways?), see `paper.TRANSFERS`. Each tower holds
    half of a stage's output, and sends it to the other, or only the second to the first. The
    backward pass sends gradients of the same size the other way. Returns bytes by the two stages.
    """
    size = {row.name: row.bytes for row in walk(spec)}
    return {
        (stage, reader): size[stage] if both_ways else size[stage] // 2
        for stage, reader, both_ways in transfers
    }


@dataclass(frozen=True)
class TowerRow:
    """What one conv or fc layer costs each of two GPUs for one image; pairs: GPU 0, GPU 1.

    parameters, macs: counts. bytes: of its output and of the LRN and pooling behind it, float32,
    and of the image with the first layer, which both GPUs hold.
    received: bytes that come from the other GPU in the forward pass; the same go back backward.
    """

    name: str
    parameters: tuple[int, int]
    macs: tuple[int, int]
    bytes: tuple[int, int]
    received: tuple[int, int]


def tower_rows(spec, both, towers: int = 2) -> list[TowerRow]:
    """Return what each conv and fc layer costs when a network is split over two GPUs.

    spec: a NetworkSpec; its channels count both towers, its groups are not used. both: names of
    the layers that read both towers; the others read their own half. The first layer reads the
    image, which both GPUs hold; the last lies whole on GPU 0. towers: 1 puts all on GPU 0, where
    every layer reads everything. Raises ValueError for names that aren't conv or fc layers after
    the first, for a width that can't be halved, and for other numbers of towers.
    """
    if towers not in (1, 2):
        raise ValueError(f"towers is {towers}; give 1 or 2.")
    weighted = [layer.name for layer in spec.layers if layer.kind in WEIGHTED]
    strange = set(both) - set(weighted[1:])
    if strange:
        raise ValueError(
            f"{sorted(strange)[0]!r} can't read both towers; choose of {', '.join(weighted[1:])}."
        )
    rows: list[TowerRow] = []
    shape: tuple[int, ...] = (spec.input_channels, spec.input_size, spec.input_size)
    for layer, row in zip(spec.layers, walk(spec), strict=True):
        values, shape = _volume(shape), row.output
        if layer.kind in WEIGHTED:
            last = layer.name == weighted[-1]
            if towers == 2 and not last and layer.channels % 2:
                raise ValueError(
                    f"{layer.name} has {layer.channels} channels; two towers need an even number."
                )
            both_here = layer.name in both
            rows.append(_tower_row(layer, row, values, both_here, towers, not rows, last))
        elif layer.kind in ("lrn", "max_pool", "average_pool") and rows:
            pair = (row.bytes, 0) if towers == 1 else (row.bytes // 2, row.bytes // 2)
            grown = tuple(map(sum, zip(rows[-1].bytes, pair, strict=True)))
            rows[-1] = replace(rows[-1], bytes=grown)
    return rows


def _tower_row(
    layer, row: Row, values: int, both: bool, towers: int, first: bool, last: bool
) -> TowerRow:
    """Return one layer's costs. values: how many numbers the layer before it puts out."""
    per_output = row.macs * layer.groups // row.neurons  # weights behind one output, ungrouped
    spread = 1 if towers == 1 or last else 2  # over how many GPUs its outputs are
    inputs = per_output if towers == 1 or first or both else per_output // 2
    held = row.bytes // spread + (4 * values if first else 0)
    here = (layer.channels // spread * (inputs + 1), row.neurons // spread * inputs, held)
    there = (0, 0, 0) if towers == 1 or last else here
    crosses = 4 * values // 2 if both and towers == 2 else 0
    return TowerRow(
        layer.name, *zip(here, there, strict=True), received=(crosses, 0 if last else crosses)
    )
