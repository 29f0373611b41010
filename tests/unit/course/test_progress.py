"""The table of what a learner has done, against the notebooks themselves."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest

from alexnet_lib.course import progress, progress_file
from alexnet_lib.course.exercises import EXERCISES

CHAPTERS = Path(__file__).resolve().parents[3] / "chapters"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ALEXNET_LEARNER", str(tmp_path / "learner"))
    return tmp_path / "learner"


def notebook(path, title, *sources):
    cells = [nbformat.v4.new_markdown_cell(title), *map(nbformat.v4.new_code_cell, sources)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


class Table(HTMLParser):
    """Reads a table: its rows as lists of cell texts, where labels stand for their signs."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.scopes, self.caption, self._label = [], [], "", None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.scopes.append(attributes.get("scope"))
        elif attributes.get("role") == "img":
            self._label = attributes["aria-label"]

    def handle_data(self, data):
        if not self.rows:
            self.caption += data
        elif self.rows[-1]:
            self.rows[-1][-1] += self._label or data
        self._label = None


def test_every_prediction_of_the_notebooks_is_counted_in_its_chapter():
    for chapter in progress.chapters():
        (path,) = CHAPTERS.glob(f"{chapter.number}_*.ipynb")
        asked = 0
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                printed = [o.data.get("text/plain", "") for o in cell.outputs if "data" in o]
                asked += sum(text.startswith("Predict: ") for text in printed)
        assert len(chapter.predictions) == asked, f"chapter {chapter.number}"
        assert all(key.startswith(f"{chapter.number}-") for key in chapter.predictions)
        assert nbformat.read(path, as_version=4).cells[0].source.splitlines()[0].endswith(
            f"· {chapter.title}"
        )  # fmt: skip
    assert sum(len(chapter.exercises) for chapter in progress.chapters()) == len(EXERCISES)


def test_chapters_of_another_folder(tmp_path):
    notebook(
        tmp_path / "00_start_here.ipynb", "# Chapter 0 · A start\n\n**Why?**",
        'widgets.predict("00-a", "Which?", number=True)',
        "widgets.predict(\n    '00-b', 'Which?', choices=['a'])\nwidgets.recall('00-c', 1)",
        'widgets.predict("00-a", "The same again", number=True)',
    )  # fmt: skip
    notebook(tmp_path / "00_start_here-Copy1.ipynb", "# x", 'widgets.predict("00-z", "", 1)')
    notebook(tmp_path / "07_the_whole_network.ipynb", "no title here")
    (tmp_path / "01_broken_one.ipynb").write_text("{half")
    (tmp_path / "02_other_things.ipynb").write_text("[1]")
    found = {chapter.number: chapter for chapter in progress.chapters(tmp_path)}
    assert found["00"].title == "A start" and found["00"].predictions == ("00-a", "00-b")
    assert found["01"].title == "Broken one" and found["01"].predictions == ()
    assert found["02"].title == "Other things"
    assert found["07"].title == "The whole network"
    assert [e.name for e in found["05"].exercises] == ["lrn_row", "lrn", "convert"]


def test_the_text_when_nothing_is_done():
    lines = repr(progress.progress()).splitlines()
    assert re.fullmatch(r"chapter +predictions +exercises", lines[0])
    assert re.fullmatch(r"00 Start here +0 of 1 +0 of 1 +○ output_size ★☆☆", lines[1])
    assert re.fullmatch(rf"all +0 of \d+ +0 of {len(EXERCISES)}", lines[-1])
    assert len(lines) == 2 + len(progress.chapters())
    assert len({re.search(r"\d of \d+", line).end() for line in lines[1:]}) == 1, "columns in line"


def test_the_text_when_something_is_done(home):
    progress_file.note("predictions", "00-window", 54.0)
    progress_file.note("predictions", "99-gone", 1)  # no longer asked
    progress_file.note("passed", "lrn", {})
    progress_file.note("passed", "from_the_future", {})
    progress_file.note("solutions", "lrn", "2026-01-02")
    shown = progress.progress()
    lines = repr(shown).splitlines()
    assert shown.passed >= {"lrn"} and "00-window" in shown.predicted
    assert re.match(r"00 Start here +1 of 1 +0 of 1 ", lines[1])
    (lrn,) = (line for line in lines if line.startswith("05"))
    assert re.search(r"1 of 3   ○ lrn_row ★☆☆   ✓ lrn ★★☆   ○ convert ★★★$", lrn)
    assert re.match(rf"all +1 of \d+ +1 of {len(EXERCISES)}$", lines[-2])
    assert lines[-1] == "looked at: 1 solution"


def test_the_table_says_the_same_to_who_cannot_see_it(home):
    progress_file.note("passed", "lrn", {})
    shown = progress.progress()
    table = Table(shown._repr_html_())
    assert table.caption == "Your predictions and exercises, chapter by chapter"
    assert table.rows[0] == ["chapter", "predictions", "exercises", "which"]
    assert table.scopes[:4] == ["col"] * 4 and table.scopes[4::4] == ["row"] * (len(table.rows) - 1)
    (lrn,) = (row for row in table.rows if row[0].startswith("05"))
    assert lrn[3] == (
        "open lrn_row difficulty 1 of 3, passed lrn difficulty 2 of 3, open convert "
        "difficulty 3 of 3"
    )
    text = [line.split("   ")[0] for line in repr(shown).splitlines()[1:]]
    assert [row[0] for row in table.rows[1:]] == text


def test_trouble_comes_first(home):
    home.mkdir()
    (home / "progress.json").write_text("{half")
    shown = progress.progress()
    assert repr(shown).startswith("learner/progress.json can't be read")
    assert "learner/progress.json can't be read" in shown._repr_html_()


def test_chapter_00_shows_the_table_as_it_is_now():
    path = CHAPTERS / "00_start_here.ipynb"
    outputs = [
        output["data"] for cell in json.loads(path.read_text("utf-8"))["cells"]
        if "checks.progress()" in "".join(cell["source"]) and cell["cell_type"] == "code"
        for output in cell["outputs"]
    ]  # fmt: skip
    assert len(outputs) == 1
    again = "a chapter's predictions or exercises changed: run `make chapters ONLY=00`"
    assert "".join(outputs[0]["text/plain"]) == repr(progress.progress()), again
    assert "".join(outputs[0]["text/html"]) == progress.progress()._repr_html_(), again
