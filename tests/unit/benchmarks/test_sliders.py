"""How soon the demos answer: the statistics, the table, and what a user is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alexnet_lib import records
from alexnet_lib.benchmarks import run as run_benchmarks
from alexnet_lib.benchmarks import sliders as slider_benchmark
from alexnet_lib.cli import commands as cli


def row(chapter="05_norm", kind="JavaScript", times=(5.0,), **more):
    where = {"chapter": chapter, "demo": "LRN lab", "slider": "k"}
    return where | slider_benchmark.summarize(kind, times) | more


@pytest.mark.parametrize("count", [1, 2, 3, 19, 20, 21, 30])
def test_the_figures_are_those_of_numpy(count):
    times = np.random.default_rng(count).exponential(20, count)
    made = slider_benchmark.summarize("Python", list(times))
    assert made["presses"] == count
    assert made["median_ms"] == pytest.approx(np.median(times), abs=0.051)
    nearest = np.quantile(times, 0.95, method="inverted_cdf")
    assert made["p95_ms"] == pytest.approx(nearest, abs=0.051)
    assert made["most_ms"] == pytest.approx(times.max(), abs=0.051)


@pytest.mark.parametrize(
    ("kind", "times", "unanswered", "meets"),
    [
        ("JavaScript", [16] * 29 + [50], 0, True),
        ("JavaScript", [16] * 19 + [51], 0, True),  # 19 of 20 are 95%
        ("JavaScript", [16] * 18 + [51] * 2, 0, False),
        ("JavaScript", [17] * 20, 0, False),
        ("Python", [17] * 20, 0, True),
        ("Python", [50] * 18 + [100] * 2, 0, True),
        ("Python", [50] * 18 + [101] * 2, 0, False),
        ("Python", [51] * 20, 0, False),
        ("Python", [5] * 20, 1, False),
        ("Python", [], 0, False),
    ],
)
def test_the_figure_is_met_up_to_its_limits(kind, times, unanswered, meets):
    made = slider_benchmark.summarize(kind, times, unanswered)
    assert made["meets"] is meets
    assert made["presses"] == len(times) + unanswered
    assert (made["median_ms"] is None) == (not times)


def test_the_table_has_a_line_for_each_slider():
    rows = [
        row(times=[5.25, 7.5, 6.0]),
        row(kind="Python", times=[200.0], slider="a long name"),
        row(kind="Python", times=[]) | {"unanswered": 3, "presses": 3},
    ]
    head, met, missed, unanswered = slider_benchmark.table(rows).splitlines()
    assert head.split()[-4:] == ["median", "p95", "most", "figure"]
    assert met.split()[-5:] == ["3", "6.0", "7.5", "7.5", "met"]
    assert missed.split()[-5:] == ["1", "200.0", "200.0", "200.0", "missed"]
    assert unanswered.endswith("missed, 3 unanswered") and " -  " in unanswered
    assert {line.index(kind) for line, kind in
            [(head, "kind"), (met, "JavaScript"), (missed, "Python")]} == {head.index("kind")}


def test_chapters_are_summed_up_by_kind():
    rows = [
        row(times=[4.0]), row(times=[8.0]), row(times=[60.0]),
        row(kind="Python", times=[40.0]),
        row("06_two", times=[]), row("06_two", times=[3.0]),
        row("07_map", times=[]),
    ]
    javascript, python, partly, none = slider_benchmark.by_chapter(rows)
    assert javascript == {
        "chapter": "05_norm", "kind": "JavaScript", "sliders": 3, "median_ms": 8.0,
        "worst_p95_ms": 60.0, "meet": 2,
    }
    assert (python["kind"], python["sliders"], python["meet"]) == ("Python", 1, 1)
    assert (partly["sliders"], partly["median_ms"], partly["meet"]) == (2, 3.0, 1)
    assert (none["median_ms"], none["worst_p95_ms"], none["meet"]) == (None, None, 0)


@pytest.mark.parametrize("name", ["5", "05", "05_local_response_normalization.ipynb"])
def test_a_chapter_is_found_by_number_and_name(name):
    (path,) = slider_benchmark.chapters([name, "05"])
    assert path.name == "05_local_response_normalization.ipynb"


def test_all_chapters_come_in_order():
    names = [path.name for path in slider_benchmark.chapters()]
    assert names == sorted(path.name for path in (records.root() / "chapters").glob("*.ipynb"))
    assert [path.stem[:2] for path in slider_benchmark.chapters(["05", "00"])] == ["00", "05"]


def test_an_unknown_chapter_names_those_that_are_there():
    with pytest.raises(ValueError, match="no chapter '77'; there are: 00, .*05"):
        slider_benchmark.measure(["05", "77"])


def test_no_presses_are_refused():
    with pytest.raises(ValueError, match="0 presses can't be timed"):
        slider_benchmark.measure(presses=0)


def test_without_a_checkout_or_playwright_the_next_step_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(slider_benchmark.NoBrowserError, match="pip install playwright"):
        slider_benchmark.script()
    monkeypatch.setattr(records, "root", lambda: tmp_path)
    with pytest.raises(slider_benchmark.NoBrowserError, match="Clone the course"):
        slider_benchmark.script()


def test_without_a_chromium_the_next_step_is_said_and_nothing_written(tmp_path, monkeypatch):
    monkeypatch.setenv("CHROMIUM", "no-such-program")
    with pytest.raises(slider_benchmark.NoBrowserError, match="^no Chromium found. Install one"):
        slider_benchmark.measure(["00"], tmp_path / "sliders.json", presses=1)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def measured(monkeypatch):
    """What `measure` was called with, in place of measuring."""
    calls = []
    monkeypatch.setattr(slider_benchmark, "measure", lambda *given: calls.append(given) or 0)
    return calls


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ([], ([], Path("runs/bench/sliders.json"), 30)),
        (["00", "05", "--rounds", "3"], (["00", "05"], Path("runs/bench/sliders.json"), 3)),
        (["--out", "here"], ([], Path("here/sliders.json"), 30)),
        (["05", "--out", "my/own.json"], (["05"], Path("my/own.json"), 30)),
    ],
)
def test_bench_sliders_measures_what_is_asked(measured, arguments, given):
    assert cli.main(["bench", "sliders", *arguments]) == 0
    assert measured == [given]


def test_all_benchmarks_end_with_the_sliders(measured, monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr(run_benchmarks, "run", lambda *given: asked.append(given) or "x")
    assert cli.main(["bench", "--device", "cpu", "--out", str(tmp_path)]) == 0
    assert asked == [("all", "cpu", tmp_path)]
    assert measured == [([], tmp_path / "sliders.json", 30)]
    assert cli.main(["bench", "lrn", "--device", "cpu"]) == 0
    assert len(measured) == 1


def test_chapters_belong_to_the_sliders(measured, capsys):
    assert cli.main(["bench", "lrn", "05"]) == 1
    assert "chapters are for: python -m alexnet_lib bench sliders" in capsys.readouterr().err


def test_without_a_browser_it_fails_or_says_one_sentence(monkeypatch, capsys):
    def refuse(*given):
        raise slider_benchmark.NoBrowserError("no Chromium found. Install one")

    monkeypatch.setattr(slider_benchmark, "measure", refuse)
    assert cli.main(["bench", "sliders"]) == 1
    assert capsys.readouterr().err == "error: no Chromium found. Install one\n"
    assert cli.main(["bench", "sliders", "--where-possible"]) == 0
    said = capsys.readouterr()
    assert said.out == "the sliders are not measured: no Chromium found. Install one\n"
    assert said.err == ""
