"""The pooling lab: its JavaScript against the library, what it says in words, its Python side."""

from __future__ import annotations

import base64
import io
import random
import subprocess

import numpy as np
import pytest
from PIL import Image

from alexnet_lib.analysis import pooling_windows
from alexnet_lib.course import widgets
from alexnet_lib.course.widgets import pooling as pooling_widget
from javascript import in_node, needs_node

SCRIPTS = ("toolkit.js", "pooling.js", "map_panel.js", "pooling_lab.js")
DIGITS = {"height": 9, "width": 9, "values": pooling_widget.SMALL_MAP.ravel().tolist()}


def random_cases(count: int) -> list[dict]:
    """Maps with ties and flat places, windows that fit and windows that don't, shifts."""
    rng = random.Random(0)
    cases = []
    for number in range(count):
        height, width = rng.randint(1, 14), rng.randint(1, 14)
        top = rng.choice([1, 9, 300.5])
        values = [round(rng.uniform(0, top), rng.choice([0, 3])) for _ in range(height * width)]
        cases.append({
            "map": {"height": height, "width": width, "values": values},
            "settings": {"kernel": rng.randint(1, 6), "stride": rng.randint(1, 6),
                         "kind": pooling_windows.KINDS[number % 2]},
            "shift": rng.randint(0, 5),
        })  # fmt: skip
    return cases


@needs_node
def test_javascript_equals_the_library_on_random_maps():
    cases = random_cases(400)
    expression = """given.map((c) => refusal(c.map, c.settings) ? null
        : pool(moved(c.map, c.shift), c.settings))"""
    answered = 0
    for case, got in zip(cases, in_node(expression, cases, "pooling.js"), strict=True):
        height, width = case["map"]["height"], case["map"]["width"]
        kernel, stride, kind = (case["settings"][name] for name in ("kernel", "stride", "kind"))
        assert (got is None) == (max(kernel, stride) > min(height, width)), case
        if got is None:
            continue
        answered += 1
        shown = np.array(case["map"]["values"]).reshape(height, width)
        shown = np.roll(shown, case["shift"], axis=1)
        outputs = pooling_windows.pool(shown, kernel, stride, kind)
        assert (got["height"], got["width"]) == outputs.shape
        np.testing.assert_allclose(got["outputs"], outputs.ravel(), rtol=1e-12, atol=1e-12)
        assert got["votes"] == pooling_windows.votes(height, width, kernel, stride).ravel().tolist()
        if kind == "average":
            assert set(got["winners"]) == {-1} and not any(got["wins"])
            continue
        winners = pooling_windows.winners(shown, kernel, stride).ravel()
        assert got["winners"] == winners.tolist(), case
        wins = np.bincount(winners[winners >= 0], minlength=height * width)
        assert got["wins"] == wins.tolist()
    assert 200 < answered < 400


@needs_node
def test_javascript_measures_a_shift_as_the_library_does():
    cases = random_cases(60)
    expression = "given.map((c) => change(c.map.values, moved(c.map, c.shift).values).share)"
    for case, share in zip(cases, in_node(expression, cases, "pooling.js"), strict=True):
        shape = case["map"]["height"], case["map"]["width"]
        values = np.array(case["map"]["values"]).reshape(shape)
        expected, _ = pooling_windows.shift_change(values, np.roll(values, case["shift"], 1), 1, 1)
        assert share == pytest.approx(expected, abs=1e-12)


@needs_node
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, ["share 1 column of 3", "9 × 9 becomes 4 × 4", "A pixel is in 1, 2 or 4 windows.",
              "Window 6 of 16 keeps 9"]),
        ({"stride": 3}, ["touch and share nothing", "9 × 9 becomes 3 × 3",
                         "A pixel is in 1 window."]),
        ({"kernel": 2}, ["touch", "17 of 81 are in none"]),
        ({"kernel": 2, "stride": 4}, ["a gap of 2 pixels", "9 × 9 becomes 2 × 2"]),
        ({"kind": "average"}, ["averages its 9 pixels to 4.67; nobody wins"]),
        ({"shift": 1}, ["Shifted by 1: ", "outputs change, by "]),
        ({"kernel": 5, "stride": 5, "window": 400},
         ["Window 1 of 1 keeps 9. 1 pixel wins 1 window."]),
    ],
)  # fmt: skip
def test_the_lab_says_what_happens(settings, said):
    text = words(DIGITS, settings)
    for part in said:
        assert part in text, text


