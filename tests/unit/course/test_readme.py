"""The README tells the truth: its commands, its table of chapters, its tree, its pictures."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8") if README.is_file() else ""
# commands of others, which a test can't hold against anything here
FOREIGN = {"git", "cd", "conda", "apt", "apt-get", "sudo", "export", "pip", "set"}

OTHERS = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = TEXT + "".join(path.read_text(encoding="utf-8") for path in OTHERS)

pytestmark = pytest.mark.skipif(not TEXT, reason="there is no README.md yet")


def blocks(*languages: str, text: str = TEXT) -> list[str]:
    """The fenced blocks of the README, or another text, in one of these languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


def commands() -> list[str]:
    """The lines of the shell blocks, without prompts, comments and what comes after `&&`."""
    shell = ("sh", "bash", "shell", "console", "powershell", "bat")
    lines = "".join(blocks(*shell, text=PAGES)).replace("\\\n", " ").splitlines()
    parts = (part.strip().removeprefix("$ ") for line in lines for part in line.split("&&"))
    return [part for part in parts if part and not part.startswith("#")]


def parse(module: str, arguments: list[str]) -> None:
    """Let the module's own command line read the arguments; raises SystemExit if it can't."""
    if module == "alexnet_lib":
        main = importlib.import_module("alexnet_lib.cli.commands")
        main._parser().parse_args(arguments)
    else:
        assert importlib.util.find_spec(module), f"there is no module {module}"


def check_command(line: str) -> None:
    """Raise AssertionError for a command that this project doesn't have."""
    words = shlex.split(line.replace("\\", "/"), comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)  # NAME=value before a command
    program = Path(words[0]).name
    if program in FOREIGN:
        return
    if program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        asked = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
        assert asked and set(asked) <= set(targets), f"make has no target for: {line}"
        values = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        if asked[0] in ("train", "bench") and "ARGS" in values:
            check_command(f"python -m alexnet_lib {asked[0]} {values['ARGS']}")
        return
    words = [word for word in words if not re.fullmatch(r"-3(\.\d+)?", word)]  # py -3.12
    runner = re.fullmatch(r"(python[\d.]*|py|torchrun)(\.exe)?", program)
    assert runner, f"this test knows no command {program}: {line}"
    if "-m" in words:
        at = words.index("-m")
        error = io.StringIO()
        try:
            with contextlib.redirect_stderr(error), contextlib.redirect_stdout(error):
                parse(words[at + 1], words[at + 2 :])
        except SystemExit as end:
            assert not end.code, f"{line}: {error.getvalue()}"
    else:
        script = next(word for word in words[1:] if not word.startswith("-"))
        assert (ROOT / script).is_file(), f"{line}: there is no {script}"


@pytest.mark.parametrize("line", commands())
def test_command_exists(line):
    check_command(line)


def test_the_two_commands_come_first():
    lines = commands()
    assert "make lab" in lines and "make test" in lines
    assert lines.index("make lab") < lines.index("make test")


@pytest.mark.parametrize(
    "line",
    ["make lob", "python -m alexnet_lib trian", "python -m alexnet_lib train --epoch-count 3",
     "python -m no_such_module", "frobnicate", "python chapters/none.py",
     "make train ARGS='--epoch-count 3'"],
)  # fmt: skip
def test_a_wrong_command_does_not_pass(line):
    with pytest.raises(AssertionError):
        check_command(line)


def test_conda_environment_is_called_by_its_name():
    name = re.search(r"^name: (\S+)", (ROOT / "environment.yml").read_text(), re.MULTILINE)[1]
    assert set(re.findall(r"conda activate ([\w.-]+)", TEXT)) <= {name}


def test_commands_in_the_prose_exist():
    said = re.findall(r"`((?:make|python) [^`]+)`", PAGES)
    assert len(said) > 10
    for line in said:
        check_command(re.sub(r"\b[A-Z]{3,}\b(?!=)", "x", line))  # RUN and NAME stand for anything


def tree_entries(block: str) -> list[str]:
    """Paths of an annotated tree: each line a name, indented below its folder, then a remark."""
    stack: list[tuple[int, str]] = []
    paths = []
    for line in block.splitlines():
        match = re.match(r"^([\s│├└─|`-]*)([\w.*/-]+)(?=\s|$)", line)
        if not match or not match[2].strip("./"):
            continue
        depth, name = len(match[1]), match[2]
        while stack and stack[-1][0] >= depth:
            stack.pop()
        path = "/".join([folder for _, folder in stack] + [name.rstrip("/")])
        paths.append(path)
        if name.endswith("/"):
            stack.append((depth, name.rstrip("/")))
    return paths


def test_a_tree_is_read_as_it_is_drawn():
    block = "chapters/    the notebooks\n  build.py   runs them\ntests/\n├── unit/\n│   └── a.py\n"
    assert tree_entries(block) == [
        "chapters", "chapters/build.py", "tests", "tests/unit", "tests/unit/a.py",
    ]  # fmt: skip


def test_tree_shows_what_is_there():
    trees = [block for block in blocks("", "text") if re.search(r"^\W*alexnet_lib/", block, re.M)]
    assert trees, "the README shows no tree with alexnet_lib/"
    entries = [entry for tree in trees for entry in tree_entries(tree)]
    made_by_use = (".venv", "runs", "learner")
    missing = [
        entry for entry in entries
        if not entry.startswith(made_by_use) and not list(ROOT.glob(entry))
    ]  # fmt: skip
    assert not missing, f"the README's tree shows what is not there: {missing}"
    assert {"chapters", "alexnet_lib", "data", "tests"} <= set(entries)


