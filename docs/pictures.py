"""Make README's pictures: one of several demos, and a small one for each chapter.

    .venv/bin/python docs/pictures.py            # needs Chromium; about a minute
    .venv/bin/python docs/pictures.py --small    # the small ones of chapters without a lab

Labs are photographed in headless JupyterLab at twice the resolution, running as a learner sees
them; the other small pictures are cut from what the chapters hold. After a change look at each.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "browser"))
OUT = ROOT / "data" / "pictures"
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
INK, MUTED, EDGE, PAPER, DESK = "#1f2328", "#59636e", "#d1d9e0", "#ffffff", "#f3f5f7"
SMALL, WIDE, GAP, ROUND = (440, 300), 2000, 28, 16  # pixels; README shows them at half of that

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Cut:
    """A part of a lab or of a stored picture.

    chapter: its number. box: the part, in CSS pixels of a lab, in pixels of a picture. lab: the
    lab's name; where it is empty, alt names the picture, by a part of its alternative text.
    """

    chapter: str
    box: Box
    lab: str = ""
    alt: str = ""


MAP = Cut("07", (0, 0, 800, 950), lab="network map")
LRN = Cut("05", (0, 0, 800, 569), lab="LRN lab")
SIZES = Cut("02", (0, 86, 800, 446), lab="output-size lab")
CHAPTERS = (
    Cut("00", (4, 4, 1126, 359), alt="AlexNet as a row of blocks"),
    Cut("01", (28, 36, 598, 294), alt="short strokes along its edges"),
    Cut("02", (10, 46, 942, 337), alt="one learned filter, enlarged"),
    Cut("03", (14, 38, 1126, 576), alt="nine windows lie side by side"),
    Cut("04", (8, 36, 612, 478), alt="one panel for each kind of first weights"),
    Cut("05", (112, 54, 784, 358), lab="LRN lab"),
    Cut("06", (55, 4, 955, 408), alt="parameters, GPU 1"),
    Cut("07", (12, 524, 752, 928), lab="network map"),
    Cut("08", (20, 40, 606, 290), alt="one of 1,089 places"),
    Cut("09", (6, 22, 408, 338), alt="crossed the valley's floor"),
    Cut("10", (32, 5, 735, 412), alt="chain saw taken for French horn"),
    Cut("11", (34, 28, 680, 299), alt="Hidden:"),
)


def notebook(chapter: str) -> Path:
    """The file of a chapter."""
    return next((ROOT / "chapters").glob(f"{chapter}_*.ipynb"))


def cells(chapter: str) -> list[dict]:
    """The cells of a chapter."""
    return json.loads(notebook(chapter).read_text(encoding="utf-8"))["cells"]


def title(chapter: str) -> str:
    """What a chapter calls itself in its first line: "# Chapter 4 · ReLU"."""
    return "".join(cells(chapter)[0]["source"]).splitlines()[0].partition("· ")[2]


def stored(cut: Cut) -> Image.Image:
    """A picture that a chapter holds; ValueError where none has that alternative text."""
    for cell in cells(cut.chapter):
        for output in cell.get("outputs", ()):
            for kind in ("image/png", "image/jpeg"):
                alt = output.get("metadata", {}).get(kind, {}).get("alt", "")
                if cut.alt in alt and kind in output.get("data", {}):
                    data = base64.b64decode("".join(output["data"][kind]))
                    return Image.open(io.BytesIO(data)).convert("RGB").crop(cut.box)
    raise ValueError(f"chapter {cut.chapter} has no picture with {cut.alt!r} in its alt text")


def photographed(cuts: list[Cut]) -> dict[Cut, Image.Image]:
    """Run the chapters and cut their labs, at two pixels a CSS pixel."""
    from playwright.sync_api import sync_playwright

    from lab_driver import LabServer, NotebookPage, find_chromium, launch

    found = {}
    chapters = sorted({cut.chapter for cut in cuts})
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = launch(playwright, find_chromium(playwright))
        with LabServer(Path(folder), [notebook(chapter) for chapter in chapters]) as server:
            for chapter in chapters:
                page = NotebookPage(
                    browser, server, notebook(chapter).name, width=1120, height=1800, scale=2
                )
                page.run_all(900)
                for cut in (cut for cut in cuts if cut.chapter == chapter):
                    lab = page.page.locator(f'.alexnet-lab[aria-label="{cut.lab}"]')
                    lab.scroll_into_view_if_needed()
                    page.page.wait_for_timeout(1500)  # the network map has pictures to fetch
                    shot = Image.open(io.BytesIO(lab.screenshot())).convert("RGB")
                    found[cut] = shot.crop([round(2 * side) for side in cut.box])
                page.close()
        browser.close()
    return found


def fitted(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The picture, as large as the box allows."""
    scale = min(width / picture.width, height / picture.height)
    size = (round(scale * picture.width), round(scale * picture.height))
    return picture.resize(size, Image.Resampling.LANCZOS)


