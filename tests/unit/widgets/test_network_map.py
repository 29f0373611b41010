"""The network map: its JavaScript against the library, its words, its pictures, bad files."""

from __future__ import annotations

import base64
import io
import subprocess

import numpy as np
import pytest
from PIL import Image

from alexnet_lib import architectures, datasets, paper, shapes
from alexnet_lib.analysis import forward_trace
from alexnet_lib.course import widgets
from alexnet_lib.course.widgets import network_map
from alexnet_lib.experiments import source_differences
from javascript import in_node, needs_node

SCRIPTS = ("toolkit.js", "network.js", "network_words.js", "network_drawing.js",
           "network_panels.js")  # fmt: skip


def evaluate(expression: str, given: object = None, *more: str) -> object:
    """Evaluate a JavaScript expression over `given`, with the map's scripts loaded."""
    return in_node(expression, given, *SCRIPTS, *more)


@pytest.fixture(scope="module")
def walked() -> dict[str, shapes.Row]:
    return {row.name: row for row in shapes.walk(architectures.network("paper"))}


@pytest.fixture
def small_map():
    """A map of one photo, and no more."""
    return widgets.NetworkMap(photos={"cat": datasets.photo("cat")})


# JavaScript against the library


@needs_node
def test_javascript_counts_as_the_library_does(walked):
    rows = evaluate("stageRows()")
    assert [row["name"] for row in rows] == list(forward_trace.STAGES)
    assert (rows[0]["channels"], rows[0]["side"]) == (3, 227)
    for row in rows[1:]:
        right = walked[row["name"]]
        got = [row[name] for name in ("parameters", "macs", "bytes", "field", "jump")]
        assert got == [right.parameters, right.macs, right.bytes, right.receptive_field,
                       right.jump], row["name"]  # fmt: skip
        C, *sides = right.output
        assert row["channels"] == C and row["side"] == (sides[0] if sides else 1)


@needs_node
def test_javascript_sums_are_the_librarys():
    totals = shapes.totals(architectures.network("paper"))
    assert evaluate("totals(stageRows())") == {
        "parameters": totals.parameters, "macs": totals.macs,
        "bytes": totals.bytes_with_norm_and_pool,
    }  # fmt: skip


@needs_node
def test_towers_meet_where_the_library_says():
    rows = evaluate("stageRows()")
    both = [row["name"] for row in rows if row.get("both")]
    assert both == shapes.reads_both(architectures.network("paper"))
    assert both == [reader for _, reader, _ in paper.TRANSFERS]
    assert evaluate("DRAWN") == list(network_map.DRAWN)


