"""Link the glossary's terms from the chapters, in place: `python chapters/link_terms.py [--check]`.

A term of docs/glossary.md gets a link at its first use in the course, and at its first use in the
chapter that explains it. Only prose is touched: no code (unless the term's words name it),
formula, heading, table or link, not a chapter's first cell, and a folded answer only where the
chapter has the term nowhere else. Links that were there are made anew, so running it twice
changes nothing. The glossary learns in which chapters its terms are, and the map of the course in
chapter 00 which chapters there are. Run it whenever chapters or terms were added.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat

__all__ = ["Term", "link_course", "main", "read_terms", "unlinked", "update"]

CHAPTERS = Path(__file__).resolve().parent
GLOSSARY = CHAPTERS.parent / "docs" / "glossary.md"
ALL_CHAPTERS = 12
LINK = re.compile(r"\[([^\]\[]+)\]\(\.\./docs/glossary\.md#([\w-]+)\)")
ENTRY = re.compile(
    r'^### <a id="(?P<anchor>[^"]+)"></a>(?P<name>.+)\n<!-- (?P<notes>.+) -->\n\n'
    r"(?P<text>(?!\*(?:First|Explained) in ).+\n)(?:\n\*(?:First|Explained) in .+\*\n)?",
    re.MULTILINE,
)
NOT_PROSE = r"""
    ^```.*?(?:^```|\Z)              # code
    | ^\#.*?$ | ^\|.*?$             # a heading, a row of a table
    | <summary>.*?</summary> | <!--.*?--> | \$\$.*?\$\$ | \$[^$\n]+\$ | `[^`\n]+`
    | !?\[[^\]]*\]\([^)]*\) | <[a-z/][^>\n]*> | https?://\S+
"""
FLAGS = re.VERBOSE | re.MULTILINE | re.DOTALL
FOLDED = re.compile(NOT_PROSE, FLAGS)  # leaves prose, also that of answers to be opened
OPEN = re.compile(rf"<details>.*?</details> | {NOT_PROSE}", FLAGS)  # leaves prose that all see
MAP_ROW = re.compile(r"^\| \[?(\d\d) ([^\]|]+?)(?:\]\([^)]*\))? \| (.*) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Term:
    """A term of the glossary. anchor: of its entry. name: as the entry is headed. explained, first:
    the chapter that explains it, and the first one in which its words mean this, two digits each.
    words: what stands for it in the text; code in its marks, `logits`.
    """

    anchor: str
    name: str
    explained: str
    first: str
    words: tuple[str, ...]

    @cached_property
    def pattern(self) -> re.Pattern:
        """Finds its words, with or without a plural s, and a capital where a sentence starts."""
        forms = []
        for word in sorted(self.words, key=len, reverse=True):
            head = f"[{word[0].upper()}{word[0]}]" if word[0].islower() else re.escape(word[0])
            forms.append(head + re.escape(word[1:]).replace(r"\ ", r"\s"))
        return re.compile(rf"(?<![\w\-/@.])(?:{'|'.join(forms)})s?(?![\w\-])")


def read_terms(glossary: str) -> list[Term]:
    """Return the glossary's terms in its order; ValueError for a comment that can't be read."""
    terms = []
    for entry in ENTRY.finditer(glossary):
        notes = dict.fromkeys(("explained", "from", "words"), "")
        for note in entry["notes"].split(";"):
            key, _, value = note.strip().replace(":", "").partition(" ")
            if key not in notes:
                raise ValueError(f"{entry['name']}: unknown note {key!r} in {entry['notes']!r}.")
            notes[key] = value
        words = tuple(word.strip() for word in (notes["words"] or entry["name"]).split(","))
        if not re.fullmatch(r"\d\d", notes["explained"]):
            raise ValueError(f"{entry['name']}: say which chapter explains it: 'explained 05'.")
        terms.append(
            Term(entry["anchor"], entry["name"], notes["explained"], notes["from"] or "00", words)
        )
    return terms


def link_course(
    course: dict[str, list[str]], terms: list[Term]
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the course with its links, and the chapters that link each term, by anchor.

    course: chapter, two digits -> its markdown cells after the first.
    """
    linked: dict[str, list[str]] = {}
    where: dict[str, list[str]] = {term.anchor: [] for term in terms}
    for chapter in sorted(course):
        wanted = [
            term for term in terms
            if term.explained == chapter or (term.first <= chapter and not where[term.anchor])
        ]  # fmt: skip
        cells = [LINK.sub(r"\1", cell) for cell in course[chapter]]
        for term in sorted(wanted, key=lambda term: max(map(len, term.words)), reverse=True):
            if found := _first_use(term, cells):
                number, match = found
                link = f"[{match[0]}](../docs/glossary.md#{term.anchor})"
                cell = cells[number]
                cells[number] = cell[: match.start()] + link + cell[match.end() :]
                where[term.anchor].append(chapter)
        linked[chapter] = cells
    return linked, where


def _first_use(term: Term, cells: list[str]) -> tuple[int, re.Match] | None:
    """Return the cell in which a term is used first, and where in it; open prose goes first."""
    for protected in (OPEN, FOLDED):
        for number, cell in enumerate(cells):
            prose = protected.sub(
                lambda match: match[0] if match[0] in term.words else "\0" * len(match[0]), cell
            )
            if match := term.pattern.search(prose):
                return number, match
    return None


def unlinked(terms: list[Term], where: dict[str, list[str]], chapters: set[str]) -> list[str]:
    """Say which terms no chapter uses, once all twelve chapters are there."""
    if len(chapters) < ALL_CHAPTERS:
        return []
    return [
        f"no chapter uses {term.name!r} ({', '.join(term.words)}): give it words that one uses, "
        "or take it out of the glossary"
        for term in terms if not where[term.anchor]
    ]  # fmt: skip


def _line(term: Term, where: list[str], files: dict[str, str]) -> str:
    """Return the glossary's line on where a term is, with links to the chapters that are there."""

    def chapter(number: str) -> str:
        words = f"chapter {int(number)}"
        return f"[{words}](../chapters/{files[number]})" if number in files else words

    explained = f"xplained in {chapter(term.explained)}"
    if term.explained in files and term.explained not in where and where:
        return f"*First in {chapter(where[0])}.*"
    if where and where[0] != term.explained:
        return f"*First in {chapter(where[0])}, e{explained}.*"
    return f"*E{explained}.*"


def _with_lines(glossary: str, terms: list[Term], where: dict, files: dict[str, str]) -> str:
    by_anchor = {term.anchor: term for term in terms}

    def entry(match: re.Match) -> str:
        head = f'### <a id="{match["anchor"]}"></a>{match["name"]}\n<!-- {match["notes"]} -->'
        term = by_anchor[match["anchor"]]
        return f"{head}\n\n{match['text']}\n{_line(term, where[term.anchor], files)}\n"

    return ENTRY.sub(entry, glossary)


def _with_map(cell: str, files: dict[str, str]) -> str:
    """Link the rows of chapter 00's map to the chapters that are there."""

    def row(match: re.Match) -> str:
        number, title, question = match.groups()
        name = f"{number} {title}"
        there = number in files and number != "00"
        return f"| {f'[{name}]({files[number]})' if there else name} | {question} |"

    return MAP_ROW.sub(row, cell)


def update(folder: Path, glossary: Path, write: bool = True) -> tuple[list[str], list[str]]:
    """Bring the notebooks of `folder` and the glossary up to date.

    Returns the names of the files that changed, or that would with write=False, and what is wrong.
    """
    paths = {path.name[:2]: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    files = {number: path.name for number, path in paths.items()}
    notebooks = {number: nbformat.read(path, as_version=4) for number, path in paths.items()}
    prose = {
        number: [cell for cell in notebook.cells[1:] if cell.cell_type == "markdown"]
        for number, notebook in notebooks.items()
    }
    text = glossary.read_text(encoding="utf-8")
    terms = read_terms(text)
    course = {number: [cell.source for cell in cells] for number, cells in prose.items()}
    linked, where = link_course(course, terms)
    linked["00"] = [_with_map(cell, files) for cell in linked.get("00", [])]
    changed = []
    for number, cells in prose.items():
        if linked[number] != course[number]:
            changed.append(files[number])
            for cell, source in zip(cells, linked[number], strict=True):
                cell.source = source
            if write:
                nbformat.write(notebooks[number], paths[number])
    if (new := _with_lines(text, terms, where, files)) != text:
        changed.append(glossary.name)
        if write:
            glossary.write_text(new, encoding="utf-8")
    return changed, unlinked(terms, where, set(files))


def main(arguments: list[str] | None = None) -> int:
    """Link, and say what changed; returns 1 where a term is nowhere, or --check finds changes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, only tell")
    options = parser.parse_args(arguments)
    changed, wrong = update(CHAPTERS, GLOSSARY, write=not options.check)
    print(f"{'would change' if options.check else 'changed'}: {', '.join(changed) or 'nothing'}")
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong or (options.check and changed) else 0


if __name__ == "__main__":
    sys.exit(main())
