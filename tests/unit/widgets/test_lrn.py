"""The LRN labs: their JavaScript against the library, what it says in words, their Python side."""

from __future__ import annotations

import base64
import io
import random
import subprocess

import pytest
import torch
from PIL import Image

from alexnet_lib import ops, plots
from alexnet_lib.course import widgets
from alexnet_lib.course.widgets.javascript_lab import lrn_conventions
from alexnet_lib.paper import CONVENTIONS
from javascript import in_node as in_plain_node
from javascript import needs_node

QUIET = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
LOUD = [8, 8, 8, 8, 8, 9, 8, 8, 8, 8]
ARTICLE = {"convention": "seed", "size": 2, "k": 0, "alpha": 2, "beta": 2}


def in_node(expression: str, given: object, *scripts: str) -> object:
    """Evaluate JavaScript with the library's conventions, as the labs do."""
    return in_plain_node(expression, given, *scripts, CONVENTIONS=lrn_conventions())


def python_lrn(values: list[float], constants: dict) -> list[float] | None:
    """What the library makes of a row in float64, or None where it refuses."""
    row = torch.tensor([values], dtype=torch.float64)
    try:
        return ops.local_response_norm(row, **constants)[0].tolist()
    except ValueError:
        return None


def random_cases(count: int) -> list[dict]:
    """Rows and constants over all conventions: odd and even sizes, k = 0, rows with zeros."""
    rng = random.Random(0)
    cases = []
    for number in range(count):
        length = rng.choice([1, 2, 5, 10, 16])
        values = [rng.choice([0.0, round(rng.uniform(0, 300), 3)]) for _ in range(length)]
        constants = {
            "convention": list(CONVENTIONS)[number % len(CONVENTIONS)],
            "size": rng.randint(1, 9), "alpha": 10 ** rng.uniform(-5, 1),
            "beta": rng.choice([0, 0.5, 0.75, 1, 2, 2.95]), "k": rng.choice([0, 1e-5, 1, 2, 3.7]),
        }  # fmt: skip
        cases.append({"values": values, "constants": constants})
    return cases


@needs_node
def test_javascript_equals_the_library_in_every_convention():
    cases = random_cases(400)
    refused = "refusal(c.constants) ? null : lrn(c.values, c.constants)"
    theirs = in_node(f"given.map((c) => {refused})", cases, "lrn.js")
    answered = 0
    for case, got in zip(cases, theirs, strict=True):
        expected = python_lrn(case["values"], case["constants"])
        assert (got is None) == (expected is None), case
        if expected is not None:
            answered += 1
            assert got == pytest.approx(expected, rel=1e-12, abs=1e-300), case
    assert 300 < answered < 400  # some are refused: even sizes in Caffe, k = 0 in cuDNN


@needs_node
def test_javascript_gives_the_articles_rows():
    quiet, loud = in_node("given.rows.map((row) => normalize(row, given.constants))",
                          {"rows": [QUIET, LOUD], "constants": ARTICLE}, "lrn.js")  # fmt: skip
    assert quiet["outputs"] == QUIET
    assert [i for i, empty in enumerate(quiet["undefined"]) if empty] == [0, 1, 2, 3, 7, 8, 9]
    ends, beside, far = 4.88281e-4, 1.83146e-4, 2.17014e-4
    expected = [ends, far, far, far, beside, 2.06039e-4, beside, far, far, ends]
    assert loud["outputs"] == pytest.approx(expected, rel=1e-5)
    assert loud["divisors"][5] == 209**2 and loud["windows"][0] == [0, 1]


@needs_node
def test_javascript_knows_the_librarys_conventions_and_windows():
    reach = """Object.fromEntries(Object.entries(CONVENTIONS).map(([name, rule]) => [name,
        given.map((size) => rule.oddOnly && size % 2 === 0 ? null : rule.reach[size - 1])]))"""
    sizes = list(range(1, 10))
    theirs = in_node(reach, sizes, "lrn.js")
    assert list(theirs) == list(CONVENTIONS)
    for convention, windows in theirs.items():
        for size, window in zip(sizes, windows, strict=True):
            if window is None:
                with pytest.raises(ValueError, match="odd sizes only"):
                    ops.window(convention, size)
            else:
                assert tuple(window) == ops.window(convention, size), (convention, size)


@needs_node
def test_javascript_writes_numbers_as_plots_does():
    rng = random.Random(1)
    values = [0, 1, 9, 10, 99.95, 100.5, 1.125, 2.375, 0.001, 9.999e-4, 43681, 99999.6, 1e5, 2e-4]
    values += [rng.choice([-1, 1]) * 10 ** rng.uniform(-9, 9) for _ in range(500)]
    assert in_node("given.map(number)", values, "toolkit.js") == [plots.number(v) for v in values]


@needs_node
@pytest.mark.parametrize(
    ("row", "constants", "said"),
    [
        (LOUD, ARTICLE, [
            "The 9 in channel 5 is divided by 43681 and becomes 2.06e-4",
            "above its neighbours (1.83e-4)", "below the other 8s (2.17e-4)",
            "Both ends have fewer neighbours, so they stay higher: 4.88e-4."]),
        (QUIET, ARTICLE, ["becomes 1: above its neighbours (0)", "7 channels would be 0/0"]),
        (QUIET, ARTICLE | {"k": 1}, ["divided by 4 and becomes 0.25"]),
        ([0] * 10, ARTICLE, ["0/0, which counts as 0", "9 more channels would be 0/0"]),
        (LOUD, ARTICLE | {"beta": 0}, ["divided by 1 and becomes 9", "above the other 8s (8)"]),
    ],
)  # fmt: skip
def test_the_lab_says_what_happened(row, constants, said):
    expression = "sentences(given.row, normalize(given.row, given.constants), 5)"
    given = {"row": row, "constants": constants}
    text = in_node(expression, given, "toolkit.js", "bars.js", "lrn.js", "lrn_lab.js")
    for part in said:
        assert part in text


