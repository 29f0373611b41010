"""The network map in a real browser: clicked, walked by keys, given pictures of every kind."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, expect

from alexnet_lib import architectures, shapes
from alexnet_lib.analysis import forward_trace
from alexnet_lib.course.widgets import network_map
from lab_controls import drawn, preset, run_to_lab

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("browser"),  # one server, one browser
]
CELLS = (
    "from alexnet_lib import datasets\nfrom alexnet_lib.course import widgets",
    "lab = widgets.NetworkMap(photos={name: datasets.photo(name) for name in ('cat', 'rocket')})\n"
    "lab",
)
DROP = """(lab, [name, base64, type]) => {
  const data = new DataTransfer();
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  data.items.add(new File([bytes], name, { type }));
  for (const kind of ['dragenter', 'dragover', 'drop'])
    lab.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
def lab(page_with) -> Locator:
    """The map in a notebook of its own, run."""
    return run_to_lab(page_with(*CELLS), "network map")


def stage(lab: Locator, name: str) -> Locator:
    """The button of a stage."""
    return lab.get_by_role("tab").filter(has=lab.page.get_by_text(name, exact=True))


def png(size: tuple[int, int], mode: str = "RGB") -> bytes:
    """A picture as a file's bytes."""
    data = io.BytesIO()
    Image.new(mode, size, 120).save(data, "PNG")
    return data.getvalue()


def noise(side: int) -> bytes:
    """A picture that no format makes small."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", compress_level=0)
    return data.getvalue()


def drop(lab: Locator, name: str, data: bytes) -> None:
    """Drop a file that calls itself a PNG on the lab."""
    lab.evaluate(DROP, [name, base64.b64encode(data).decode(), "image/png"])


def check_stages(lab: Locator) -> None:
    """Along the stages by arrow keys: each says what the library counts, and shows something."""
    rows = {row.name: row for row in shapes.walk(architectures.network("paper"))}
    sentence, cells = lab.locator(".alexnet-sentence"), lab.page.locator(".jp-Cell").count()
    stage(lab, "lrn1").click()
    lab.page.keyboard.press("Home")
    for name in forward_trace.STAGES:
        expect(stage(lab, name)).to_be_focused()
        expect(stage(lab, name)).to_have_attribute("aria-selected", "true")
        expect(sentence).to_contain_text(name)
        if name != "input":
            table = lab.locator(".alexnet-formulas")
            for cost in ("parameters", "macs", "bytes"):
                if getattr(rows[name], cost):
                    expect(table).to_contain_text(f"= {getattr(rows[name], cost):,}")
        shown = lab.locator(".alexnet-maps-panel canvas:visible, .alexnet-maps-panel img:visible, "
                            ".alexnet-answer:visible")  # fmt: skip
        assert shown.count() > 0, name
        lab.page.keyboard.press("ArrowRight")
    for key in ("d", "d", "x"):  # JupyterLab's keys for deleting a cell
        lab.page.keyboard.press(key)
    assert lab.page.locator(".jp-Cell").count() == cells


def check_clicks(lab: Locator) -> None:
    """Blocks, parts of the bars and maps answer to the pointer; the article's blocks are nine."""
    sentence = lab.locator(".alexnet-sentence")
    preset(lab, "reset")
    lab.locator(".alexnet-pick").nth(4).locator(".alexnet-front").first.click()
    expect(sentence).to_contain_text("conv2, convolution")
    lab.locator(".alexnet-bar-row i:visible", has_text="fc7").first.click()
    expect(sentence).to_contain_text("fc7, fully connected")
    stage(lab, "conv3").click()
    drawn(lab)
    photo = lab.locator(".alexnet-photo svg")
    before = photo.get_attribute("aria-label")
    lab.locator(".alexnet-tower-maps svg").first.click(position={"x": 4, "y": 4})
    expect(photo).not_to_have_attribute("aria-label", before)
    corner = photo.get_attribute("aria-label")
    photo.focus()
    lab.page.keyboard.press("ArrowRight")
    expect(photo).not_to_have_attribute("aria-label", corner)
    stage(lab, "pool1").click()
    lab.get_by_label("only what the article draws").check()
    expect(sentence).to_contain_text("lrn2, local")
    expect(lab.get_by_role("tab")).to_have_count(len(network_map.DRAWN))
    lab.get_by_label("only what the article draws").uncheck()
    preset(lab, "the answer")
    expect(lab.locator(".alexnet-answer")).to_have_count(10)


def check_pictures(lab: Locator) -> None:
    """Pictures of any size go through; what is none is refused, and nothing is lost."""
    status, chosen = lab.locator(".alexnet-status"), lab.locator("select")
    preset(lab, "the answer")
    chosen.select_option("rocket")
    expect(lab.locator(".alexnet-sentence")).to_contain_text("On “rocket” our network says")
    for name, data in (("wide.png", png((900, 20))), ("grey.png", png((30, 40), "L")),
                       ("big.png", noise(1400))):  # fmt: skip
        files = {"name": name, "mimeType": "image/png", "buffer": data}
        lab.locator("input[type=file]").set_input_files(files)
        expect(chosen).to_have_value(f"your picture, {name}", timeout=30_000)
        expect(lab.locator(".alexnet-sentence")).to_contain_text(f"On “your picture, {name}”")
        expect(status).to_be_hidden()
    for name, data, said in (("notes.txt", b"dear diary", "is not a picture that can be read"),
                             ("empty.png", b"", "is empty: 0 bytes"),
                             ("cut.png", noise(200)[:5000], "can't be decoded"),
                             ("film.mp4", bytes(4_100_000), "can't make it smaller")):  # fmt: skip
        drop(lab, name, data)
        expect(status).to_contain_text(f"{name} ", timeout=30_000)
        expect(status).to_contain_text(said, timeout=30_000)
        expect(status).to_contain_text("The picture stays as it was.")
        expect(chosen).to_have_value("your picture, big.png")
    drop(lab, "dropped.png", png((64, 64)))
    expect(chosen).to_have_value("your picture, dropped.png", timeout=30_000)
    preset(lab, "reset")
    expect(chosen).to_have_value("cat")


def test_the_map_answers_to_keys_clicks_and_pictures(lab):
    check_stages(lab)
    check_clicks(lab)
    check_pictures(lab)
