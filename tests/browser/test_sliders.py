"""Timing of sliders: what is timed is the drawing, and every kind of slider is found."""

from __future__ import annotations

import subprocess
import sys

import pytest

from alexnet_lib import records
from alexnet_lib.benchmarks import sliders as slider_benchmark
from lab_driver import ROOT
from sliders import measure_chapter

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(1800),
    pytest.mark.xdist_group("browser"),  # one server, one browser
]
DELAY = 150  # ms; whatever is timed can't be less
LABS = '''
import anywidget

class Labs(anywidget.AnyWidget):
    _esm = """
    const SQUARE = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='9' height='";
    const later = (draw) => setTimeout(draw, DELAY);
    const answers = {
      "canvas, late": (lab, value) => later(() => lab.brush.fillRect(0, 0, value, 20)),
      "image, late": (lab, value) => later(() => { lab.image.src = `${SQUARE}${value}'/>`; }),
      "new drawing, late": (lab, value) => later(() => {
        lab.stage.innerHTML = `<svg width="60" height="${value}"></svg>`;
      }),
      "words alone": () => {},
      "nothing": null,
    };
    function render({ el }) {
      for (const [name, answer] of Object.entries(answers)) {
        const root = document.createElement("section");
        root.className = "alexnet-demo";
        root.setAttribute("aria-label", name);
        root.innerHTML = `<input type="range" aria-label="n" min="4" max="7" value="5"
          data-lm-suppress-shortcuts="true"><canvas width="60" height="20"></canvas><img alt="">
          <div></div><p>5</p>`;
        const find = (tag) => root.querySelector(tag);
        const brush = find("canvas").getContext("2d");
        const lab = { brush, image: find("img"), stage: find("div") };
        find("input").addEventListener("input", ({ target: { value } }) => {
          if (answer) find("p").textContent = value; // at once, and not what is to be timed
          answer?.(lab, value);
        });
        el.append(root);
      }
      const bars = document.createElement("section");
      bars.className = "alexnet-demo";
      bars.innerHTML = `<svg width="60" height="20">${[0, 1, 2].map((i) => `<g role="slider"
        tabindex="0" aria-label="bar ${i}" aria-valuenow="5" aria-valuemax="6"
        data-lm-suppress-shortcuts="true"><rect width="9" height="9"></rect></g>`).join("")}</svg>`;
      for (const bar of bars.querySelectorAll("g")) {
        bar.addEventListener("keydown", ({ key }) => requestAnimationFrame(() => {
          const value = Number(bar.getAttribute("aria-valuenow")) + (key === "ArrowRight" ? 1 : -1);
          if (value > 6) return;
          bar.setAttribute("aria-valuenow", value);
          bar.firstChild.setAttribute("height", value);
        }));
      }
      el.append(bars);
    }
    export default { render };
    """

Labs()
'''
PYTHON = """
import time
import numpy as np
import ipywidgets
from alexnet_lib import plots
from alexnet_lib.course import widgets

def compute(k):
    time.sleep(DELAY / 1000)
    return np.full(5, k)

def draw(fig, data):
    plots.bars(data, ax=fig.axes[0] if fig.axes else fig.subplots())
    return f"Five bars of {data[0]:.2f}."

slider = ipywidgets.FloatSlider(value=5, min=4, max=7, step=0.02)  # announced to one decimal
widgets.Demo(compute, draw, {"k": slider}, name="some bars")
"""


def test_the_new_drawing_is_what_is_timed(page_with):
    page = page_with(*(cell.replace("DELAY", str(DELAY)) for cell in (PYTHON, LABS)))
    page.run_all()
    values = [slider.value for demo in page.demos() for slider in demo.sliders()]
    rows = {row["demo"]: row for row in measure_chapter(page, presses=4)}
    assert page.errors() == []
    assert {row["chapter"] for row in rows.values()} == {page.name}
    kinds = {name: row["kind"] for name, row in rows.items()}
    assert kinds.pop("some bars") == "Python" and set(kinds.values()) == {"JavaScript"}
    late = {name: rows[name] for name in rows if name.endswith("late") or name == "some bars"}
    assert len(late) == 4
    for row in late.values():
        assert row["presses"] == 4 and row["unanswered"] == 0
        assert row["median_ms"] >= DELAY and not row["meets"]
    assert rows["words alone"]["presses"] == 4 and rows["words alone"]["unanswered"] == 0
    assert rows["words alone"]["median_ms"] > 0
    nothing = rows["nothing"]
    assert nothing["unanswered"] == nothing["presses"] > 0 and nothing["median_ms"] is None
    bar = rows["demo 7"]
    assert (bar["slider"], bar["presses"], bar["unanswered"]) == ("bar 1 (1 of 3)", 4, 0)
    assert bar["median_ms"] > 0
    assert [slider.value for demo in page.demos() for slider in demo.sliders()] == values
    assert page.page.get_by_label("bar 1").get_attribute("aria-valuenow") == "5"


def test_the_command_writes_a_record_of_every_slider(chromium, tmp_path):
    out = tmp_path / "sliders.json"
    done = subprocess.run(
        [sys.executable, "-m", "alexnet_lib", "bench", "sliders", "05", "--rounds", "3",
         "--out", str(out)],
        cwd=ROOT, capture_output=True, text=True, timeout=1500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = records.read(out)
    assert record["chapters"] == ["05_local_response_normalization"] and record["problems"] == []
    assert record["command"] == "python -m alexnet_lib bench sliders 05 --rounds 3"
    assert record["environment"]["hardware"]["cores"] > 0
    assert set(record["load_average"]) == {"before", "after"}
    found = {(row["demo"], row["kind"]) for row in record["rows"]}
    assert found == {
        ("LRN lab", "JavaScript"), ("eight conventions", "JavaScript"), ("channel window", "Python")
    }
    assert {row["slider"] for row in record["rows"] if row["kind"] == "Python"} == {
        "channel", "size",
    }
    for row in record["rows"]:
        assert row["presses"] == 3 and row["unanswered"] == 0, row
        assert 0 < row["median_ms"] <= row["p95_ms"] <= row["most_ms"]
    printed = done.stdout
    assert slider_benchmark.table(record["rows"]) in printed
    assert f"the record is {out}" in printed
