"""What every notebook must be, read without running it."""

from __future__ import annotations

import ast
import difflib
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[3]
CHAPTERS = ROOT / "chapters"
NOTEBOOKS = sorted(CHAPTERS.glob("*.ipynb"))
MOST_LINES, MOST_BYTES = 25, 2_000_000
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
DEFAULT_TEXT = re.compile(r"^<.*>$", re.DOTALL)  # <Figure size 640x480 with 1 Axes>
PRIVATE_PLACE = re.compile(r"localhost|127\.0\.0\.1|/tmp/|/home/|/root/|/work/|/Users/|[A-Z]:\\\\")

every_chapter = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def python(source: str) -> ast.Module:
    """Parse a cell, leaving out IPython's magics."""
    kept = [re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in source.splitlines()]
    return ast.parse("\n".join(kept))


def public_names() -> dict[str, list[str]]:
    """What each module of the library lists in __all__, read without importing it."""
    found = {}
    for path in (ROOT / "alexnet_lib").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found.setdefault(name, [])  # a package that hands on nothing
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                found[name] = list(ast.literal_eval(node.value))
    return found


def private_uses(sources: list[str], public: dict[str, list[str]]) -> list[str]:
    """Names of the library that a notebook's cells use though no __all__ lists them."""
    modules: dict[str, str] = {}  # name in the notebook -> module
    wrong = []

    def check(module: str, name: str) -> None:
        if name not in public[module]:
            near = difflib.get_close_matches(name, public[module], 1)
            said = f"{module.removeprefix('alexnet_lib.')}.{name}"
            wrong.append(said + (f" (meant {near[0]}?)" if near else ""))

    trees = [python(source) for source in sources]
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("alexnet_lib"):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in public:
                    modules[alias.asname or alias.name] = whole
                elif public.get(node.module):
                    check(node.module, alias.name)
                else:
                    wrong.append(whole)
        elif isinstance(node, ast.Import):
            wrong += [a.name for a in node.names if a.name.startswith("alexnet_lib")]
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id)
            if module in public:
                check(module, node.attr)
    return sorted(set(wrong))


def pictures_without_text(notebook: nbformat.NotebookNode) -> list[str]:
    """Pictures in outputs and in markdown that say nothing to who can't see them."""
    wrong = []
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            for kind in (kind for kind in data if kind.startswith("image/")):
                alt = output.metadata.get(kind, {}).get("alt") or output.metadata.get("alt")
                text = data.get("text/plain", "")
                if not alt and (not text or DEFAULT_TEXT.match(text)):
                    wrong.append(f"cell {number}: a {kind} in its output")
            wrong += html_without_alt(data.get("text/html", ""), f"cell {number}'s output")
        if cell.cell_type == "markdown":
            for alt, target in re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", cell.source):
                if not alt.strip():
                    wrong.append(f"cell {number}: {target}")
            wrong += html_without_alt(cell.source, f"cell {number}")
    return wrong


def html_without_alt(html: str, where: str) -> list[str]:
    images = re.findall(r"<img\b[^>]*>", html)
    return [f"{where}: {tag[:80]}" for tag in images if not re.search(r"alt=[\"'][^\"']", tag)]


def bad_links(notebook: nbformat.NotebookNode) -> list[str]:
    """Links that lead nowhere, and traces of one person's machine."""
    wrong = []
    for number, cell in enumerate(notebook.cells):
        texts = [cell.source] + [
            "".join(v for k, v in output.get("data", {}).items() if k.startswith("text/"))
            + output.get("text", "")
            for output in cell.get("outputs", [])
        ]
        for text in texts:
            wrong += [f"cell {number}: {trace}" for trace in PRIVATE_PLACE.findall(text)]
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", cell.source):
                if target.startswith("attachment:") and target[11:] in cell.get("attachments", {}):
                    continue
                if not re.match(r"[a-z]+:", target) and not (CHAPTERS / target).exists():
                    wrong.append(f"cell {number}: {target} is not there")
    return wrong


@every_chapter
def test_name_and_format(path):
    assert re.fullmatch(r"\d\d_[a-z0-9_]+\.ipynb", path.name)
    nbformat.validate(read(path))
    assert path.stat().st_size < MOST_BYTES, "too big for git; fewer or smaller pictures"


