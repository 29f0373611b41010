"""Imports run one way through the packages, and what a learner reads stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "alexnet_lib"
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
#: Each imports only from itself and from those before it; "core" is the folder's own modules.
ORDER = (
    "_errors", "_files", "distributed", "kernels", "datasets", "plots", "core", "analysis",
    "benchmarks", "experiments", "course", "cli",
)  # fmt: skip
DRAWING = ("plots", "course", "cli")


def wing(module: str) -> str:
    """Return the part of ORDER that a module such as alexnet_lib.plots.charts belongs to."""
    part = module.split(".")[1] if "." in module else "core"
    if part == "__main__":
        return "cli"
    return part if part in ORDER else "core"


def imported(path: Path, module: str) -> set[str]:
    """Return every module that a file imports anywhere in it, by its full name."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*parts, *filter(None, [node.module])] if node.level else [node.module])
            found |= {
                name if (name := f"{base}.{alias.name}") in FILES else base for alias in node.names
            }
    return found


def test_the_reader_of_imports_sees_every_form(tmp_path):
    file = tmp_path / "module.py"
    file.write_text(
        "import os.path, torch\nfrom . import lrn as o, build\nfrom .build import run\n"
        "from .. import ops\nfrom ..plots.charts import bars\nimport alexnet_lib.paper\n"
        "def late():\n    from numpy import array\n    from alexnet_lib import shapes\n"
    )
    ours = {"kernels.lrn", "kernels.build", "ops", "plots.charts", "paper", "shapes"}
    expected = {f"alexnet_lib.{name}" for name in ours} | {"os.path", "torch", "numpy"}
    assert imported(file, "alexnet_lib.kernels.module") == expected


@pytest.mark.parametrize("module", FILES)
def test_imports_run_one_way(module):
    here = ORDER.index(wing(module))
    own = {name for name in imported(FILES[module], module) if name.startswith("alexnet_lib")}
    wrong = {name for name in own if ORDER.index(wing(name)) > here}
    if ORDER[here] == "experiments":
        wrong |= {name for name in own if wing(name) == "benchmarks"}
    assert not wrong, f"{module} ({ORDER[here]}) imports from above: {sorted(wrong)}"


@pytest.mark.parametrize("module", FILES)
def test_only_drawing_knows_matplotlib_and_drawing_knows_no_torch(module):
    roots = {name.split(".")[0] for name in imported(FILES[module], module)}
    if wing(module) not in DRAWING:
        assert not roots & {"matplotlib", "ipywidgets", "anywidget"}
    if wing(module) in ("_errors", "_files", "plots"):
        assert not roots & {"torch", "torchvision"}


def loaded_by(modules: set[str]) -> set[str]:
    """Return the top-level modules that a fresh Python has loaded after importing these."""
    code = "\n".join([f"import {name}" for name in sorted(modules)])
    code += "\nimport sys\nprint(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return set(done.stdout.split())


def test_what_does_not_draw_really_loads_no_matplotlib():
    loaded = loaded_by({name for name in FILES if wing(name) not in DRAWING})
    assert "torch" in loaded
    assert not loaded & {"matplotlib", "ipywidgets", "anywidget"}


def test_plots_really_load_no_torch():
    loaded = loaded_by({name for name in FILES if wing(name) == "plots"})
    assert "matplotlib" in loaded and "torch" not in loaded


def test_the_environment_is_made_by_the_standard_library_alone():
    modules = ("alexnet_lib.cli.bootstrap", "alexnet_lib.cli", "alexnet_lib._files", "alexnet_lib")
    for module in modules:
        foreign = {name.split(".")[0] for name in imported(FILES[module], module)}
        assert foreign - sys.stdlib_module_names <= {"alexnet_lib"}


def test_the_package_itself_imports_nothing():
    assert not imported(FILES["alexnet_lib"], "alexnet_lib")


@pytest.mark.parametrize("module", FILES)
def test_every_module_names_its_public_things(module):
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{module} has no docstring"
    public = public_names(FILES[module])
    if FILES[module].name in ("__init__.py", "__main__.py") and public is None:
        return
    assert public is not None, f"{module} has no __all__"
    defined = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
            documented = ast.get_docstring(node) or node.name not in public
            assert documented, f"{module}.{node.name} has no docstring"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            defined |= {alias.asname or alias.name for alias in node.names}
        else:
            defined |= {leaf.id for leaf in ast.walk(node) if isinstance(leaf, ast.Name)}
    assert not set(public) - defined, f"{module}.__all__ names what is not there"
    assert len(public) == len(set(public)), f"{module}.__all__ names something twice"


def public_names(path: Path) -> list[str] | None:
    """Return a module's __all__, read without importing it; None if it has none."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return list(ast.literal_eval(node.value))
    return None
