"""The two-tower lab: its JavaScript against the library, its words, its Python side."""

from __future__ import annotations

import base64
import io
import random
import subprocess

import pytest
from PIL import Image

from alexnet_lib import architectures, paper, shapes, towers
from alexnet_lib.course import widgets
from alexnet_lib.course.widgets import two_towers as two_tower_widget
from javascript import in_node, needs_node

SCRIPTS = ("toolkit.js", "towers.js", "typed.js", "tower_words.js")
PAPER = {
    "widths": two_tower_widget.WIDTHS["paper"],
    "both": two_tower_widget.PAPER_BOTH,
    "towers": 2,
}


def evaluate(expression: str, given: object) -> object:
    """Evaluate a JavaScript expression over `given`, with the lab's scripts loaded."""
    return in_node(expression, given, *SCRIPTS)


def sums(rows: list[shapes.TowerRow], name: str) -> tuple[int, int]:
    """One cost of both GPUs, summed over the layers."""
    return tuple(sum(getattr(row, name)[gpu] for row in rows) for gpu in (0, 1))


def random_settings(count: int) -> list[dict]:
    """Settings with every switch on or off, and even widths of all sizes."""
    rng = random.Random(0)
    return [
        {
            "widths": [2 * rng.randint(1, 600) for _ in range(7)] + [rng.randint(1, 1000)],
            "both": [name for name in two_tower_widget.READERS if rng.random() < 0.5],
            "towers": rng.choice([1, 2, 2, 2]), "batch": rng.randint(1, 1024),
        }
        for _ in range(count)
    ]  # fmt: skip


# The library's own counting, against what is counted elsewhere


def test_the_papers_split_costs_what_the_other_functions_say():
    spec = architectures.network("paper")
    rows = shapes.tower_rows(spec, two_tower_widget.PAPER_BOTH)
    assert sums(rows, "parameters") == shapes.tower_parameters(spec) == (32_531_112, 28_434_112)
    assert sums(rows, "macs") == shapes.tower_macs(spec) == (364_251_408, 360_155_408)
    assert sums(rows, "bytes") == shapes.tower_activation_bytes(spec)
    assert sums(rows, "received") == (121_344, 113_152)
    crossing = {
        reader: size for (_, reader), size in shapes.transfer_bytes(spec, paper.TRANSFERS).items()
    }
    assert {row.name: sum(row.received) for row in rows if any(row.received)} == crossing


@pytest.mark.parametrize(
    ("label", "variant"), [("everything connected", "ungrouped"), ("one tower", "one_tower")]
)
def test_presets_cost_what_the_networks_do(label, variant):
    _, widths, both, number, _ = two_tower_widget.PRESETS[label]
    spec = two_tower_widget.tower_network(two_tower_widget.WIDTHS[widths])
    rows = shapes.tower_rows(spec, both, number)
    whole = shapes.totals(architectures.network(variant))
    assert sum(sums(rows, "parameters")) == whole.parameters
    assert sum(sums(rows, "macs")) == whole.macs
    images = 4 * 3 * 227 * 227 * number
    assert sum(sums(rows, "bytes")) - images == whole.bytes_with_norm_and_pool


def test_a_tower_really_holds_what_is_counted():
    for variant in ("paper", "source2012"):
        spec = architectures.network(variant, num_classes=10)
        rows = shapes.tower_rows(spec, shapes.reads_both(spec))
        held = [0, 0]
        empty = towers.parameter_tensors(spec)
        for tower in (0, 1):
            for name, _, index in towers.pieces(spec, tower):
                held[tower] += empty[name][index].numel()
        assert sums(rows, "parameters") == tuple(held)