@needs_node
@pytest.mark.parametrize("stage", ["conv1", "pool1", "conv2", "pool2", "conv3", "conv5", "pool5"])
def test_frame_is_what_a_number_really_reads(stage):
    """Change the picture outside the frame: the number stays. Change it inside: it moves."""
    import torch

    torch.manual_seed(0)
    kinds = ("conv", "max_pool")
    layers = [layer for layer in architectures.network("paper").layers if layer.kind in kinds]
    upto = [layer.name for layer in layers].index(stage) + 1
    x = torch.zeros(1, 1, 227, 227, dtype=torch.float64).requires_grad_()
    y = x
    for layer in layers[:upto]:  # sums in place of convolutions and maxima
        ones = torch.ones(1, 1, layer.kernel, layer.kernel, dtype=torch.float64)
        y = torch.nn.functional.conv2d(y, ones, stride=layer.stride, padding=layer.padding)
    side = y.shape[-1]
    for row, column in ((0, 0), (side // 2, side // 3), (side - 1, side - 1)):
        (gradient,) = torch.autograd.grad(y[0, 0, row, column], x, retain_graph=True)
        read = gradient[0, 0].nonzero()
        (top, left), (bottom, right) = read.amin(0).tolist(), read.amax(0).tolist()
        frame = evaluate(
            f"fieldOf(stageRows().find(({{ name }}) => name === '{stage}'), {row}, {column})"
        )
        assert frame == {"top": top, "left": left, "height": bottom - top + 1,
                         "width": right - left + 1}  # fmt: skip


@needs_node
def test_arithmetic_is_written_out_and_right(walked):
    lines = evaluate("Object.fromEntries(stageRows().map((row) => [row.name, arithmetic(row)]))")
    for stage, each in lines.items():
        for what, formula, result in each:
            sides = formula.replace("×", "*").replace("−", "-").replace("·", "*").replace(",", "")
            for word in ("kernels", "units", "weights", "bias", "outputs", "numbers"):
                sides = sides.replace(f" {word}", "")
            assert eval(sides) == int(result.replace(",", "")), (stage, what, formula)
    assert ["parameters", "4,096 units × (6 × 6 × 256 weights + 1 bias)", "37,752,832"] in lines[
        "fc6"
    ]


@needs_node
@pytest.mark.parametrize(
    ("stage", "said"),
    [("input", "for both towers. Costs are counted from conv1 on. Shown: cat."),
     ("lrn1", "55 × 55 × 48 in each tower. It has none of the parameters"),
     ("conv2", "30.9% of the MACs"), ("fc6", "2,048 in each tower. It has 61.9% of the parameters"),
     ("fc8", "1,000 on GPU 0 alone"), ("fc8", "On “cat” our network says"),
     ("input", "227 × 227 × 3 for both towers")],
)  # fmt: skip
def test_the_sentence_says_what_is_there(stage, said):
    one = {
        "label": "cat",
        "alive": dict.fromkeys(forward_trace.STAGES, 0.5),
        "answers": [["dog", 0.7]],
    }
    row = f"stageRows().find(({{ name }}) => name === '{stage}')"
    assert said in evaluate(f"sentence({row}, totals(stageRows()), given)", one)


@needs_node
@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "photo.png is empty: 0 bytes"), (9_000_000, "photo.png has 9.00 MB, and this browser"),
     (1000, "")],
)  # fmt: skip
def test_files_that_are_not_sent_get_a_line(size, said):
    line = evaluate("fileTrouble(given, 4e6)", {"name": "photo.png", "size": size})
    assert (said in line and "stays as it was" in line) if said else line == ""


@needs_node
def test_blocks_stand_above_their_names_and_apart():
    for rows in ("stageRows()", "stageRows().filter(({ name }) => DRAWN.includes(name))"):
        for width in (630, 690, 760):
            places = evaluate(f"layout({rows}, {width})")
            slot = width / len(places)
            for i, place in enumerate(places):
                assert place["middle"] == pytest.approx((i + 0.5) * slot)
                reach = place["width"] + place["deep"]
                assert place["x"] + reach / 2 == pytest.approx(place["middle"])
            ends = [(each["x"], each["x"] + each["width"] + each["deep"]) for each in places]
            assert ends[0][0] >= 0 and ends[-1][1] <= width
            assert all(a[1] < b[0] for a, b in zip(ends, ends[1:], strict=False))


@needs_node
def test_the_article_hides_stages_but_not_the_chosen_one():
    call = "NAMES.map((name) => shownStage(name, true))"
    files = ("network_files.js", "network_map.js")
    shown = dict(zip(forward_trace.STAGES, evaluate(call, None, *files), strict=True))
    assert {shown[name] for name in forward_trace.STAGES} == set(network_map.DRAWN)
    assert shown["conv1"] == "lrn1" and shown["pool1"] == "lrn2" and shown["pool5"] == "fc6"