def words(a_map: dict, settings: dict) -> str:
    expression = """sentences(given.map, given.state, pool(moved(given.map, given.state.shift),
        given.state), pool(given.map, given.state))"""
    state = pooling_widget.START | settings
    return in_node(expression, {"map": a_map, "state": state}, *SCRIPTS)


@needs_node
def test_the_lab_says_who_wins_how_many_windows():
    winners = pooling_windows.winners(pooling_widget.SMALL_MAP, 3, 2).ravel()
    wins = np.bincount(winners)
    assert ((wins > 0).sum(), len(winners), wins.max()) == (11, 16, 3)
    assert words(DIGITS, {}).endswith(
        "Window 6 of 16 keeps 9. 11 pixels win the 16 windows; one pixel wins 3 of them."
    )
    lone = np.zeros((5, 5))
    lone[2, 2] = 7
    spot = {"height": 5, "width": 5, "values": lone.ravel().tolist()}
    assert words(spot, {"window": 1}).endswith("keeps 7. 1 pixel wins the 4 windows.")
    lone[2, 2], lone[0, 0], lone[0, 4] = 0, 7, 7
    corners = {"height": 5, "width": 5, "values": lone.ravel().tolist()}
    assert words(corners, {"window": 1}).endswith(
        "2 pixels win 2 windows. 2 windows hold one number only, so nobody wins."
    )
    lone[4, 0] = 7
    corners["values"] = lone.ravel().tolist()
    assert words(corners, {"window": 1}).endswith("1 window holds one number only, so nobody wins.")


def test_the_preset_average_keeps_the_map_and_the_window():
    lab = widgets.PoolingLab({"steps": np.arange(900.0).reshape(30, 30)})
    states = {preset["label"]: preset["state"] for preset in lab.presets}
    for name, value in (states["a real map"] | states["average"]).items():
        setattr(lab, name, value)
    assert (lab.shown, lab.window, lab.kind, lab.kernel, lab.stride) == (1, 255, "average", 3, 2)


def test_winners_are_marked_where_rings_fit_unless_asked_for():
    large = {"steps": np.arange(441.0).reshape(21, 21)}
    assert widgets.PoolingLab(large).winners and not widgets.PoolingLab(large, shown=1).winners
    assert widgets.PoolingLab(large, shown=1, winners=True).winners
    states = {preset["label"]: preset["state"] for preset in widgets.PoolingLab(large).presets}
    assert not states.pop("a real map")["winners"]
    assert all(state["winners"] for label, state in states.items() if label != "average")
    small = widgets.PoolingLab({"small": np.ones((20, 20))})
    assert small.presets[-2]["state"]["winners"]


@needs_node
def test_the_page_marks_winners_on_the_same_maps():
    shapes = [[20, 20], [21, 20], [20, 21], [55, 55]]
    expression = "given.map(([height, width]) => hasRings({ height, width }))"
    assert in_node(expression, shapes, *SCRIPTS) == [True, False, False, False]


@needs_node
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("window", 0, "holds nothing"), ("stride", 0, "never leaves the first place"),
        ("window", -2, "can't be negative: -2"), ("stride", -1, "can't be negative: -1"),
        ("window", 2.5, "Pixels come whole"), ("stride", 1.5, "can't be 1.5"),
        ("window", 10, "doesn't fit on a map of 9 × 9"),
        ("stride", 12, "leaves a map of 9 × 9 at the first step"),
        ("window", None, "needs a number"), ("window", 9, ""), ("stride", 1, ""),
    ],
)  # fmt: skip
def test_sizes_that_make_no_sense_get_a_line_of_their_own(name, value, said):
    expression = "sizeProblem(given.name, given.value ?? NaN, given.map)"
    text = in_node(expression, {"name": name, "value": value, "map": DIGITS}, "pooling.js")
    if not said:
        assert text == ""
        return
    assert said in text and text.endswith("Give a whole number from 1 to 9.")


@needs_node
@pytest.mark.parametrize(
    ("typed", "said"),
    [("2,5", "whole number, not 2.5"), ("", "needs a number"), ("two", "needs a number"),
     ("−3", "can't be negative: -3"), ("17", "17 is out of range"), ("0", "0 is out of range"),
     (" 4 ", "")],
)  # fmt: skip
def test_numbers_out_of_a_sliders_range_get_a_line(typed, said):
    expression = 'wholeProblem("window\'s number", typedNumber(given), 1, 16)'
    text = in_node(expression, typed, *SCRIPTS)
    assert said in text and bool(text) == bool(said)


