"""Every chapter runs from the top, without a network, and gives the outputs stored in it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NOTEBOOKS = sorted((ROOT / "chapters").glob("*.ipynb"))
LIMIT_SECONDS = 90  # of CPU: the 60 that a chapter may take, and what starting takes


def load_build():
    """The module chapters/build.py."""
    specification = importlib.util.spec_from_file_location("build", ROOT / "chapters" / "build.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def offline(*command: str, **options) -> subprocess.CompletedProcess[str]:
    """Run a Python command without a network, its output as one text."""
    return subprocess.run(
        [sys.executable, str(HERE / "offline.py"), sys.executable, *command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options,
    )  # fmt: skip


def run_nbval(notebook: Path, scratch: Path) -> subprocess.CompletedProcess[str]:
    """Compare a notebook strictly with its stored outputs."""
    environment = load_build().kernel_environment(scratch)
    environment = {k: v for k, v in environment.items() if not k.startswith("PYTEST_")}
    return offline(
        "-m", "pytest", "--nbval", "--nbval-current-env", "--nbval-cell-timeout=300",
        "--nbval-kernel-startup-timeout=180",
        f"--nbval-sanitize-with={HERE / 'sanitize.cfg'}", "-q", "--color=no", "--no-header",
        "-o", "addopts=", "-o", f"cache_dir={scratch / 'cache'}", str(notebook),
        cwd=ROOT, env=environment,
    )  # fmt: skip


def seconds_of_children() -> float:
    """CPU seconds of all processes that this one has started and waited for; 0 on Windows."""
    if os.name == "nt":
        return 0.0
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.chapters
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_gives_its_stored_outputs(notebook, tmp_path):
    start = seconds_of_children()
    result = run_nbval(notebook, tmp_path)
    seconds = seconds_of_children() - start
    # a notebook of nothing but text has nothing to compare: pytest's status 5
    assert result.returncode in (0, 5), result.stdout[-12_000:]
    assert seconds < LIMIT_SECONDS, f"{notebook.name} took {seconds:.0f} s of CPU"


def write_notebook(path: Path, *cells: tuple[str, str]) -> Path:
    """A notebook of code cells, each with the standard output that is stored for it."""
    import nbformat

    notebook = nbformat.v4.new_notebook()
    for source, stored in cells:
        output = nbformat.v4.new_output("stream", name="stdout", text=stored)
        notebook.cells.append(
            nbformat.v4.new_code_cell(source, execution_count=1, outputs=[output])
        )
    nbformat.write(notebook, path)
    return path


@pytest.mark.chapters
@pytest.mark.parametrize(
    ("source", "stored", "passes"),
    [
        ("print(2 + 2)", "4\n", True),
        ("print(2 + 2)", "5\n", False),
        ("print(object(), 'in 3.25 s')", "<object object at 0x7f0000000000> in 9.1 s\n", True),
        ("print('3 filters in 3.25 s')", "4 filters in 3.25 s\n", False),
        ("print('/my/clone/data/records/a.json')", "/yours/data/records/a.json\n", True),
        ("print('/my/clone/data/records/a.json')", "/yours/data/records/b.json\n", False),
        ("import os; print(os.environ.get('ALEXNET_DATA'))", "None\n", True),
    ],
)
def test_comparison_is_strict_but_for_addresses_and_times(tmp_path, source, stored, passes):
    result = run_nbval(write_notebook(tmp_path / "one.ipynb", (source, stored)), tmp_path)
    assert (result.returncode == 0) == passes, result.stdout


def test_offline_means_loopback_and_nothing_else():
    code = """
import socket
from offline import isolate
print("isolated", isolate())
listener = socket.create_server(("127.0.0.1", 0))
print("loopback", bool(socket.create_connection(listener.getsockname(), timeout=5)))
try:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("192.0.2.1", 9))  # a documentation address; nothing is sent
        print("outside reachable")
except OSError:
    print("outside unreachable")
