"""Glossary, its links in the chapters, and the pages of docs/ that learners read."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[3]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
NOTEBOOKS = {path.name[:2]: path for path in sorted((ROOT / "chapters").glob("*.ipynb"))}
GLOSSARY_LINK = re.compile(r"\[([^\]]+)\]\(\.\./docs/glossary\.md#([^)]+)\)")
MAP = re.compile(r"^\| \[?(\d\d) .+\|$", re.MULTILINE)


def load(name: str):
    """A script of chapters/ as a module."""
    path = ROOT / "chapters" / f"{name}.py"
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


link_terms = load("link_terms")
TERMS = link_terms.read_terms(GLOSSARY)


def markdown(path: Path) -> list[str]:
    cells = nbformat.read(path, as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "markdown"]


def links(path: Path) -> list[str]:
    return [match[2] for cell in markdown(path) for match in GLOSSARY_LINK.finditer(cell)]


# The glossary itself


def test_every_entry_is_read_and_says_something():
    headings = re.findall(r"^### (.+)$", GLOSSARY, re.MULTILINE)
    assert len(headings) == len(TERMS) > 60
    names = [term.name for term in TERMS]
    assert names == sorted(names, key=str.lower) and len(set(names)) == len(names)
    for term in TERMS:
        assert term.anchor == term.name.lower().replace(" ", "-")
        assert "00" <= term.explained <= "11" and term.first <= term.explained, term.name
    for body in re.split(r"^### .+$", GLOSSARY, flags=re.MULTILINE)[1:]:
        _, text, where = body.strip().split("\n\n")
        assert 1 <= len(re.findall(r"[.:)](?:\s|$)", text)) <= 4, f"one or two sentences: {text}"
        assert re.fullmatch(r"\*(First|Explained) in .*chapter \d+.*\.\*", where), where


@pytest.mark.parametrize(
    "name",
    ["feature map", "filter", "kernel", "stride", "padding", "receptive field", "channel",
     "activation", "ReLU", "saturation", "dead unit", "LRN", "lateral inhibition",
     "overlapping pooling", "grouped convolution", "tower", "MAC", "parameter", "logits",
     "softmax", "top-1 error", "epoch", "batch", "step", "momentum", "weight decay",
     "learning rate", "schedule", "initialization", "fan-in", "dropout", "augmentation",
     "PCA colour noise", "ten views", "validation", "overfitting", "seed", "ablation", "record",
     "data parallel", "all-reduce", "rank", "checkpoint", "occlusion", "deconvolution",
     "nearest neighbour", "ensemble"],
)  # fmt: skip
def test_the_term_is_there(name):
    assert name in {term.name for term in TERMS}


# The chapters


def test_the_links_are_as_the_script_makes_them():
    changed, wrong = link_terms.update(ROOT / "chapters", ROOT / "docs/glossary.md", write=False)
    assert not changed, f"run `python chapters/link_terms.py`: {changed} would change"
    assert not wrong, wrong


@pytest.mark.parametrize("path", NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_glossary_links_lead_to_an_entry_and_stand_once(path):
    found = links(path)
    assert set(found) <= {term.anchor for term in TERMS}
    assert len(found) == len(set(found)), "a term is linked twice"


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.anchor)
def test_the_chapter_that_explains_a_term_links_it(term):
    if term.explained not in NOTEBOOKS:
        pytest.skip(f"chapter {term.explained} isn't there yet")
    path = NOTEBOOKS[term.explained]
    prose = re.sub(r"`[^`]*`|^[#|].*$", "", "\n".join(markdown(path)[1:]), flags=re.MULTILINE)
    if any(re.search(rf"\b{re.escape(word)}\b", prose, re.IGNORECASE) for word in term.words):
        assert term.anchor in links(path)
    elif len(NOTEBOOKS) == link_terms.ALL_CHAPTERS:
        assert any(term.anchor in links(path) for path in NOTEBOOKS.values())


def test_links_stand_in_prose_only():
    for path in NOTEBOOKS.values():
        first, *cells = markdown(path)
        assert not GLOSSARY_LINK.search(first), f"{path.name}: its first cell"
        for cell in cells:
            for line in cell.splitlines():
                if line.startswith(("#", "|", "    ", "<details")):
                    assert not GLOSSARY_LINK.search(line), f"{path.name}: {line}"


def test_the_map_of_the_course_has_twelve_chapters_with_links_to_those_there():
    (cell,) = (c for c in markdown(NOTEBOOKS["00"]) if "The map of the course" in c)
    assert MAP.findall(cell) == [f"{number:02}" for number in range(12)]
    linked = re.findall(r"^\| \[(\d\d) [^\]]+\]\(\1_\w+\.ipynb\)", cell, re.MULTILINE)
    assert linked == [number for number in NOTEBOOKS if number != "00"]


# The script, on a small course of its own

SMALL = """# Glossary