@needs_node
def test_the_bundle_is_one_module_without_imports(tmp_path):
    bundle = tmp_path / "bundle.mjs"
    bundle.write_text(widgets.NetworkMap._esm, encoding="utf-8")
    command = ["node", "--check", str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "\nimport " not in widgets.NetworkMap._esm
    assert widgets.NetworkMap._esm.count("export default") == 1


# What is sent to the page


@needs_node
def test_packed_maps_are_the_networks(small_map):
    trace = forward_trace.follow(datasets.photo("cat"))
    one = small_map.pictures[0]
    rows = {row["name"]: row for row in evaluate("stageRows()")}
    places = evaluate("offsets(stageRows())")
    maps = np.frombuffer(one["maps"], np.uint8)
    for stage in forward_trace.STAGES[1:-1]:
        length = evaluate("packedSize(given)", rows[stage])
        got = maps[places[stage] : places[stage] + length]
        right = trace.maps[stage]
        if right.ndim == 3:
            right = right[small_map.channels[stage]]
        expected = right.ravel() / right.max()  # of what is shown
        np.testing.assert_allclose(got / 255, expected, atol=0.0021)
        assert one["highs"][stage] == pytest.approx(right.max(), rel=1e-3)
        assert one["alive"][stage] == pytest.approx((trace.maps[stage] > 0).mean(), abs=1e-4)
    assert sum(evaluate("stageRows().map(packedSize)")) == len(maps)
    assert len(one["maps"]) + len(one["photo"]) < 300_000
    assert [name for name, _ in one["answers"]] == [name for name, _ in trace.answers]
    picture = np.asarray(Image.open(io.BytesIO(one["photo"])).convert("RGB"))
    assert np.abs(picture.astype(int) - trace.picture).mean() < 5  # as JPEG


def test_shown_maps_are_the_loudest_and_the_same_along_a_layer(small_map):
    trace = forward_trace.follow(datasets.photo("cat"))
    chosen = small_map.channels
    assert chosen["conv1"] == chosen["pool1"] == [*range(12), *range(48, 60)]
    assert chosen["conv2"] == chosen["lrn2"] == chosen["pool2"] and "fc6" not in chosen
    for stage in ("conv2", "conv3", "conv4", "conv5"):
        loud = trace.maps[stage].mean(axis=(1, 2))
        half = len(loud) // 2
        for at, part in ((0, chosen[stage][:12]), (half, chosen[stage][12:])):
            assert part == sorted(part) and at <= part[0] and part[-1] < at + half
            others = [i for i in range(at, at + half) if i not in part]
            assert min(loud[part]) >= max(loud[others])


@needs_node
def test_channels_are_named_in_words():
    assert evaluate("channelWords(given)", [48, 49, 50]) == "channels 48 to 50"
    assert evaluate("channelWords(given)", [3, 9, 40]) == "the loudest over all photos: 3, 9, 40"


def test_kernels_are_the_networks(small_map):
    net = forward_trace.trained()[0]
    first = np.frombuffer(small_map.kernels["conv1"], np.uint8).reshape(24, 11, 11, 3)
    weight = net.stage("conv1").weight.detach().numpy()
    for tile, channel in ((0, 0), (11, 11), (12, 48), (23, 59)):
        own = weight[channel].transpose(1, 2, 0)
        np.testing.assert_allclose((first[tile] - 128.0) / 127, own / np.abs(own).max(), atol=0.005)
    assert len(small_map.kernels["conv2"]) == 24 * 5 * 5


# Python's side


def test_map_prints_the_same_line_every_time(small_map):
    line = (
        "NetworkMap(stage=lrn1, photo=cat): lrn1 puts out 55 x 55 x 48 in each tower; 0.0% of "
        "60,965,224 parameters, 0.0% of 724,406,816 MACs, 23.1% of 5,035,040 bytes"
    )
    assert repr(small_map) == repr(small_map) == line
    small_map.stage = "fc8"
    assert "1,000 on GPU 0; 6.7% of" in small_map.sentence()
    small_map.stage = "input"
    assert "goes to both towers" in small_map.sentence()


def test_map_brings_a_still_picture(small_map):
    data, metadata = small_map._repr_mimebundle_()
    Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).verify()
    assert metadata["image/png"]["alt"] == small_map.sentence()
    texts = {text.get_text() for text in small_map.picture().texts}
    assert {"lrn1", "55×55\n×48", "13×13\n×192", "2,048", "1,000", "GPU 1"} <= texts
    small_map.article = True
    texts = {text.get_text() for text in small_map.picture().texts}
    assert "conv1\n+ lrn1" in texts and not {"conv1", "lrn1"} & texts
    maps, trace = (
        small_map._maps(small_map.pictures[0]),
        forward_trace.follow(datasets.photo("cat")),
    )
    right = trace.maps["lrn1"]
    shown = [*range(12), *range(48, 60)]
    expected = right[shown] / right[shown].max()
    np.testing.assert_allclose(maps[shown] / 255, expected, atol=0.0021)
    assert maps.shape == right.shape and not maps[12:48].any()
    small_map.stage = "fc6"
    assert small_map._maps(small_map.pictures[0]) is None and small_map.picture().texts