"""
    result = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=HERE, check=True
    )
    assert "loopback True" in result.stdout
    if "isolated False" in result.stdout:
        pytest.skip("this system gives no network namespace; chapters run with the network on")
    assert "outside unreachable" in result.stdout


@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell")
def test_cpu_seconds_are_those_of_the_grandchildren_too():
    burn = "import time\nwhile time.process_time() < 1.5: pass"
    start = seconds_of_children()
    assert offline("-c", burn).returncode == 0
    assert 1.4 < seconds_of_children() - start < 10


def test_offline_passes_the_exit_status_on():
    assert offline("-c", "raise SystemExit(7)").returncode == 7


def test_build_finds_chapters_by_the_start_of_their_names(tmp_path):
    build = load_build()
    for name in ("00_start_here.ipynb", "05_lrn.ipynb", "06_two_gpus.ipynb"):
        (tmp_path / name).touch()
    assert [path.stem for path in build.find(["05", "00"], tmp_path)] == ["00_start_here", "05_lrn"]
    assert len(build.find([], tmp_path)) == 3
    with pytest.raises(FileNotFoundError, match="'12'; there are: 00_start_here, 05_lrn"):
        build.find(["12"], tmp_path)


def test_build_cleans_what_belongs_to_one_run():
    import nbformat

    build = load_build()
    notebook = nbformat.v4.new_notebook()
    notebook.metadata.widgets = {"state": {"abc": {}}}
    notebook.metadata.language_info = {"name": "python", "version": "3.11.7"}
    view = {build.WIDGET_VIEW: {"model_id": "abc"}}
    outputs = [
        nbformat.v4.new_output("display_data", data={**view, "text/plain": "Demo(k=2)"}),
        nbformat.v4.new_output("display_data", data=dict(view)),
    ]
    notebook.cells.append(nbformat.v4.new_code_cell("demo", execution_count=3, outputs=outputs))
    build.clean(notebook)
    assert "widgets" not in notebook.metadata
    assert notebook.metadata.language_info == {"name": "python"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.cells[0].execution_count == 3
    assert notebook.cells[0].outputs[0].data == {"text/plain": "Demo(k=2)"}
    assert build.WIDGET_VIEW in notebook.cells[0].outputs[1].data  # nothing stands for it


def test_build_stores_lighter_pictures():
    import base64
    import io

    import nbformat
    import numpy as np
    from PIL import Image

    def png(pixels):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        return stream.getvalue()

    build = load_build()
    chart = np.full((80, 120, 3), 255, np.uint8)
    chart[20:60, 30:50] = (0, 114, 178)
    ramp = np.linspace(0, 255, 120).astype(np.uint8)
    soft = np.stack(np.broadcast_arrays(ramp, ramp[:80, None], ramp[::-1]), axis=2)
    soft = soft + np.random.default_rng(0).integers(0, 8, soft.shape, dtype=np.uint8)
    for pixels, kind in ((chart, "image/png"), (np.ascontiguousarray(soft), "image/jpeg")):
        data = {"image/png": base64.b64encode(png(pixels)).decode(), "text/plain": "alt"}
        about = {"image/png": {"alt": "alt", "width": 60}}
        output = nbformat.v4.new_output("display_data", data=data, metadata=about)
        cell = nbformat.v4.new_code_cell("draw()", execution_count=1, outputs=[output])
        notebook = nbformat.v4.new_notebook(cells=[cell])
        build.clean(notebook)
        stored = notebook.cells[0].outputs[0]
        assert set(stored.data) == {kind, "text/plain"}
        assert stored.metadata == {kind: {"alt": "alt", "width": 60}}
        content = base64.b64decode(stored.data[kind])
        assert len(content) < len(png(pixels))
        seen = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
        assert np.abs(seen - pixels).mean() < 6


def test_build_stores_nothing_when_a_cell_fails(tmp_path, monkeypatch, capsys):
    build = load_build()
    monkeypatch.setattr(build, "CHAPTERS", tmp_path)
    bad = write_notebook(tmp_path / "01_bad.ipynb", ("1 / 0", "old\n"))
    good = write_notebook(tmp_path / "02_good.ipynb", ("print('new')", "old\n"))
    before = bad.read_bytes()
    assert build.main([]) == 1
    assert bad.read_bytes() == before
    assert "new" in good.read_text() and "old" not in good.read_text()
    assert not list(tmp_path.glob("*.new"))
    assert "ZeroDivisionError" in (out := capsys.readouterr().out) and "1 of 2" in out


def test_kernels_of_the_tests_see_nothing_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("ALEXNET_DATA", "somewhere")
    environment = load_build().kernel_environment(tmp_path)
    assert "ALEXNET_DATA" not in environment
    assert environment["ALEXNET_LEARNER"].startswith(str(tmp_path))
    assert environment["PATH"] == os.environ["PATH"]
    assert str(ROOT) in environment["PYTHONPATH"].split(os.pathsep)
