"""The README's figures are the records', and stay so."""

from __future__ import annotations

import pytest

from alexnet_lib import records, results

README = records.root() / "README.md"


def test_the_readme_shows_what_the_records_say():
    text = README.read_text(encoding="utf-8")
    inside = text.split(results.BEGIN)[1].split(results.END)[0]
    assert inside.strip() == results.table(), "run: python -m alexnet_lib results --write"


def test_the_page_on_scaling_shows_what_is_calculated():
    text = (records.root() / "docs" / "scaling.md").read_text(encoding="utf-8")
    inside = text.split(results.BEGIN)[1].split(results.END)[0]
    assert inside.strip() == results.scaling(), "run: python -m alexnet_lib results --write"


def test_the_table_names_hardware_and_figures():
    table = results.table()
    best = records.read("imagenette_paper")["best"]
    assert f"{best['val_top1']:.1%} top-1" in table
    assert records.read("imagenette_paper")["environment"]["hardware"]["processor"] in table


def test_write_replaces_only_what_stands_between_the_markers(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{results.BEGIN}\nold\n{results.END}\nafter\n", encoding="utf-8")
    assert results.write(readme)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert not results.write(readme)


def test_a_readme_without_markers_is_refused(tmp_path):
    (tmp_path / "README.md").write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="no markers"):
        results.write(tmp_path / "README.md")
