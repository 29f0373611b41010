"""The library's floors: a module imports from lower floors only, never from its own or above."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "alexnet_lib"
MODULES = {path.stem: path for path in sorted(PACKAGE.glob("*.py")) if path.stem != "__init__"}

# From the ground up. A new module goes on the lowest floor that is above all it imports.
FLOORS = [
    {
        "contest", "environment", "ledger", "memory", "native", "orphans", "palette", "paper",
        "records", "shapes", "stage_notes", "storage", "verdicts", "winograd",
    },  # standard library only
    {
        "activations", "archives", "cifar", "comparing", "conv_kernels", "crop_kernels",
        "downloads", "exchange", "image_folders", "keeping", "lab_server", "learner", "mistakes",
        "networks", "numerals", "orientations", "packing", "patients", "pictures", "pool_kernels",
        "ranks", "rendering", "runs", "shards", "shipped", "slider_times", "timing", "triton_lrn",
        "update_kernels", "valley",
    },
    {
        "augment", "datasets", "desk_words", "estimates", "facts", "grids", "judging", "kernels",
        "launching", "mistake_pictures", "network_pictures", "optim", "planning", "plots",
        "shard_writers", "window_pictures",
    },
    {
        "assignments", "batches", "demos", "doctor", "exercises_contest", "exercises_inside",
        "exercises_network", "exercises_overfitting", "exercises_recipe", "exercises_relu",
        "exercises_sizes", "exercises_towers", "exercises_training", "ops", "sharding",
    },
    {
        "contest_tour", "depth_tour", "exercises_conventions", "exercises_lrn", "exercises_pooling",
        "exercises_windows", "input_benchmarks", "labs", "models", "monitor", "overfitting_tour",
        "pooling", "predictions", "recipe_tour",
    },
    {
        "checkpoints", "clinic", "exercises", "layer_costs", "pooling_lab", "signals", "size_lab",
        "tower_lab", "towers",
    },
    {"probes", "progress", "teams"},
    {"checks", "evaluation", "inspection", "journeys", "tours", "tower_runs"},
    {"claims", "deconvolution", "heads", "network_map", "sessions"},
    {"inside_tours", "training"},
    {"ablations", "paces", "step_benchmarks", "verification"},
    {
        "benchmarks", "decay_ablation", "feature_ablation", "miniatures", "pooling_ablation",
        "races", "training_desk",
    },
    {"overfitting", "widgets"},
    {"experiments"},
    {"results"},
    {"__main__"},
]  # fmt: skip
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}
DRAWING = {
    "contest_tour", "demos", "depth_tour", "grids", "inside_tours", "labs", "mistake_pictures",
    "monitor", "network_map", "network_pictures", "numerals", "overfitting_tour", "pictures",
    "plots", "pooling_lab", "predictions", "recipe_tour", "size_lab", "tours", "tower_lab",
    "training_desk", "widgets", "window_pictures",
}  # may load matplotlib
WITHOUT_TORCH = {
    "contest", "grids", "mistake_pictures", "mistakes", "network_pictures", "numerals",
    "orientations", "pictures", "plots", "window_pictures",
} | FLOORS[0]  # fmt: skip


def imports(path: Path) -> tuple[set[str], set[str]]:
    """What a module imports anywhere in it: modules of this library, and top-level others."""
    own, others = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first, _, rest = alias.name.partition(".")
                if first == "alexnet_lib":
                    own.add(rest.split(".")[0])
                else:
                    others.add(first)
        elif isinstance(node, ast.ImportFrom):
            name = node.module or ""
            if node.level == 0 and name.split(".")[0] != "alexnet_lib":
                others.add(name.split(".")[0])
                continue
            inner = name if node.level else name.partition(".")[2]
            own |= {inner.split(".")[0]} if inner else {alias.name for alias in node.names}
    return own, others


def test_the_reader_of_imports_sees_every_form(tmp_path):
    module = tmp_path / "module.py"
    module.write_text(
        "import os.path, torch\nfrom . import ops as o, paper\nfrom .plots import draw\n"
        "import alexnet_lib.kernels\nfrom alexnet_lib import shapes\n"
        "from alexnet_lib.models import alexnet\n"
        "def late():\n    from numpy import array\n    from .records import read\n"
    )
    own, others = imports(module)
    assert own == {"ops", "paper", "plots", "kernels", "shapes", "models", "records"}
    assert others == {"os", "torch", "numpy"}


@pytest.mark.parametrize("name", MODULES)
def test_imports_come_from_lower_floors_only(name):
    assert name in FLOOR_OF, f"{name}.py stands on no floor; give it one in FLOORS"
    own, _ = imports(MODULES[name])
    unknown = own - FLOOR_OF.keys()
    assert not unknown, f"{name}.py imports {unknown}, which stand on no floor"
    wrong = {other: FLOOR_OF[other] for other in own if FLOOR_OF[other] >= FLOOR_OF[name]}
    assert not wrong, f"{name}.py on floor {FLOOR_OF[name]} imports from floors {wrong}"


@pytest.mark.parametrize("name", sorted(FLOORS[0] & MODULES.keys()))
def test_the_ground_floor_needs_the_standard_library_only(name):
    own, others = imports(MODULES[name])
    foreign = others - sys.stdlib_module_names
    assert not own and not foreign, f"{name}.py imports {own | foreign}"


@pytest.mark.parametrize("name", sorted(MODULES.keys() - DRAWING))
def test_numerics_import_no_matplotlib(name):
    _, others = imports(MODULES[name])
    assert not others & {"matplotlib", "ipywidgets", "anywidget"}, f"{name}.py draws"


@pytest.mark.parametrize("name", sorted(WITHOUT_TORCH & MODULES.keys()))
def test_drawing_and_the_ground_floor_know_no_torch(name):
    _, others = imports(MODULES[name])
    assert not others & {"torch", "torchvision"}, f"{name}.py imports torch"


def loaded_by(names: set[str]) -> set[str]:
    """The top-level modules that a fresh Python has loaded after importing these of ours."""
    lines = [f"import alexnet_lib.{name}" for name in sorted(names)]
    code = "\n".join([*lines, "import sys", "print(*{m.split('.')[0] for m in sys.modules})"])
    command = [sys.executable, "-c", code]
    result = subprocess.run(
        command, cwd=PACKAGE.parent, stdout=subprocess.PIPE, text=True, check=True
    )
    return set(result.stdout.split())


def test_numerics_really_load_no_matplotlib():
    numerics = MODULES.keys() - DRAWING - {"__main__", "environment"}
    loaded = loaded_by(numerics)
    assert "torch" in loaded
    assert not loaded & {"matplotlib", "ipywidgets", "anywidget"}


def test_plots_really_load_no_torch():
    loaded = loaded_by({"plots", "palette"} & MODULES.keys())
    assert "matplotlib" in loaded
    assert "torch" not in loaded


def test_the_readme_gives_the_floors_of_this_table():
    readme = PACKAGE.parent / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    said = re.findall(r"^\s+(\w+)\.py\b.*\bfloor (\d+)\s*$", text, re.MULTILINE)
    assert {name: int(floor) for name, floor in said} == {name: FLOOR_OF[name] for name, _ in said}


def test_the_package_itself_imports_nothing():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_names_its_public_things(name):
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{name}.py has no docstring"
    public = public_names(MODULES[name])
    assert public is not None, f"{name}.py has no __all__"
    defined = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
            documented = ast.get_docstring(node) or node.name not in public
            assert documented, f"{name}.{node.name} has no docstring"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            defined |= {alias.asname or alias.name for alias in node.names}
        else:
            defined |= {leaf.id for leaf in ast.walk(node) if isinstance(leaf, ast.Name)}
    assert not set(public) - defined, f"{name}.__all__ names what is not there"
    assert len(public) == len(set(public)), f"{name}.__all__ names something twice"


def public_names(path: Path) -> list[str] | None:
    """A module's __all__, read without importing it; None if it has none."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return list(ast.literal_eval(node.value))
    return None


def test_no_file_is_longer_than_400_lines():
    root = PACKAGE.parent
    files = [*PACKAGE.rglob("*"), *(root / "tests").rglob("*"), *(root / "chapters").rglob("*")]
    suffixes = {".py", ".js", ".css", ".c"}
    lengths = {
        str(path.relative_to(root)): len(path.read_text(encoding="utf-8").splitlines())
        for path in files
        if path.suffix in suffixes and ".ipynb_checkpoints" not in path.parts
    }
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}
