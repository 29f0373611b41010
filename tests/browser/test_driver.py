"""The driver itself: it must see what works, and what is broken must not pass."""

from __future__ import annotations

import pytest

from patience import starved
from test_chapters import check_demo, check_page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("browser"),
]

PYTHON_DEMO = """
import io
import ipywidgets
from PIL import Image

FAILS_AT, ALPHA_SHOWS = -1, True
k = ipywidgets.IntSlider(description="k", min=0, max=9, value=2)
alpha = ipywidgets.FloatSlider(description="alpha", min=0, max=1, step=0.1, value=0.5)
picture = ipywidgets.Image(format="png")
summary = ipywidgets.HTML()
summary.add_class("alexnet-summary")

def draw(change=None):
    if k.value == FAILS_AT:
        raise ValueError("no such k")
    stream = io.BytesIO()
    shade = (25 * k.value, int(200 * alpha.value) if ALPHA_SHOWS else 0, 0)
    Image.new("RGB", (40, 20), shade).save(stream, "PNG")
    picture.value = stream.getvalue()
    summary.value = f"k = {k.value}, alpha = {alpha.value:.1f}"

def preset(value):
    button = ipywidgets.Button(description=f"k = {value}")
    button.add_class("alexnet-preset")
    button.on_click(lambda _: setattr(k, "value", value))
    return button

for slider in (k, alpha):
    slider.observe(draw, "value")
draw()
demo = ipywidgets.VBox([k, alpha, preset(2), preset(7), picture, summary])
demo.add_class("alexnet-demo")
demo
"""

JAVASCRIPT_LAB = '''
import anywidget

class Lab(anywidget.AnyWidget):
    _esm = """
    export default { render({ model, el }) {
      el.innerHTML = `<div class="alexnet-demo">
        <label>size <input type="range" min="1" max="20" value="5" data-lm-suppress-shortcuts>
        </label><button class="alexnet-preset">five</button>
        <button class="alexnet-preset">one</button>
        <canvas width="60" height="20"></canvas><p class="alexnet-summary"></p></div>`;
      const input = el.querySelector("input");
      const canvas = el.querySelector("canvas").getContext("2d");
      const draw = () => {
        canvas.clearRect(0, 0, 60, 20);
        canvas.fillRect(0, 0, 3 * input.value, 20);
        el.querySelector("p").textContent = `size = ${input.value}`;
      };
      const set = value => () => { input.value = value; draw(); };
      input.oninput = draw;
      [...el.querySelectorAll("button")].forEach((b, i) => b.onclick = set([5, 1][i]));
      draw();
    } };
    """

Lab()
'''


def test_python_demo_and_javascript_lab_pass(page_with):
    page = page_with(PYTHON_DEMO, JAVASCRIPT_LAB)
    check_page(page)
    python, javascript = page.demos()
    assert [slider.name for slider in python.sliders()] == ["k", "alpha"]
    assert [slider.label for slider in javascript.sliders()] == ["size"]
    assert len(python.presets()) == len(javascript.presets()) == 2


def test_a_slider_that_changes_no_picture_fails(page_with):
    page = page_with(PYTHON_DEMO.replace("-1, True", "-1, False"))
    page.run_all()
    with pytest.raises(AssertionError, match="slider alpha: same picture at 0.0 and 1.0"):
        check_demo(page.demos()[0], "demo")


def test_an_error_in_a_callback_is_seen(page_with):
    page = page_with(PYTHON_DEMO.replace("-1, True", "9, True"))
    page.run_all()
    assert page.errors() == []
    demo = page.demos()[0]
    demo.sliders()[0].press("End")
    page.page.wait_for_function("() => kernelErrors.length > 0", timeout=10_000)
    assert "ValueError: no such k" in page.errors()[0]


def test_errors_in_cells_and_foreign_requests_are_seen(page_with):
    page = page_with(
        "from IPython.display import HTML\n"
        "HTML('<img src=\"https://example.invalid/picture.png\" alt=\"\">')",
        "1 / 0",
    )
    page.run_all()
    assert page.errors() == ["cell 1: ZeroDivisionError: division by zero"]
    assert set(page.foreign) == {"https://example.invalid/picture.png"}


def test_javascript_errors_are_seen(page_with):
    page = page_with(JAVASCRIPT_LAB.replace("input.oninput = draw;", "absent.oninput = draw;"))
    page.run_all()
    assert any("absent is not defined" in problem for problem in page.errors()), page.errors()


def test_a_page_can_be_loaded_anew(page_with):
    page = page_with("n = globals().get('n', 0) + 1; print(n)", "assert n < 2")
    page.run_all()
    page.reload()
    page.run_all()
    assert page.errors() == []


def test_a_busy_machine_is_told_from_a_broken_widget():
    late = "JavaScript: [anywidget] Failed to initialize model."
    assert starved([late, "a widget does not render: ..."])
    assert not starved([])
    assert not starved([late, "cell 3: ValueError: no such k"])