@needs_node
def test_the_pointer_finds_the_nearest_window():
    expression = """given.map(([r, c]) =>
        windowAt(r, c, { height: 4, width: 4 }, { kernel: 3, stride: 2 }))"""
    places = [[0, 0], [1, 1], [3, 3], [8, 8], [1, 8], [-5, 4]]
    assert in_node(expression, places, *SCRIPTS) == [1, 1, 6, 16, 4, 3]


@needs_node
def test_the_bundle_is_one_module_without_imports(tmp_path):
    esm = widgets.PoolingLab._esm
    bundle = tmp_path / "bundle.mjs"
    bundle.write_text(esm, encoding="utf-8")
    done = subprocess.run(
        ["node", "--check", str(bundle)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "\nimport " not in esm and esm.count("export default") == 1


# The Python side


def test_lab_prints_the_same_line_every_time():
    line = (
        "PoolingLab(map=9 × 9 digits, kernel=3, stride=2, kind=max, shift=0, window=6): 9 x 9 "
        "becomes 4 x 4; pixels are in 1, 2, 4 windows; window 6 keeps 9"
    )
    assert repr(widgets.PoolingLab()) == repr(widgets.PoolingLab()) == line


def test_lab_brings_a_still_picture_with_alternative_text():
    data, metadata = widgets.PoolingLab()._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).size[0] == 950  # 1.25 x 760
    assert metadata["image/png"]["alt"] == widgets.PoolingLab().sentence()


def test_presets_can_be_applied():
    lab = widgets.PoolingLab({"steps": np.arange(900.0).reshape(30, 30)})
    start = repr(lab)
    assert len({preset["label"] for preset in lab.presets}) == len(lab.presets)
    sentences = set()
    for preset in lab.presets:
        for name, value in preset["state"].items():
            setattr(lab, name, value)
            assert getattr(lab, name) == value
        lab.picture()
        sentences.add(lab.state().__repr__() + lab.sentence())
    assert len(sentences) == len(lab.presets) - 1, "reset equals the preset of AlexNet"
    assert repr(lab) == start  # it comes last


def test_lab_shows_the_librarys_numbers():
    lab = widgets.PoolingLab({"steps": np.arange(42.0).reshape(6, 7)}, shown=1, stride=3, kernel=2)
    assert lab.outputs.tolist() == [[8, 11], [29, 32]]
    lab.kind, lab.shift = "average", 1
    assert (
        lab.outputs.tolist()
        == pooling_windows.pool(np.roll(lab.map, 1, 1), 2, 3, "average").tolist()
    )


def test_window_that_does_not_fit_still_prints_and_draws():
    lab = widgets.PoolingLab({"tiny": [[1.0, 2.0], [3.0, 4.0]]}, shown=1)
    assert "kernel is 3, wider than the padded input of 2" in repr(lab)
    assert "image/png" in lab._repr_mimebundle_()[0]


@pytest.mark.parametrize(
    ("maps", "settings", "said"),
    [
        ({"a": [1.0, 2.0]}, {}, r"shape \(2,\); give one map"),
        ({"a": np.zeros((96, 55, 55))}, {}, "such as maps"),
        ({"a": np.zeros((65, 3))}, {}, "Cut a piece out"),
        ({"a": [[1.0, -1.0]]}, {}, "comes out of a ReLU"),
        ({"a": [[1.0, float("nan")]]}, {}, "endless numbers"),
        ({"a": [["x"]]}, {}, "doesn't hold numbers"),
        ({}, {"kernel": 0}, "kernel is 0; give a whole number, 1 or more"),
        ({}, {"kernel": 2.5}, "kernel is 2.5; give a whole number"),
        ({}, {"stride": -1}, "stride is -1"),
        ({}, {"shift": True}, "shift is True"),
        ({}, {"kind": "median"}, "choose 'max' or 'average'"),
        ({}, {"shown": 1}, r"the lab has 1 map\(s\)"),
    ],
)
def test_bad_input_is_refused_in_words(maps, settings, said):
    with pytest.raises(ValueError, match=said):
        widgets.PoolingLab(maps, **settings)