@every_chapter
def test_top_gives_title_minutes_and_prerequisites(path):
    first, second = (cell.source for cell in read(path).cells[:2])
    assert first.startswith("# "), "the first line is the title"
    assert re.search(r"\d+\s*(minutes|min\b)", first + second), "how many minutes does it take?"


@every_chapter
def test_metadata_belongs_to_no_machine(path):
    metadata = read(path).metadata
    assert metadata.kernelspec.name == "python3"
    assert "widgets" not in metadata
    assert "version" not in metadata.get("language_info", {})


@every_chapter
def test_stored_outputs_come_from_one_run_from_the_top(path):
    counts = [cell.execution_count for cell in code_cells(read(path)) if cell.source.strip()]
    assert counts == list(range(1, len(counts) + 1)), f"run `make chapters ONLY={path.stem[:2]}`"


@every_chapter
def test_no_error_is_stored(path):
    for cell in code_cells(read(path)):
        errors = [output for output in cell.outputs if output.output_type == "error"]
        expected = "raises-exception" in cell.metadata.get("tags", [])
        assert bool(errors) == expected, cell.source


@every_chapter
def test_every_widget_has_something_that_stands_for_it(path):
    for cell in code_cells(read(path)):
        for output in cell.outputs:
            kinds = set(output.get("data", {}))
            assert kinds != {WIDGET_VIEW}, f"nothing to see without a kernel: {cell.source}"


@every_chapter
def test_cells_are_short(path):
    for cell in code_cells(read(path)):
        lines = len(cell.source.splitlines())
        assert lines <= MOST_LINES, f"{lines} lines: {cell.source[:200]}"


@every_chapter
def test_every_picture_has_alternative_text(path):
    assert pictures_without_text(read(path)) == []


@every_chapter
def test_links_lead_somewhere_and_to_no_private_place(path):
    assert bad_links(read(path)) == []


@every_chapter
def test_only_public_names_of_the_library_are_used(path):
    sources = [cell.source for cell in code_cells(read(path))]
    assert private_uses(sources, public_names()) == []


def test_private_names_are_found():
    public = {
        "alexnet_lib": [], "alexnet_lib.ops": ["local_response_norm"],
        "alexnet_lib.plots": ["bars"],
    }  # fmt: skip
    sources = [
        "from alexnet_lib import ops, plots as p\nfrom alexnet_lib.plots import bars, _axes",
        "%matplotlib inline\nops.local_response_norm(x)\np.bars(x)\nops.local_response_nrom(x)",
        "import alexnet_lib.kernels\nfrom alexnet_lib import nothing\nbars.anything",
    ]
    assert private_uses(sources, public) == [
        "alexnet_lib.kernels",
        "alexnet_lib.nothing",
        "ops.local_response_nrom (meant local_response_norm?)",
        "plots._axes",
    ]


def test_pictures_without_text_are_found():
    picture = {"image/png": "iVBOR"}
    outputs = [
        nbformat.v4.new_output("display_data", data=picture),
        nbformat.v4.new_output("display_data", data=picture | {"text/plain": "<Figure size 1x1>"}),
        nbformat.v4.new_output("display_data", data=picture | {"text/plain": "Two bars"}),
        nbformat.v4.new_output("display_data", data=picture, metadata={"image/png": {"alt": "A"}}),
        nbformat.v4.new_output("display_data", data={"text/html": "<img src='x'>"}),
        nbformat.v4.new_output("display_data", data={"text/html": "<img alt='a cat' src='x'>"}),
    ]
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("draw()", outputs=outputs),
            nbformat.v4.new_markdown_cell("![](a.png) ![a dog](b.png) <img src='c.png'>"),
        ]
    )
    assert len(pictures_without_text(notebook)) == 5


def test_bad_links_are_found():
    cell = nbformat.v4.new_markdown_cell(
        "[a](nowhere.ipynb) [b](https://example.org) [c](#here) [d](build.py) "
        "[e](http://localhost:8888/x)"
    )
    output = nbformat.v4.new_output("stream", name="stdout", text="written to /home/me/x\n")
    code = nbformat.v4.new_code_cell("save()", outputs=[output])
    assert bad_links(nbformat.v4.new_notebook(cells=[cell, code])) == [
        "cell 0: localhost",
        "cell 0: nowhere.ipynb is not there",
        "cell 1: /home/",
    ]
