"""The figures in README and docs/ are the records', and stay so."""

from __future__ import annotations

import pytest

from alexnet_lib import records
from alexnet_lib.benchmarks import sliders as slider_benchmark
from alexnet_lib.cli import report
from alexnet_lib.experiments import significance


@pytest.mark.parametrize("page", report.PAGES)
def test_a_page_shows_what_the_records_say(page):
    text = (records.root() / page).read_text(encoding="utf-8")
    inside = text.split(report.BEGIN)[1].split(report.END)[0]
    assert inside.strip() == report.PAGES[page](), "run: python -m alexnet_lib results --write"


def test_the_results_name_hardware_and_figures():
    text = report.results()
    best = records.read("imagenette_paper")["best"]
    assert f"{best['val_top1']:.1%} top-1" in text
    assert records.read("imagenette_paper")["environment"]["hardware"]["processor"] in text


def test_the_short_table_has_at_most_eight_claims_and_not_only_those_that_hold():
    rows = report.findings().splitlines()[2:]
    assert 4 <= len(rows) <= 8
    verdicts = {row.split("|")[-2].strip(" *") for row in rows}
    assert {significance.DIRECTION, significance.OTHER_WAY, significance.NOT_SO} <= verdicts


def test_write_replaces_only_what_stands_between_the_markers(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}\nstale words\n{report.END}\nafter\n", "utf-8")
    assert report.write(readme, "fresh words")
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("\nafter\n")
    assert "stale words" not in text and "fresh words" in text
    assert not report.write(readme, "fresh words")


def test_a_readme_without_markers_is_refused(tmp_path):
    (tmp_path / "README.md").write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="no markers"):
        report.write(tmp_path / "README.md", "words")


@pytest.fixture
def slider_record(monkeypatch, tmp_path):
    """A shipped record of three sliders in two chapters, one of them never answered."""
    where = {"demo": "a lab", "slider": "k"}
    rows = [
        {"chapter": f"{chapter}_name", **where, **slider_benchmark.summarize(kind, times)}
        for chapter, kind, times in [
            ("05", "JavaScript", [7.0] * 30), ("05", "JavaScript", [9.0] * 28 + [51.0, 52.0]),
            ("06", "Python", []),
        ]
    ]
    hardware = {"processor": "a fine CPU", "cores": 2, "gpu": None}
    record = {
        "rows": rows, "presses": 30, "browser": "156.0", "limits_ms": slider_benchmark.LIMITS_MS,
        "load_average": {"before": [0.12, 1, 2], "after": [1.5, 1, 2]},
        "environment": {"hardware": hardware, "packages": {"torch": "2"}},
    }
    monkeypatch.setattr(records, "folder", lambda: tmp_path)
    records.write("bench_sliders", record)
    return record


def test_the_sliders_have_a_line_for_each_chapter(slider_record):
    table = report.results().partition("### Sliders")[2]
    assert "a fine CPU, 2 cores, headless Chromium 156.0, load average 0.12 before" in table
    assert "30 presses of each" in table
    assert "JavaScript 16 and 50 ms, Python 50 and 100 ms" in table
    assert table.splitlines()[-2:] == [
        "| 05 | JavaScript | 2 | 8 ms | 51 ms | 1 of 2 |",
        "| 06 | Python | 1 | none answered | none answered | 0 of 1 |",
    ]


def test_a_system_without_load_averages_is_no_obstacle(slider_record):
    slider_record["load_average"] = {"before": None, "after": None}
    records.write("bench_sliders", slider_record)
    assert "headless Chromium 156.0: from an arrow key" in report.results()