@needs_node
def test_the_lab_shows_its_arithmetic():
    expression = "arithmetic(given.row, given.constants, normalize(given.row, given.constants), 5)"
    text = in_node(expression, {"row": LOUD, "constants": ARTICLE},
                   "toolkit.js", "bars.js", "lrn.js", "lrn_lab.js")  # fmt: skip
    assert text == "9 / (0 + 2/2 · (8² + 9² + 8²))^2 = 9 / 209^2 = 2.06e-4"


@needs_node
def test_conventions_that_agree_are_grouped():
    expression = """agreement(Object.fromEntries(Object.keys(CONVENTIONS).map((name) =>
        [name, refusal({ ...given, convention: name }) ? null
               : normalize(given.values, { ...given, convention: name })])))"""
    given = {"values": LOUD, "size": 5, "alpha": 1, "beta": 0.75, "k": 1}
    groups = in_node(expression, given, "toolkit.js", "bars.js", "lrn.js", "conventions_lab.js")
    assert groups == [
        ["paper"], ["seed", "source2012", "pytorch", "caffe", "cudnn", "onnx"], ["tensorflow"],
    ]  # fmt: skip


@needs_node
def test_the_conventions_lab_says_who_gives_what():
    expression = """sentence(Object.fromEntries(Object.keys(CONVENTIONS).map((name) =>
        [name, refusal({ ...given, convention: name }) ? null
               : normalize(given.values, { ...given, convention: name })])), 5, given.values[5])"""
    given = {"values": [0, 0, 0, 8, 0, 4, 0, 0, 0, 0], "size": 4, "alpha": 1, "beta": 0.75, "k": 1}
    text = in_node(expression, given, "toolkit.js", "bars.js", "lrn.js", "conventions_lab.js")
    assert text == (
        "The same constants under eight conventions: 4 different rows. The 4 in channel 5 becomes "
        "0.148 (the paper, TensorFlow), 0.408 (the article, the 2012 source, PyTorch), "
        "1.2 (cuDNN, ONNX). Caffe refuses these constants."
    )


@needs_node
@pytest.mark.parametrize("lab", [widgets.LRNLab, widgets.ConventionsLab])
def test_the_bundle_is_one_module_without_imports(lab, tmp_path):
    bundle = tmp_path / "bundle.mjs"
    bundle.write_text(lab._esm, encoding="utf-8")
    command = ["node", "--check", str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "\nimport " not in lab._esm and lab._esm.count("export default") == 1


def test_lab_starts_with_the_articles_example():
    lab = widgets.LRNLab()
    assert lab.values == LOUD and lab.channel == 5
    assert lab.constants == ARTICLE
    assert lab.outputs == pytest.approx(python_lrn(LOUD, ARTICLE), rel=1e-12)


def test_lab_prints_the_same_line_every_time():
    line = (
        "LRNLab(values=8888898888, convention=seed, size=2, k=0, alpha=2, beta=2): "
        "the 9 in channel 5 becomes 2.06e-4, its neighbours 1.83e-4"
    )
    assert repr(widgets.LRNLab()) == repr(widgets.LRNLab()) == line
    assert "values=[0.5, 20]" in repr(widgets.LRNLab([0.5, 20]))


@pytest.mark.parametrize("lab", [widgets.LRNLab, widgets.ConventionsLab])
def test_lab_brings_a_still_picture_with_alternative_text(lab):
    data, metadata = lab()._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).size[0] == 1140
    assert metadata["image/png"]["alt"] == lab().sentence()


@pytest.mark.parametrize("lab", [widgets.LRNLab, widgets.ConventionsLab])
def test_presets_can_be_applied(lab):
    shown = lab()
    assert len({preset["label"] for preset in shown.presets}) == len(shown.presets)
    sentences = set()
    for preset in shown.presets:
        for name, value in preset["state"].items():
            setattr(shown, name, value)
            assert getattr(shown, name) == value
        sentences.add(shown.sentence())
    assert len(sentences) >= len(shown.presets) - 1  # "reset" may equal one of the others
    assert repr(shown) == repr(lab())  # it comes last


def test_presets_hold_the_conventions_own_constants():
    by_label = {preset["label"]: preset["state"] for preset in widgets.LRNLab().presets}
    for label, name in (("the paper's constants", "paper"), ("PyTorch's defaults", "pytorch")):
        own, state = CONVENTIONS[name], by_label[label]
        assert (state["convention"], state["size"], state["k"]) == (name, own.size, own.k)
        assert (state["alpha"], state["beta"]) == (own.alpha, own.beta)


def test_lab_that_is_refused_still_prints_and_draws():
    lab = widgets.LRNLab(convention="caffe", size=4, k=1.0)
    assert "odd sizes only" in repr(lab)
    lab = widgets.LRNLab(convention="cudnn", k=0.0, size=3)
    assert "1e-5" in repr(lab) and "image/png" in lab._repr_mimebundle_()[0]


def test_bad_input_is_refused_in_words():
    with pytest.raises(ValueError, match="did you mean 'pytorch'"):
        widgets.LRNLab(convention="pytroch")
    with pytest.raises(ValueError, match="0 or more"):
        widgets.LRNLab([1, -1])
    with pytest.raises(ValueError, match="one row of numbers"):
        widgets.ConventionsLab([[1, 2], [3, 4]])