def chapter_rows() -> dict[str, str]:
    """The table's rows that link to a notebook, by file name."""
    pattern = r"^\|.*\]\((?:\./)?chapters/([\w.-]+\.ipynb)\).*\|$"
    return {match[1]: match[0] for match in re.finditer(pattern, TEXT, re.MULTILINE)}


def test_table_has_every_chapter():
    there = {path.name for path in (ROOT / "chapters").glob("*.ipynb")}
    assert set(chapter_rows()) == there


def test_table_gives_the_minutes_that_the_chapter_gives():
    import nbformat

    for name, row in chapter_rows().items():
        notebook = nbformat.read(ROOT / "chapters" / name, as_version=4)
        top = "\n".join(cell.source for cell in notebook.cells[:2])
        minutes = re.search(r"(\d+)\s*(?:minutes|min\b)", top)
        assert minutes, f"{name} says no minutes at its top"
        cells = [cell.strip() for cell in row.split("|")]
        said = any(re.fullmatch(rf"{minutes[1]}( min(utes)?)?", cell) for cell in cells)
        assert said, f"{name} takes {minutes[1]} minutes, its row says otherwise: {row}"


WORKFLOW = re.compile(r"\.\./\.\./actions/workflows/([\w.-]+\.yml)(/badge\.svg)?")


def links() -> list[tuple[str, str, str]]:
    """Each link and picture, in Markdown or HTML: "!" for a picture, its words, where it leads."""
    found = re.findall(r"(!?)\[((?:!\[[^\]]*\]\([^)]*\)|[^\]])*)\]\(([^)\s#]+)[^)]*\)", TEXT)
    found += re.findall(r"(!)\[([^\]]*)\]\(([^)\s#]+)\)\]", TEXT)  # a picture that is a link
    for target, source, width, alt in re.findall(
        r'<a href="([^"]+)"><img src="([^"]+)"( width="[^"]+")? alt="([^"]*)"></a>', TEXT
    ):
        assert width, f"{source} has no width, so that it is shown twice as large"
        found += [("", alt, target), ("!", alt, source)]
    return found


def test_links_lead_somewhere_and_pictures_have_alt_text():
    for picture, words, target in links():
        assert words.strip(), f"no text for {target}"
        if workflow := WORKFLOW.fullmatch(target):
            assert (ROOT / ".github/workflows" / workflow[1]).is_file(), target
        elif not re.match(r"[a-z]+:", target):
            assert (ROOT / target).exists(), f"the README links to {target}, which is not there"
        elif picture:
            pytest.fail(f"the picture {target} is on another machine")


def test_every_chapter_has_a_picture_that_leads_to_it_and_no_picture_is_left_over():
    shown = [target for picture, _, target in links() if picture and "actions/" not in target]
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "data/pictures").iterdir()}
    assert set(shown) == there and len(shown) == len(there)
    for number, notebook in enumerate(sorted(chapter_rows())):
        link = f'<a href="chapters/{notebook}"><img src="data/pictures/chapter_{number:02}.webp"'
        assert link in TEXT
    assert sum((ROOT / path).stat().st_size for path in there) < 900_000


def test_the_front_page_is_short():
    assert len(TEXT.splitlines()) <= 120


# Pages for contributors

GUIDES = ("CONTRIBUTING.md", "docs/architecture.md", "docs/results.md")


def guide(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GUIDES)
def test_files_that_a_guide_names_are_there(name):
    paths = re.findall(r"`((?:\.?\w[\w*]*/)+[\w.*-]*|[A-Za-z_]+\.(?:py|md))`", guide(name))
    assert paths
    missing = [path for path in paths if not list(ROOT.glob(path))]
    assert not missing, f"{name} names what is not there: {missing}"


@pytest.mark.parametrize("name", ("CONTRIBUTING.md", "docs/architecture.md"))
def test_what_a_guide_finds_in_a_file_is_in_it(name):
    found = re.findall(r"`(\w+)` in `([\w/.]+\.\w+)`", guide(name))
    assert len(found) >= 5
    missing = [(word, path) for word, path in found if not re.search(rf"\b{word}\b", guide(path))]
    assert not missing


def test_the_changelog_leads_to_modules_that_are_there():
    rows = re.findall(r"^\| `(alexnet_lib[\w.]*)` \| (.+) \|$", guide("CHANGELOG.md"), re.MULTILINE)
    named = [f"{package}.{name}" for package, cells in rows
             for name in re.findall(r"`(\w+)`", re.sub(r" \([^)]*\)", "", cells))]  # fmt: skip
    assert len(rows) > 8 and len(named) > 60
    missing = [name for name in named if not (ROOT / f"{name.replace('.', '/')}.py").is_file()]
    assert not missing, f"say in CHANGELOG.md where these have gone: {missing}"


@pytest.mark.parametrize("name", (*GUIDES, "CHANGELOG.md"))
def test_links_of_a_guide_lead_somewhere(name):
    for words, target in re.findall(r"\[([^\]]+)\]\(([^)#]+)\)", guide(name)):
        assert words and (ROOT / name).parent.joinpath(target).exists(), target


def test_the_picture_of_the_packages_is_drawn_from_the_imports():
    specification = importlib.util.spec_from_file_location("wings", ROOT / "docs" / "wings.py")
    wings = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(wings)
    assert wings.drawing() in guide("docs/architecture.md"), "run: python docs/wings.py"
    arrows = {("a", "b"), ("b", "c"), ("a", "c")}
    assert wings.reachable(arrows, "a") == {"b", "c"} and wings.reachable(arrows, "c") == set()
