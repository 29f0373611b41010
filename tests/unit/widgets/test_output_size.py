"""The output-size lab: its JavaScript against the library, its words, its Python side."""

from __future__ import annotations

import base64
import io
import random
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image

from alexnet_lib import architectures, ops, shapes
from alexnet_lib.course import widgets
from alexnet_lib.course.widgets import output_size as output_size_widget
from javascript import in_node, needs_node

SCRIPTS = ("toolkit.js", "sizes.js", "typed.js", "size_words.js")
PAPER = {"size": 224, "kernel": 11, "stride": 4, "padding": 0, "rounding": "floor"}


def evaluate(expression: str, given: object) -> object:
    """Evaluate a JavaScript expression over `given`, with the lab's scripts loaded."""
    return in_node(expression, given, *SCRIPTS)


def python(setting: dict) -> tuple[int, int] | None:
    """The library's side of the map and what is left, or None where it refuses."""
    arguments = [setting[name] for name in ("size", "kernel", "stride", "padding", "rounding")]
    try:
        return shapes.output_size(*arguments), shapes.clipped_pixels(*arguments)
    except ValueError:
        return None


def random_settings(count: int) -> list[dict]:
    """Settings over all that the sliders reach and beyond: zeros, negatives, halves, misfits."""
    rng = random.Random(0)
    settings = []
    for number in range(count):
        setting = {
            "size": rng.choice([rng.randint(1, 12), rng.randint(1, 300)]),
            "kernel": rng.choice([rng.randint(1, 12), rng.randint(1, 40)]),
            "stride": rng.randint(1, 40), "padding": rng.randint(0, 9),
            "rounding": rng.choice(["floor", "ceil"]),
        }  # fmt: skip
        if number % 10 == 0:
            setting[rng.choice(list(setting)[:4])] = rng.choice([0, -1, 2.5])
        settings.append(setting)
    return settings


@needs_node
def test_javascript_equals_the_library():
    settings = random_settings(1500)
    theirs = evaluate("given.map((s) => refusal(s) ? null : stops(s))", settings)
    seen = {"refused": 0, "dropped": 0, "beyond": 0, "unread": 0}
    for setting, got in zip(settings, theirs, strict=True):
        expected = python(setting)
        assert (got is None) == (expected is None), setting
        if expected is None:
            seen["refused"] += 1
            continue
        side, rest = expected
        assert (got["outputs"], got["rest"]) == (side, rest), setting
        assert got["beyond"] == max(0, -rest), setting
        last = (side - 1) * setting["stride"] + setting["kernel"] - setting["padding"]
        assert got["unread"] == max(0, setting["size"] - last), setting
        for name in ("dropped", "beyond", "unread"):
            seen[name] += bool(got[name])
    assert min(seen.values()) > 20, seen