def test_what_the_chapter_says_of_the_lab_is_so():
    silent = two_tower_widget.PRESETS["towers that never talk"]
    spec = two_tower_widget.tower_network(two_tower_widget.WIDTHS["paper"])
    ours = shapes.tower_rows(spec, two_tower_widget.PAPER_BOTH)
    full = shapes.tower_rows(spec, two_tower_widget.READERS)
    assert sum(full[1].received) == 279_936 > sum(sums(ours, "received")) == 234_496
    assert sum(ours[2].received) == 173_056
    more = sum(sums(full, "parameters")) / sum(sums(ours, "parameters")) - 1
    assert sum(sums(full, "parameters")) - sum(sums(ours, "parameters")) == 1_413_120
    assert round(100 * more, 1) == 2.3
    assert round(100 * (sum(sums(full, "macs")) / sum(sums(ours, "macs")) - 1)) == 57
    assert silent[2] == ("fc8",) and "41.8%, top-5 19.3%" in silent[4]
    assert two_tower_widget.WIDTHS["150"][1] == 320 and two_tower_widget.WIDTHS["150"][5] == 8192
    apart = shapes.tower_rows(
        two_tower_widget.tower_network(two_tower_widget.WIDTHS["150"]), silent[2]
    )
    for cost in ("parameters", "macs"):
        assert sum(sums(apart, cost)) == pytest.approx(sum(sums(ours, cost)), rel=0.005)
    one = shapes.tower_rows(two_tower_widget.tower_network(two_tower_widget.WIDTHS["half"]), (), 1)
    memory = [12 * sums(r, "parameters")[0] + 128 * sums(r, "bytes")[0] for r in (one, ours)]
    assert memory[0] > memory[1]
    level = 4 * 60_965_224 / (2 * 234_496)
    assert round(level) == 520


@pytest.mark.parametrize(
    ("both", "number", "widths", "said"),
    [(["conv1"], 2, "paper", "'conv1' can't read both towers; choose of conv2, conv3"),
     (["pool2"], 2, "paper", "'pool2' can't read both towers"),
     ([], 3, "paper", "towers is 3; give 1 or 2"),
     ([], 2, "odd", "conv2 has 255 channels; two towers need an even number")],
)  # fmt: skip
def test_splits_that_cannot_be_are_refused_in_words(both, number, widths, said):
    chosen = [96, 255, *two_tower_widget.WIDTHS["paper"][2:]]
    chosen = two_tower_widget.WIDTHS["paper"] if widths == "paper" else chosen
    with pytest.raises(ValueError, match=said):
        shapes.tower_rows(two_tower_widget.tower_network(chosen), both, number)


# JavaScript


@needs_node
def test_javascript_equals_the_library():
    settings = random_settings(400)
    both_of = "given.map((s) => [towerRows(s), towerTotals(towerRows(s), s.batch)])"
    theirs = evaluate(both_of, settings)
    for setting, (rows, totals) in zip(settings, theirs, strict=True):
        spec = two_tower_widget.tower_network(setting["widths"])
        expected = shapes.tower_rows(spec, setting["both"], setting["towers"])
        for got, right in zip(rows, expected, strict=True):
            for name in ("parameters", "macs", "bytes", "received"):
                assert tuple(got[name]) == getattr(right, name), (setting, right.name, name)
        parameters, macs, held, received = (
            sums(expected, name) for name in ("parameters", "macs", "bytes", "received")
        )
        batch = setting["batch"]
        assert totals["parameters"] == list(parameters) and totals["macs"] == list(macs)
        assert totals["learned"] == [12 * count for count in parameters]
        assert totals["outputs"] == [batch * count for count in held]
        assert totals["lent"] == [batch * count for count in received]
        assert totals["sent"] == [received[1], received[0]]
        assert totals["crossing"] == sum(received)
        assert totals["step"] == 2 * batch * sum(received)


@needs_node
def test_javascript_has_the_networks_stages():
    rows = {row.name: row for row in shapes.walk(architectures.network("paper"))}
    layers = evaluate("LAYERS", None)
    assert [layer["name"] for layer in layers] == ["conv1", *two_tower_widget.READERS]
    for layer in layers:
        output = rows[layer["name"]].output
        assert layer["side"] == (output[1] if len(output) == 3 else 1)


