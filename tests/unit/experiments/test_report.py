"""The README's figures are the records', and stay so."""

from __future__ import annotations

import pytest

from alexnet_lib import records
from alexnet_lib.benchmarks import sliders as slider_benchmark
from alexnet_lib.experiments import report

README = records.root() / "README.md"


def test_the_readme_shows_what_the_records_say():
    text = README.read_text(encoding="utf-8")
    inside = text.split(report.BEGIN)[1].split(report.END)[0]
    assert inside.strip() == report.table(), "run: python -m alexnet_lib results --write"


def test_the_page_on_scaling_shows_what_is_calculated():
    text = (records.root() / "docs" / "scaling.md").read_text(encoding="utf-8")
    inside = text.split(report.BEGIN)[1].split(report.END)[0]
    assert inside.strip() == report.scaling(), "run: python -m alexnet_lib results --write"


def test_the_table_names_hardware_and_figures():
    table = report.table()
    best = records.read("imagenette_paper")["best"]
    assert f"{best['val_top1']:.1%} top-1" in table
    assert records.read("imagenette_paper")["environment"]["hardware"]["processor"] in table


def test_write_replaces_only_what_stands_between_the_markers(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}\nstale words\n{report.END}\nafter\n", "utf-8")
    assert report.write(readme)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("\nafter\n")
    assert "stale words" not in text
    assert not report.write(readme)


def test_a_readme_without_markers_is_refused(tmp_path):
    (tmp_path / "README.md").write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="no markers"):
        report.write(tmp_path / "README.md")


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
    table = report.table()
    assert "a fine CPU, 2 cores, headless Chromium 156.0, load average 0.12 before" in table
    assert "30 presses of each" in table
    assert "JavaScript 16 and 50 ms, Python 50 and 100 ms" in table
    assert table.splitlines()[4:] == [
        "| 05 | JavaScript | 2 | 8 ms | 51 ms | 1 of 2 |",
        "| 06 | Python | 1 | none answered | none answered | 0 of 1 |",
    ]


def test_a_system_without_load_averages_is_no_obstacle(slider_record):
    slider_record["load_average"] = {"before": None, "after": None}
    records.write("bench_sliders", slider_record)
    assert "headless Chromium 156.0: from an arrow key" in report.table()