@needs_node
def test_javascript_dropped_windows_as_torch_does():
    settings = [s for s in random_settings(400) if python(s) and s["padding"] <= s["kernel"] // 2]
    theirs = evaluate("given.map((s) => stops(s).outputs)", settings)
    for setting, got in zip(settings, theirs, strict=True):
        x = torch.zeros(1, 1, setting["size"], setting["size"])
        pooled = torch.nn.functional.max_pool2d(
            x, setting["kernel"], setting["stride"], setting["padding"],
            ceil_mode=setting["rounding"] == "ceil",
        )
        assert pooled.shape[2] == got, setting


@needs_node
def test_the_map_is_the_librarys_convolution():
    rng = random.Random(1)
    for _ in range(12):
        size, kernel = rng.randint(6, 30), rng.randint(1, 6)
        setting = {"size": size, "kernel": kernel, "stride": rng.randint(1, 4),
                   "padding": rng.randint(0, 3), "rounding": rng.choice(["floor", "ceil"])}
        pixels = [rng.uniform(-128, 128) for _ in range(size * size)]
        weight = torch.zeros(1, 1, kernel, kernel, dtype=torch.float64)
        half = max(1, kernel // 2)
        weight[..., kernel - half :] = 1 / (half * kernel)
        if kernel > 1:
            weight[..., :half] = -1 / (half * kernel)
        x = torch.tensor(pixels, dtype=torch.float64).reshape(1, 1, size, size)
        expected = ops.conv2d(
            x, weight, stride=setting["stride"], padding=setting["padding"],
            rounding=setting["rounding"],
        )
        got = evaluate("Array.from(edgeMap(given.pixels, given.setting))",
                      {"pixels": pixels, "setting": setting})  # fmt: skip
        np.testing.assert_allclose(got, expected.flatten().numpy(), atol=1e-9)


@needs_node
def test_the_map_of_five_by_five_holds_the_numbers_of_the_chapter():
    picture = torch.tensor(output_size_widget.EXAMPLE, dtype=torch.float64)
    edge = torch.tensor([[-1.0, 0, 1]] * 3, dtype=torch.float64)
    expected = ops.conv2d(picture[None, None], edge[None, None])[0, 0]
    assert expected[0].tolist() == [9, 27, 18]
    setting = {"size": 5, "kernel": 3, "stride": 1, "padding": 0, "rounding": "floor"}
    got = evaluate("edgeSums(given.pixels, given.setting)",
                  {"pixels": picture.flatten().tolist(), "setting": setting})  # fmt: skip
    assert got == expected.flatten().tolist()


@needs_node
def test_the_map_says_which_filter_it_is_of():
    assert evaluate("given.map(filterNote)", [1, 3, 4, 11]) == [
        "a window of 1: the pixel itself", "right column minus left column; grey is 0",
        *["right half minus left half; grey is 0"] * 2,
    ]  # fmt: skip


def test_five_pixels_are_the_chapters_example_and_not_the_photo():
    assert widgets.SizeLab().example == [list(row) for row in output_size_widget.EXAMPLE]
    ax = widgets.SizeLab(5, 3, 1).picture()
    np.testing.assert_allclose(ax.images[0].get_array(), np.array(output_size_widget.EXAMPLE) / 9)
    assert widgets.SizeLab(6, 3, 1).picture().images[0].get_array().shape == (6, 6, 3)


@needs_node
@pytest.mark.parametrize("pools", ["floor", "ceil"])
def test_the_way_to_fc6_is_the_librarys(pools):
    chains = evaluate("given.sides.map((side) => chain(side, given.pools))",
                     {"sides": list(range(1, 120)), "pools": pools})  # fmt: skip
    stuck = 0
    for side, got in zip(range(1, 120), chains, strict=True):
        try:
            inputs = output_size_widget.fc6_inputs(side, pools)
        except ValueError as error:
            stuck += 1
            assert str(error).startswith(f"{got['stuck']}: ")
            continue
        assert (got["inputs"], got["parameters"]) == (inputs, 4096 * (inputs + 1))
    assert 0 < stuck < 20


@needs_node
@pytest.mark.parametrize("variant", ["paper", "source2012", "caffe"])
def test_the_sides_on_the_way_are_those_of_the_networks(variant):
    spec = architectures.network(variant)
    rows = {row.name: row for row in shapes.walk(spec)}
    got = evaluate("chain(given[0], given[1])", [55, spec.layer("pool1").rounding])
    assert got["sides"] == [[name, rows[name].output[1]] for name, _ in got["sides"]]
    assert got["inputs"] == rows["flatten"].output[0]
    assert got["parameters"] == rows["fc6"].parameters


@pytest.mark.parametrize(
    ("label", "side", "rest", "inputs"),
    [("the paper's 224", 54, 1, 6400), ("2012 program", 55, -3, 9216), ("Caffe's 227", 55, 0, 9216),
     ("torchvision", 55, 1, 9216), ("D2L", 54, 3, 6400), ("Caffe at 224", 54, 1, 9216)],
)  # fmt: skip
def test_presets_end_where_they_should(label, side, rest, inputs):
    _, *setting, pools = output_size_widget.PRESETS[label]
    assert shapes.output_size(*setting) == side
    assert shapes.clipped_pixels(*setting) == rest
    assert output_size_widget.fc6_inputs(side, pools) == inputs


@needs_node
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "(224 − 11) / 4 + 1 = 54.25, rounded down 54: the map is 54 × 54. 1 column on the "
             "right and 1 row at the bottom are never read."),
        ({"rounding": "ceil"}, "rounded up 55: the map is 55 × 55. The last windows reach 3 pixels "
                               "beyond the edge and read zeros there"),
        ({"size": 227}, "(227 − 11) / 4 + 1 = 55: the map is 55 × 55. The last window ends exactly "
                        "at the edge."),
        ({"padding": 1}, "2 columns on the right and 2 rows at the bottom are never read, nor is "
                         "the zero behind them."),
        ({"padding": 2}, "read to its edge; the last zero behind it is not."),
        ({"stride": 15}, "between two windows 4 columns and as many rows are skipped."),
        ({"stride": 250}, "There is room for one window only."),
        ({"kernel": 1, "padding": 1, "stride": 1}, "the first windows read nothing but zeros."),
        ({"size": 5, "kernel": 1, "stride": 6, "rounding": "ceil"}, "it is left out."),
    ],
)  # fmt: skip
def test_the_lab_says_what_is_left(changes, said):
    assert said in evaluate("sentences(given, stops(given))", PAPER | changes)


