"""Run the chapters and store their outputs in place: `python chapters/build.py [05 10 ...]`.

Each notebook runs from the top in a fresh kernel, as the tests run it, and is written only if no
cell fails. Widget state and versions are left out, and so is a widget that has a still picture or
text to stand for it: a reader without a kernel sees that, and two runs give the same file. Pictures
are stored in a third of the bytes that they have in a learner's page.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbstripout import strip_output
from PIL import Image

__all__ = ["clean", "execute", "find", "kernel_environment", "lighter", "main"]

CHAPTERS = Path(__file__).resolve().parent
SECONDS_PER_CELL = 600
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
COLOURS = 64  # of a stored PNG


@dataclass
class Timing:
    """How long a notebook took: in all, and each code cell by its index in the notebook."""

    seconds: float = 0.0
    cells: dict[int, float] = field(default_factory=dict)


def find(wanted: list[str], folder: Path = CHAPTERS) -> list[Path]:
    """The notebooks whose names start with one of `wanted`, or all of them, in order.

    Raises FileNotFoundError for a name that fits none.
    """
    notebooks = sorted(folder.glob("*.ipynb"))
    for name in wanted:
        if not any(path.name.startswith(name) for path in notebooks):
            there = ", ".join(path.stem for path in notebooks) or "none"
            raise FileNotFoundError(f"no chapter's name starts with {name!r}; there are: {there}")
    return [path for path in notebooks if not wanted or path.name.startswith(tuple(wanted))]


def kernel_environment(folder: Path) -> dict[str, str]:
    """Environment variables for a run that depends on nothing the user has.

    `folder` takes what a learner's run would leave behind. One thread, so that sums come out in
    the same order everywhere and two chapters can run side by side.
    """
    unwanted = ("ALEXNET_DATA", "MPLBACKEND")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return kept | {
        "ALEXNET_LEARNER": str(folder / "learner"),
        "IPYTHONDIR": str(folder / "ipython"),
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(CHAPTERS.parent), os.environ.get("PYTHONPATH", "")])
        ),
    }


def execute(notebook: nbformat.NotebookNode, folder: Path, environment: dict[str, str]) -> Timing:
    """Run a notebook from the top in a fresh kernel with `folder` as its working directory.

    The outputs are stored in `notebook`. Raises CellExecutionError at the first cell that fails.
    """
    timing, started = Timing(), {}

    def on_start(cell: nbformat.NotebookNode, cell_index: int) -> None:
        started[cell_index] = time.perf_counter()

    def on_end(cell: nbformat.NotebookNode, cell_index: int, **_: object) -> None:
        timing.cells[cell_index] = time.perf_counter() - started[cell_index]

    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=SECONDS_PER_CELL,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        on_cell_execute=on_start,
        on_cell_executed=on_end,
    )
    start = time.perf_counter()
    client.execute(env=environment)
    timing.seconds = time.perf_counter() - start
    return timing


def lighter(png: bytes) -> tuple[str, bytes]:
    """A picture as it is stored, with its MIME type: in few colours, or as JPEG if that is less."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    few, jpeg = io.BytesIO(), io.BytesIO()
    picture.quantize(COLOURS, kmeans=2).save(few, "PNG", optimize=True)
    picture.save(jpeg, "JPEG", quality=80, optimize=True)
    if len(jpeg.getvalue()) < len(few.getvalue()):
        return "image/jpeg", jpeg.getvalue()
    return "image/png", few.getvalue()


def clean(notebook: nbformat.NotebookNode) -> None:
    """Take out of a notebook, in place, what belongs to one run: widget state, versions, views.

    Its pictures are made lighter.
    """
    strip_output(
        notebook,
        keep_output=True,
        keep_count=True,
        keep_id=True,
        extra_keys=["metadata.language_info.version", "metadata.widgets"],
    )
    notebook.metadata.kernelspec = nbformat.from_dict(KERNELSPEC)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data, about = output.get("data", {}), output.get("metadata", {})
            if png := data.pop("image/png", None):
                kind, content = lighter(base64.b64decode(png))
                data[kind] = base64.b64encode(content).decode()
                if "image/png" in about:
                    about[kind] = about.pop("image/png")
            if WIDGET_VIEW in data and len(data) > 1:
                del data[WIDGET_VIEW]


def main(arguments: list[str] | None = None) -> int:
    """Run and store the notebooks that are asked for; returns 1 if one fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("only", nargs="*", help="how a notebook's name starts; all if none")
    options = parser.parse_args(arguments)
    try:
        notebooks = find(options.only, CHAPTERS)
    except FileNotFoundError as error:
        parser.error(str(error))
    failed, total = 0, 0.0
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        try:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
                timing = execute(notebook, CHAPTERS, kernel_environment(Path(temporary)))
        except (CellExecutionError, CellTimeoutError) as error:
            failed += 1
            print(f"{path.stem:<36} FAILED, not stored\n{error}", flush=True)
            continue
        clean(notebook)
        _store(notebook, path)
        total += timing.seconds
        print(f"{path.stem:<36} {timing.seconds:6.1f} s   {_slowest(notebook, timing)}", flush=True)
    print(f"{len(notebooks) - failed} of {len(notebooks)} chapters stored, {total:.0f} s")
    return 1 if failed else 0


def _slowest(notebook: nbformat.NotebookNode, timing: Timing) -> str:
    """Say which cell took longest, by its number as Jupyter counts code cells."""
    if not timing.cells:
        return "no code"
    index = max(timing.cells, key=timing.cells.__getitem__)
    cell = notebook.cells[index]
    first_line = next(iter(cell.source.splitlines()), "")
    return f"slowest: [{cell.execution_count}] {timing.cells[index]:.1f} s  {first_line[:50]}"


def _store(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Replace the file in one step."""
    nbformat.validate(notebook)
    temporary = path.with_name(path.name + ".partial")
    nbformat.write(notebook, temporary)
    os.replace(temporary, path)


if __name__ == "__main__":
    sys.exit(main())
