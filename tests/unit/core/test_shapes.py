"""The arithmetic, held against torch, against counting, and against the sheet of facts."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from alexnet_lib import architectures, shapes
from alexnet_lib.architectures import LayerSpec, NetworkSpec
from alexnet_lib.paper import TRANSFERS

SHEET = {  # stage: output, parameters, MACs
    "conv1": ((96, 55, 55), 34_944, 105_415_200),
    "conv2": ((256, 27, 27), 307_456, 223_948_800),
    "conv3": ((384, 13, 13), 885_120, 149_520_384),
    "conv4": ((384, 13, 13), 663_936, 112_140_288),
    "conv5": ((256, 13, 13), 442_624, 74_760_192),
    "fc6": ((4096,), 37_752_832, 37_748_736),
    "fc7": ((4096,), 16_781_312, 16_777_216),
    "fc8": ((1000,), 4_097_000, 4_096_000),
}


def settings(count: int) -> list[tuple[int, int, int, int]]:
    rng = random.Random(2012)
    drawn = set()
    while len(drawn) < count:
        kernel = rng.randint(1, 11)
        padding = rng.randint(0, kernel // 2)  # what torch's pooling allows
        size = rng.randint(max(1, kernel - 2 * padding), 40)
        drawn.add((size, kernel, rng.randint(1, 5), padding))
    return sorted(drawn)


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_output_size_is_torch_s(rounding):
    for size, kernel, stride, padding in settings(150):
        x = torch.zeros(1, 1, size, size)
        pooled = F.max_pool2d(x, kernel, stride, padding, ceil_mode=rounding == "ceil")
        got = shapes.output_size(size, kernel, stride, padding, rounding)
        assert got == pooled.shape[3], (size, kernel, stride, padding)
        if rounding == "floor":
            weight = torch.zeros(1, 1, kernel, kernel)
            assert got == F.conv2d(x, weight, stride=stride, padding=padding).shape[3]


def test_output_size_counts_windows():
    for size, kernel, stride, padding in settings(80):
        starts = range(-padding, size + padding, stride)
        whole = sum(start + kernel <= size + padding for start in starts)
        assert shapes.output_size(size, kernel, stride, padding) == whole
        begun = whole  # one more may stick out, if something is left and it starts on the input
        if starts[whole - 1] + kernel < size + padding and starts[whole - 1] + stride < size:
            begun += 1
        assert shapes.output_size(size, kernel, stride, padding, "ceil") == begun


def test_the_first_layer_s_55():
    assert shapes.output_size(227, 11, 4) == 55
    assert shapes.output_size(224, 11, 4) == 54
    assert shapes.output_size(224, 11, 4, rounding="ceil") == 55
    assert shapes.output_size(224, 11, 4, padding=2) == 55
    assert shapes.output_size(54, 3, 2, rounding="ceil") == 27  # which hides the 54


def test_clipped_pixels_say_what_no_window_reads():
    assert shapes.clipped_pixels(227, 11, 4) == 0
    assert shapes.clipped_pixels(224, 11, 4) == 1
    assert shapes.clipped_pixels(224, 11, 4, rounding="ceil") == -3
    assert shapes.clipped_pixels(28, 2, 2) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3), "input_size is 0; it must be at least 1"),
        ((9, 0), "kernel is 0; it must be at least 1"),
        ((9, 3, 0), "stride is 0; it must be at least 1"),
        ((9, 3, 1, -1), "padding is -1; it must be at least 0"),
        ((9, 2.5), "kernel is 2.5; it counts pixels, so give a whole number"),
        ((9, True), "kernel is True; it counts pixels"),
        ((4, 7), "kernel is 7, wider than the padded input of 4; take a smaller kernel"),
        ((9, 3, 1, 0, "round"), "rounding is 'round'; choose 'floor' or 'ceil'"),
    ],
)
def test_sizes_that_make_no_sense(arguments, message):
    with pytest.raises(ValueError, match=message):
        shapes.output_size(*arguments)


@pytest.mark.parametrize("name", SHEET)
def test_each_layer_of_the_paper(name):
    row = next(row for row in shapes.walk(architectures.network("paper")) if row.name == name)
    assert (row.output, row.parameters, row.macs) == SHEET[name]


def test_totals_of_the_paper():
    totals = shapes.totals(architectures.network("paper"))
    assert totals.parameters == 60_965_224
    assert totals.macs == 724_406_816
    assert totals.neurons == 659_272
    assert (totals.biases, totals.weights) == (10_568, 60_965_224 - 10_568)
    assert (totals.conv_parameters, totals.fc_parameters) == (2_334_080, 58_631_144)
    assert totals.conv_macs + totals.fc_macs == totals.macs
    assert round(100 * totals.conv_parameters / totals.parameters, 1) == 3.8
    assert round(100 * totals.conv_macs / totals.macs, 1) == 91.9
    assert totals.bytes_weighted == 2_637_088
    assert totals.bytes_with_norm_and_pool == 5_035_040
    assert totals.bytes_with_input == 5_653_388


@pytest.mark.parametrize(
    ("variant", "parameters", "macs"),
    [
        ("ungrouped", 62_378_344, 1_135_256_096), ("one_tower", 59_798_312, 391_514_384),
        ("torchvision", 61_100_840, 714_188_480),
    ],
)
def test_totals_of_the_variants(variant, parameters, macs):
    totals = shapes.totals(architectures.network(variant))
    assert (totals.parameters, totals.macs) == (parameters, macs)


def test_sides_of_the_2012_code_and_of_its_2x2_pooling():
    spec = architectures.network("source2012")
    sides = {row.name: row.output[-1] for row in shapes.walk(spec)}
    names = ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5", "flatten")
    assert [sides[name] for name in names] == [55, 27, 27, 13, 13, 13, 13, 6, 9216]

    def apart(layer: LayerSpec) -> LayerSpec:
        if layer.kind == "max_pool":
            return replace(layer, kernel=2)
        return replace(layer, padding={"conv2": 1, "conv5": 0}.get(layer.name, layer.padding))

    changed = replace(spec, layers=tuple(map(apart, spec.layers)))
    sides = {row.name: row.output[-1] for row in shapes.walk(changed)}
    assert [sides[name] for name in names[:-1]] == [55, 28, 26, 13, 13, 13, 11, 6]


def test_receptive_fields_are_what_a_gradient_reaches():
    spec = NetworkSpec("toy", 61, (
        LayerSpec("conv1", "conv", channels=1, kernel=5, stride=2, padding=1),
        LayerSpec("pool1", "average_pool", kernel=3, stride=2),
        LayerSpec("conv2", "conv", channels=1, kernel=3, padding=1),
        LayerSpec("pool2", "average_pool", kernel=2, stride=2),
    ), input_channels=1)
    x = y = torch.ones(1, 1, 61, 61, requires_grad=True)
    for layer, row in zip(spec.layers, shapes.walk(spec), strict=True):
        ones = torch.ones(1, 1, layer.kernel, layer.kernel)
        y = F.conv2d(y, ones, stride=layer.stride, padding=layer.padding)
        assert row.output == (1, *y.shape[2:])
        middle = y.shape[3] // 2
        reached = []
        for position in (middle, middle + 1):
            (g,) = torch.autograd.grad(y[0, 0, middle, position], x, retain_graph=True)
            columns = g[0, 0].sum(dim=0).nonzero().flatten()
            reached.append(columns)
        assert len(reached[0]) == row.receptive_field, layer.name
        assert int(reached[1][0] - reached[0][0]) == row.jump, layer.name


def test_receptive_fields_of_the_paper():
    rows = {row.name: row for row in shapes.walk(architectures.network("paper"))}
    assert (rows["conv1"].receptive_field, rows["conv1"].jump) == (11, 4)
    assert (rows["pool5"].receptive_field, rows["pool5"].jump) == (195, 32)
    assert (rows["fc6"].receptive_field, rows["fc6"].jump) == (0, 0)
    assert rows["lrn1"].receptive_field == rows["conv1"].receptive_field


def test_another_input_size():
    rows = {row.name: row.output for row in shapes.walk(architectures.network("paper"), 259)}
    assert rows["conv1"] == (96, 63, 63)
    assert rows["flatten"] == (256 * 7 * 7,)


def test_errors_of_walk_name_the_stage():
    spec = architectures.network("paper")
    with pytest.raises(ValueError, match="pool5: kernel is 3, wider than the padded input of 2"):
        shapes.walk(spec, 63)
    conv = LayerSpec("odd", "conv", channels=6, kernel=1, groups=4)
    with pytest.raises(ValueError, match="odd: 3 input and 6 output channels don't divide into 4"):
        shapes.walk(NetworkSpec("x", 8, (conv,)))
    fc = LayerSpec("fc", "fc", channels=6)
    with pytest.raises(ValueError, match="fc needs a flat input; put a flatten stage before it"):
        shapes.walk(NetworkSpec("x", 8, (fc,)))
    flat_conv = (LayerSpec("flatten", "flatten"), replace(conv, groups=1))
    with pytest.raises(ValueError, match=r"odd needs maps \(C, H, W\); it gets \(192,\)"):
        shapes.walk(NetworkSpec("x", 8, flat_conv))


def test_two_gpus():
    spec = architectures.network("paper")
    assert shapes.tower_parameters(spec) == (32_531_112, 28_434_112)
    assert shapes.tower_macs(spec) == (364_251_408, 360_155_408)
    assert sum(shapes.tower_parameters(spec)) == shapes.totals(spec).parameters
    assert sum(shapes.tower_macs(spec)) == shapes.totals(spec).macs
    crossing = shapes.transfer_bytes(spec, TRANSFERS)
    assert crossing == {
        ("pool2", "conv3"): 173_056, ("pool5", "fc6"): 36_864, ("fc6", "fc7"): 16_384,
        ("fc7", "fc8"): 8_192,
    }
    assert sum(crossing.values()) == 234_496