@needs_node
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kernel": 12, "size": 5}, "a window of 12 doesn't fit into a picture of 5: it can't"),
        ({"kernel": 12, "size": 5, "padding": 1}, "of 5 with its zeros, 7 pixels in all:"),
        ({"stride": 0}, "the stride is 0; it must be at least 1."),
        ({"padding": -1}, "the padding is -1; it must be at least 0."),
        ({"kernel": 2.5}, "the window is 2.5; it counts pixels, so it has to be a whole number."),
    ],
)
def test_a_setting_without_a_map_is_refused_in_words(changes, said):
    assert said in evaluate("refusal(given)", PAPER | changes)


@needs_node
@pytest.mark.parametrize(
    ("typed", "said"),
    [("", "box is empty"), ("  ", "box is empty"), ("four", "“four” is not a number"),
     ("-3", "-3 is negative"), ("−3", "−3 is negative"), ("2.5", "2.5 is not a whole number"),
     ("2,5", "2,5 is not a whole number"), ("0", "would never move on"), ("33", "33 is too large"),
     ("1e9", "1e9 is too large"), ("Infinity", "not a number"), ("x" * 50, "x…” is not a number"),
     ("4", ""), (" 32 ", ""), ("1", "")],
)  # fmt: skip
def test_each_bad_number_in_a_box_gets_a_line_of_its_own(typed, said):
    limits = {"label": "stride", "min": 1, "max": 32}
    line = evaluate("trouble(given[0], given[1])", [typed, limits])
    assert (said in line) if said else line == ""
    assert not line or len(line) < 120


@needs_node
def test_a_picture_too_small_for_its_slider_is_told_the_range():
    limits = {"label": "picture", "min": 3, "max": 256}
    assert evaluate("given.map((t) => trouble(t[0], t[1]))", [["2", limits], ["0", limits]]) == [
        "2 is too small; picture goes from 3 to 256.",
        "0 is too small: there would be nothing to read; picture goes from 3 to 256.",
    ]


@needs_node
def test_the_marked_window_is_described():
    described = "given.map(([s, i, j]) => reading(s, i, j))"
    padded = PAPER | {"padding": 2}
    said = evaluate(described, [[PAPER, 0, 1], [padded, 0, 54], [PAPER | {"kernel": 1}, 2, 3]])
    assert "row 0, column 1 of the map reads rows 0 to 10 and columns 4 to 14 of" in said[0]
    assert "rows −2 to 8 (2 of them zero) and columns 214 to 224 (1 of them zero)" in said[1]
    assert "reads row 8 and column 12 of" in said[2]