def card(image: Image.Image, left: int, top: int, right: int, bottom: int) -> None:
    """Draw a white card with round corners, smooth because it is drawn four times as large."""
    large = Image.new("RGB", (4 * (right - left), 4 * (bottom - top)), image.getpixel((left, top)))
    corners = (4, 4, large.width - 5, large.height - 5)
    ImageDraw.Draw(large).rounded_rectangle(corners, 4 * ROUND, PAPER, EDGE, width=6)
    image.paste(large.resize((right - left, bottom - top), Image.Resampling.LANCZOS), (left, top))


def save(image: Image.Image, name: str) -> None:
    """Write a picture as WebP and say how large it is."""
    path = OUT / f"{name}.webp"
    image.save(path, quality=90, method=6)
    print(f"{path.relative_to(ROOT)}: {image.width} x {image.height}, "
          f"{path.stat().st_size / 1000:.0f} kB")  # fmt: skip


def small(cut: Cut, picture: Image.Image) -> Image.Image:
    """A card with the picture, and below it the chapter's number and title."""
    width, height = SMALL
    image = Image.new("RGB", SMALL, PAPER)
    card(image, 0, 0, width, height)
    shown = fitted(picture, width - 48, height - 88)
    image.paste(shown, ((width - shown.width) // 2, 20 + (height - 88 - shown.height) // 2))
    draw = ImageDraw.Draw(image)
    number = ImageFont.truetype(FONTS / "DejaVuSans.ttf", 21)
    name = ImageFont.truetype(FONTS / "DejaVuSans-Bold.ttf", 21)
    start = draw.textlength(f"{cut.chapter}  ", number)
    whole = start + draw.textlength(title(cut.chapter), name)
    left, base = (width - whole) / 2, height - 26
    draw.text((left, base), cut.chapter, MUTED, number, anchor="ls")
    draw.text((left + start, base), title(cut.chapter), INK, name, anchor="ls")
    return image


def wide(shots: dict[Cut, Image.Image]) -> Image.Image:
    """The network map on the left, the LRN lab and a part of the output-size lab on the right."""
    column = (WIDE - 3 * GAP) // 2
    scaled = {cut: shots[cut].resize((column - 8, (column - 8) * shots[cut].height
                                      // shots[cut].width), Image.Resampling.LANCZOS)
              for cut in (MAP, LRN, SIZES)}  # fmt: skip
    right = [scaled[LRN].height + 26, scaled[SIZES].height + 32]
    height = sum(right) + 3 * GAP
    image = Image.new("RGB", (WIDE, height), DESK)
    places = [(MAP, GAP, GAP, height - GAP), (LRN, 2 * GAP + column, GAP, GAP + right[0]),
              (SIZES, 2 * GAP + column, 2 * GAP + right[0], height - GAP)]  # fmt: skip
    for cut, left, top, bottom in places:
        card(image, left, top, left + column, bottom)
        shot = scaled[cut]
        image.paste(shot.crop((3, 3, shot.width - 3, min(shot.height, bottom - top - 8))),
                    (left + 7, top + (7 if cut is not SIZES else 16)))  # fmt: skip
    return image


def main() -> None:
    """Make all pictures, or those that need no browser."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--small", action="store_true", help="only what needs no browser")
    without = parser.parse_args().small
    shots = {} if without else photographed([MAP, LRN, SIZES, *(c for c in CHAPTERS if c.lab)])
    for cut in CHAPTERS:
        if not cut.lab or not without:
            save(small(cut, shots[cut] if cut.lab else stored(cut)), f"chapter_{cut.chapter}")
    if not without:
        save(wide(shots), "course")


if __name__ == "__main__":
    main()