def test_presets_can_be_applied_and_the_last_leads_back():
    lab = widgets.NetworkMap()
    assert lab.presets[-1]["label"] == "reset"
    start, sentences = repr(lab), set()
    for preset in lab.presets:
        for name, value in preset["state"].items():
            setattr(lab, name, value)
        assert lab.photo in {each["label"] for each in lab.pictures}
        sentences.add(repr(lab))
    assert len(sentences) == len(lab.presets) - 1  # the first block is where it begins
    assert repr(lab) == start


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"stage": "conv9"}, "unknown stage 'conv9'"), ({"photo": "dog"}, "unknown photo 'dog'"),
     ({"photos": {}}, "unknown photo ''"),
     ({"photos": {"a": np.zeros((5, 5))}}, "photo is float64 of shape")],
)  # fmt: skip
def test_bad_input_is_refused_in_words(arguments, said):
    with pytest.raises(ValueError, match=said):
        widgets.NetworkMap(**{"photos": {"cat": datasets.photo("cat")}, **arguments})


def test_notes_cover_every_stage_and_repeat_no_wrong_number():
    notes = source_differences.LAYER_NOTES
    assert list(notes) == list(forward_trace.STAGES)
    assert all(len(said) == len(source_differences.SOURCES) for said in notes.values())
    article = {stage: said[2] for stage, said in notes.items()}
    for stage, size in network_map.stage_shapes().items():
        drawn = "not drawn" not in article[stage]
        assert drawn == (stage in network_map.DRAWN), stage
        if drawn and len(size) == 3 and stage != "input":
            assert f"{size[1]} × {size[2]} × {size[0] // 2}" in article[stage]
    assert "253,440" in notes["lrn1"][0]
    assert "1, 2 and 5" in source_differences.by_key("lrn_layer5").article


# A learner's own picture


def png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def test_a_picture_of_one_pixel_goes_through_and_a_bad_file_loses_nothing(small_map):
    small_map.take(png(Image.new("RGB", (1, 1), (200, 10, 30))), "mine.png")
    assert small_map.trouble["text"] == ""
    assert small_map.own["label"] == small_map.photo == "your picture, mine.png"
    assert len(small_map.own["maps"]) == len(small_map.pictures[0]["maps"])
    before = (dict(small_map.own), small_map.photo, small_map.stage)
    count = small_map.trouble["number"]
    small_map.take(b"dear diary, " * 40, "file.jpg")
    text = small_map.trouble["text"]
    assert text.startswith("file.jpg is not a picture") and text.endswith("stays as it was.")
    assert small_map.trouble["number"] == count + 1  # the page hears it again
    assert (dict(small_map.own), small_map.photo, small_map.stage) == before


def test_files_come_as_messages(small_map):
    strange = (({}, []), ("x", [b"y"]), ({"kind": "picture"}, []), ({"kind": 1}, [b"y"]))
    for content, buffers in strange:
        small_map._on_file(small_map, content, buffers)
    assert small_map.trouble == {}
    message = {"kind": "picture", "name": "a.png"}
    small_map._on_file(small_map, message, [memoryview(png(Image.new("L", (40, 30), 90)))])
    assert small_map.photo == "your picture, a.png"