@needs_node
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "For each picture 234,496 bytes cross forward, and as many backward: 60.0 MB a step "
             "with batch 128."),
        ({"both": ["fc8"]}, "For each picture 8,192 bytes cross forward, and as many backward: "
                            "2.1 MB a step"),
        ({"both": []}, "nobody reads what GPU 1 computes"),
        ({"both": ["conv3"]}, "fc8 reads GPU 0 alone: nobody reads GPU 1's fc7."),
        (
            {"towers": 1, "both": [], "widths": two_tower_widget.WIDTHS["half"]},
            "All on GPU 0, nothing",
        ),
    ],
)  # fmt: skip
def test_the_lab_says_what_crosses(changes, said):
    setting = PAPER | {"batch": 128} | changes
    line = evaluate("sentences(given, towerTotals(towerRows(given), given.batch))", setting)
    assert said in line
    assert ("nobody" in line) == (setting["towers"] == 2 and "fc8" not in setting["both"])


@needs_node
@pytest.mark.parametrize(
    ("typed", "said"),
    [("", "box is empty"), ("many", "“many” is not a number"), ("-3", "-3 is negative"),
     ("2.5", "2.5 is not a whole number"), ("0", "0 is too small: a step needs a picture"),
     ("1025", "1025 is too large"), ("128", ""), (" 1 ", ""), ("1024", "")],
)  # fmt: skip
def test_each_bad_batch_gets_a_line_of_its_own(typed, said):
    line = evaluate("batchTrouble(given, { min: 1, max: 1024 })", typed)
    assert (said in line) if said else line == ""
    assert not line or len(line) < 120


@needs_node
def test_the_bundle_is_one_module_without_imports(tmp_path):
    bundle = tmp_path / "bundle.mjs"
    bundle.write_text(widgets.TowerLab._esm, encoding="utf-8")
    command = ["node", "--check", str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "\nimport " not in widgets.TowerLab._esm
    assert widgets.TowerLab._esm.count("export default") == 1


# Python's side


def test_lab_prints_the_same_line_every_time():
    line = (
        "TowerLab(both=['conv3', 'fc6', 'fc7', 'fc8'], batch=128): GPU 0 holds 32,531,112 "
        "parameters, GPU 1 28,434,112; 234,496 bytes cross forward for a picture, 60,030,976 in "
        "a step"
    )
    assert repr(widgets.TowerLab()) == repr(widgets.TowerLab()) == line


def test_lab_brings_a_still_picture():
    lab = widgets.TowerLab(both=["fc8"])
    data, metadata = lab._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}
    Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).verify()
    assert metadata["image/png"]["alt"] == lab.sentence()
    texts = {text.get_text() for text in lab.picture().texts}
    assert {"8,192 B", "fc8: 1,000", "conv2: 128", "not here"} <= texts
    lines = [len(widgets.TowerLab(both=both).picture().lines) for both in ([], ["conv3"], ["fc8"])]
    assert lines == [13, 15, 14]  # conv3 reads two more halves, fc8 one more


def test_presets_can_be_applied_and_the_last_leads_back():
    lab = widgets.TowerLab()
    assert [preset["label"] for preset in lab.presets] == [*two_tower_widget.PRESETS, "reset"]
    sentences = set()
    for preset in lab.presets:
        for name, value in preset["state"].items():
            setattr(lab, name, value)
        sentences.add(lab.sentence())
    assert len(sentences) == len(two_tower_widget.PRESETS)  # reset is the first
    assert repr(lab) == repr(widgets.TowerLab())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"both": ["conv9"]}, "'conv9' can't read both"), ({"batch": 0}, "batch is 0; give a whole"),
     ({"batch": 2.5}, "batch is 2.5"), ({"batch": 2000}, "from 1 to 1024"),
     ({"towers": 3}, "towers is 3"),
     ({"widths": [2, 4]}, "widths has 2 numbers; the network has 8")],
)  # fmt: skip
def test_bad_input_is_refused_in_words(arguments, said):
    with pytest.raises(ValueError, match=said):
        widgets.TowerLab(**arguments)