### <a id="epoch"></a>epoch
<!-- explained 01 -->

One pass over all pictures.

### <a id="feature-map"></a>feature map
<!-- explained 00; words: feature map, map of a filter -->

The answers of one filter.

### <a id="kernel"></a>kernel
<!-- explained 02; from 01 -->

A filter.

### <a id="relu"></a>ReLU
<!-- explained 01 -->

It cuts at 0.
"""


@pytest.fixture
def small(tmp_path):
    """A maker of a course: small({"00_a": [cells]}) -> the folder of its chapters."""

    def make(chapters):
        (tmp_path / "chapters").mkdir(exist_ok=True)
        (tmp_path / "glossary.md").write_text(SMALL, encoding="utf-8")
        for name, cells in chapters.items():
            first = nbformat.v4.new_markdown_cell("# Title\n\nAn epoch of a ReLU.")
            code = nbformat.v4.new_code_cell("epoch = 'ReLU'")
            rest = [nbformat.v4.new_markdown_cell(cell) for cell in cells]
            notebook = nbformat.v4.new_notebook(cells=[first, code, *rest])
            nbformat.write(notebook, tmp_path / "chapters" / f"{name}.ipynb")
        return tmp_path / "chapters"

    return make


def test_first_uses_are_linked_and_nothing_else(small):
    folder = small({
        "00_a": ["## An epoch\n\n| epoch |\n\n`epoch` $epoch$ [epoch](x.py) <b title='epoch'>x</b> "
                 "multi-epoch\n\n```\nepoch\n```\n\nRestart the kernel. Epochs, then an epoch."],
        "01_b": ["<details><summary>ReLU?</summary>\nA ReLU, an epoch.\n</details>",
                 "**Feature maps** and *ReLUs*; one kernel."],
    })  # fmt: skip
    changed, wrong = link_terms.update(folder, folder.parent / "glossary.md")
    assert changed == ["00_a.ipynb", "01_b.ipynb", "glossary.md"] and wrong == []
    (cell,) = markdown(folder / "00_a.ipynb")[1:]
    assert (
        cell.endswith("Restart the kernel. [Epochs](../docs/glossary.md#epoch), then an epoch.")
        and cell.count("glossary.md") == 1
    )
    folded, plain = markdown(folder / "01_b.ipynb")[1:]
    assert folded == (
        "<details><summary>ReLU?</summary>\nA ReLU, an [epoch](../docs/glossary.md#epoch).\n"
        "</details>"
    ), "only what the chapter has nowhere else is linked in a folded answer"
    assert plain == (
        "**[Feature maps](../docs/glossary.md#feature-map)** and "
        "*[ReLUs](../docs/glossary.md#relu)*; one [kernel](../docs/glossary.md#kernel)."
    )
    glossary = (folder.parent / "glossary.md").read_text(encoding="utf-8")
    assert "*First in [chapter 0](../chapters/00_a.ipynb), explained in [chapter 1](" in glossary
    assert "*First in [chapter 1](../chapters/01_b.ipynb), explained in chapter 2.*" in glossary
    assert "filter.\n\n*First in [chapter 1](../chapters/01_b.ipynb).*" in glossary  # feature map
    assert link_terms.update(folder, folder.parent / "glossary.md") == ([], [])


def test_a_chapter_that_comes_in_between_takes_the_link(small):
    folder = small({"01_b": ["A ReLU.\n"], "02_c": ["A ReLU. A kernel."]})
    link_terms.update(folder, folder.parent / "glossary.md")
    small_glossary = (folder.parent / "glossary.md").read_text(encoding="utf-8")
    small({"00_a": ["A ReLU, a kernel."]})
    (folder.parent / "glossary.md").write_text(small_glossary, encoding="utf-8")
    link_terms.update(folder, folder.parent / "glossary.md")
    assert links(folder / "00_a.ipynb") == ["relu"]
    assert links(folder / "01_b.ipynb") == ["relu"], "the chapter that explains it keeps its own"
    assert links(folder / "02_c.ipynb") == ["kernel"]


def test_the_script_touches_markdown_alone(small):
    folder = small({"00_a": ["An epoch."]})
    path = folder / "00_a.ipynb"
    before = nbformat.read(path, as_version=4)
    link_terms.update(folder, folder.parent / "glossary.md")
    after = nbformat.read(path, as_version=4)
    assert before.cells[:2] == after.cells[:2] and before.metadata == after.metadata
    assert [c.id for c in before.cells] == [c.id for c in after.cells]


def test_code_is_linked_only_where_a_term_gives_it(small):
    folder = small({"01_b": ["`epoch`, `epochs`, `the epoch`, then `relu` and `relu`."]})
    glossary = folder.parent / "glossary.md"
    given = SMALL.replace("explained 01 -->\n\nIt", "explained 01; words: ReLU, `relu` -->\n\nIt")
    glossary.write_text(given, encoding="utf-8")
    link_terms.update(folder, glossary)
    assert markdown(folder / "01_b.ipynb")[1] == (
        "`epoch`, `epochs`, `the epoch`, then [`relu`](../docs/glossary.md#relu) and `relu`."
    )
    assert link_terms.update(folder, glossary) == ([], [])


def test_a_term_that_a_whole_course_never_uses_is_told(small):
    folder = small({f"{n:02}_x": ["A ReLU, a feature map, a kernel."] for n in range(12)})
    _, wrong = link_terms.update(folder, folder.parent / "glossary.md", write=False)
    assert len(wrong) == 1 and wrong[0].startswith("no chapter uses 'epoch' (epoch)")


def test_check_tells_and_writes_nothing(small, monkeypatch, capsys):
    folder = small({"00_a": ["An epoch.", "| 00 start | a? |\n| 01 more | b? |"], "01_b": ["x"]})
    monkeypatch.setattr(link_terms, "CHAPTERS", folder)
    monkeypatch.setattr(link_terms, "GLOSSARY", folder.parent / "glossary.md")
    before = (folder / "00_a.ipynb").read_bytes()
    assert link_terms.main(["--check"]) == 1
    assert capsys.readouterr().out == "would change: 00_a.ipynb, glossary.md\n"
    assert (folder / "00_a.ipynb").read_bytes() == before
    assert link_terms.main([]) == 0 and link_terms.main(["--check"]) == 0
    assert markdown(folder / "00_a.ipynb")[2].endswith("| [01 more](01_b.ipynb) | b? |")


def test_a_note_that_cannot_be_read_is_said():
    with pytest.raises(ValueError, match="ReLU: unknown note 'explaned'"):
        link_terms.read_terms(SMALL.replace("explained 01 -->\n\nIt", "explaned 01 -->\n\nIt"))
    with pytest.raises(ValueError, match="say which chapter explains it"):
        link_terms.read_terms(SMALL.replace("explained 02; from 01", "from 01"))


# The pages


@pytest.mark.parametrize("name", ["glossary", "formulas", "reading"])
def test_links_of_the_page_lead_somewhere(name):
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for words, target in re.findall(r"\[([^\]]+)\]\(([^)]+)\)", page):
        assert words and (ROOT / "docs" / target.partition("#")[0]).exists(), target


def test_every_reading_says_what_it_adds():
    page = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
    items = re.findall(r"^- (.+)$", page, re.MULTILINE)
    assert len(items) > 20
    for item in items:
        assert re.match(r"\*\*.+?\*\*.*\S\.$", item), item
        after = re.sub(r"^\*\*.+?\*\*", "", item)
        assert len(after) > 20, f"what does it add? {item}"
    numbers = re.findall(r"arXiv:(\S+)", "\n".join(items))
    assert all(re.match(r"\d{4}\.\d{5}\b|\d{4}\.\d{4}\b", number) for number in numbers), numbers
    assert len({number[:9] for number in numbers}) == len(numbers)