@needs_node
def test_the_lab_says_what_comes_of_a_map():
    given = [[54, "floor"], [55, "floor"], [54, "ceil"], [3, "floor"]]
    said = evaluate("given.map(([side, pools]) => consequence(chain(side, pools)))", given)
    assert "5 · 5 · 256 = 6,400 numbers into 4,096: 26,218,496" in said[0]
    assert "In the paper it reads 9,216." in said[0]
    assert "37,752,832 weights and biases. As in the paper." in said[1]
    assert "although conv1 gives 54 and not 55: a hidden mistake." in said[2]
    assert "the window of pool2 doesn't fit into 1 × 1 any more" in said[3]


@needs_node
def test_the_bundle_is_one_module_without_imports(tmp_path):
    bundle = tmp_path / "bundle.mjs"
    bundle.write_text(widgets.SizeLab._esm, encoding="utf-8")
    command = ["node", "--check", str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "\nimport " not in widgets.SizeLab._esm
    assert widgets.SizeLab._esm.count("export default") == 1


def test_lab_prints_the_same_line_every_time():
    line = (
        "SizeLab(input_size=224, kernel=11, stride=4, padding=0, rounding=floor, pools=floor): "
        "the map is 54 x 54, pixels left over: 1; fc6 reads 6,400 numbers"
    )
    assert repr(widgets.SizeLab()) == repr(widgets.SizeLab()) == line
    assert "zeros read beyond the edge: 3" in repr(widgets.SizeLab(rounding="ceil"))


def test_lab_brings_a_still_picture_and_a_photo():
    lab = widgets.SizeLab(padding=2)
    data, metadata = lab._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}
    Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).verify()
    assert metadata["image/png"]["alt"] == lab.sentence()
    kind, encoded = lab.photo_url.split(",")
    photo = Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert kind == "data:image/jpeg;base64" and photo.size == (
        output_size_widget.SIDE,
        output_size_widget.SIDE,
    )


def test_presets_can_be_applied_and_the_last_leads_back():
    lab = widgets.SizeLab()
    assert [preset["label"] for preset in lab.presets] == [*output_size_widget.PRESETS, "reset"]
    sentences = set()
    for preset in lab.presets:
        for name, value in preset["state"].items():
            setattr(lab, name, value)
        sentences.add(lab.sentence())
    assert len(sentences) == len(output_size_widget.PRESETS)  # reset is the first
    assert repr(lab) == repr(widgets.SizeLab())


def test_a_lab_turned_to_no_map_still_prints_and_draws():
    lab = widgets.SizeLab()
    lab.input_size = 5
    assert "wider than the padded input of 5" in repr(lab)
    assert "image/png" in lab._repr_mimebundle_()[0]
    lab.input_size, lab.stride = 0, -1
    assert "input_size is 0; it must be at least 1" in repr(lab)
    assert "image/png" in lab._repr_mimebundle_()[0]
    assert "pool2: kernel is 3" in repr(widgets.SizeLab(5, 3, 1))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"stride": 0}, "stride is 0; it must be at least 1"),
     ({"kernel": 2.5}, "kernel is 2.5; it counts pixels"),
     ({"padding": -1}, "padding is -1"), ({"input_size": 5}, "wider than the padded input of 5"),
     ({"rounding": "up"}, "choose 'floor' or 'ceil'"), ({"pools": "up"}, "pools is 'up'"),
     ({"photo": "cofee"}, "did you mean 'coffee'")],
)  # fmt: skip
def test_bad_input_is_refused_in_words(arguments, said):
    with pytest.raises(ValueError, match=said):
        widgets.SizeLab(**arguments)
