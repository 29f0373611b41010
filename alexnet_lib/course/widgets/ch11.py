"""Chapter 11's demos: what a unit answers to, and what a hidden square costs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from ... import plots
from ...analysis import units as units_analysi
from ...analysis.deconvolution import Portrait
from ...plots.fast_text import Numeral
from ...plots.palette import COLOURS, FONT_SIZE, LINE_STYLES
from .python_demo import Demo

__all__ = ["contrast", "hide_a_square", "neighbour_rows", "unit_portraits"]

TILE, GAP = 120, 6  # pixels of a patch on the page, and between two
GREY = 127


def contrast(projection: np.ndarray) -> np.ndarray:
    """Turn a projection (h, w, 3) around zero into a picture: grey is 0, uint8."""
    most = float(np.abs(projection).max())
    share = projection / most if most > 0 else projection
    return np.round(127.5 + 127.5 * share).clip(0, 255).astype(np.uint8)


def _tile(picture: np.ndarray, side: int) -> np.ndarray:
    """Put a patch into the middle of a square of TILE pixels, which is `side` pixels of a photo.

    Whole pixels are enlarged; around a patch that is smaller the tile is transparent.
    """
    h, w = picture.shape[:2]
    scale = TILE / side
    width, height = (min(TILE, max(1, round(pixels * scale))) for pixels in (w, h))
    kind = Image.Resampling.NEAREST if scale > 2 else Image.Resampling.BILINEAR
    sheet = np.zeros((TILE, TILE, 4), np.uint8)
    top, left = (TILE - height) // 2, (TILE - width) // 2
    place = sheet[top : top + height, left : left + width]
    place[..., :3] = np.asarray(Image.fromarray(picture).resize((width, height), kind))
    place[..., 3] = 255
    return sheet


def _side(portrait: Portrait) -> int:
    return max(max(patch.shape[:2]) for patch in portrait.patches)


def _sheet(portrait: Portrait, columns: int) -> np.ndarray:
    """Lay a portrait's patches out in a row, and what the unit saw in them below."""
    side = _side(portrait)
    sheet = np.zeros((2 * TILE + GAP, columns * (TILE + GAP) - GAP, 4), np.uint8)
    for number, (patch, seen) in enumerate(zip(portrait.patches, portrait.seen, strict=True)):
        left = number * (TILE + GAP)
        sheet[:TILE, left : left + TILE] = _tile(patch, side)
        sheet[TILE + GAP :, left : left + TILE] = _tile(contrast(seen), side)
    return sheet


def unit_portraits(portraits: Mapping[str, Sequence[Portrait]], columns: int = 4) -> Demo:
    """What single units answer to: the patches that excite them, and the way back to the pixels.

    portraits: stage -> some of its units, as many for every stage, from
    `deconvolution.portraits`. columns: patches of each that are shown.
    """
    sheets = {
        stage: [_sheet(portrait, columns) for portrait in each]
        for stage, each in portraits.items()
    }
    parts: dict[str, Any] = {}

    def compute(layer: str, unit: int) -> dict[str, Any]:
        return {"layer": layer, "portrait": portraits[layer][unit - 1],
                "sheet": sheets[layer][unit - 1]}  # fmt: skip

    def draw(figure: Figure, data: dict[str, Any]) -> str:
        if not figure.axes:
            ax = figure.subplots()
            parts["image"] = plots.pixel_image(data["sheet"], ax)
            ax.set_yticks([TILE / 2, 1.5 * TILE + GAP], ["in the\npicture", "what\ncame back"])
            ax.tick_params(axis="y", length=0)
            parts["answers"] = [
                ax.add_artist(Numeral(
                    number * (TILE + GAP) + TILE / 2, -GAP, "", ha="center", va="bottom",
                    size=FONT_SIZE["note"], color=COLOURS["text"], clip_on=False))
                for number in range(columns)
            ]
            ax.set_title(" ", fontsize=FONT_SIZE["note"])  # room for the answers
        parts["image"].set_data(data["sheet"])
        portrait = data["portrait"]
        values = [plots.number(value) for value in portrait.values]
        for text, value in itertools.zip_longest(parts["answers"], values[:columns], fillvalue=""):
            text.set_text(value and f"answer {value}")
        side = _side(portrait)
        cut = any(patch.shape[:2] != (side, side) for patch in portrait.patches)
        return (
            f"Unit {portrait.channel} of {data['layer']} sees up to {side} x {side} pixels"
            f"{', less where the picture ends' if cut else ''}. Its strongest answers, each in "
            f"another picture: {', '.join(values)}."
        )

    stages = list(portraits)
    units = min(len(each) for each in portraits.values())
    controls = {
        "layer": ipywidgets.ToggleButtons(
            options=stages, value=stages[len(stages) // 2], style={"button_width": "auto"}
        ),
        "unit": ipywidgets.IntSlider(value=1, min=1, max=units, description="unit shown"),
    }
    presets = {"first layer": {"layer": stages[0], "unit": 1},
               "last layer": {"layer": stages[-1], "unit": 1}}  # fmt: skip
    return Demo(compute, draw, controls, presets, name="unit portraits", height=3.6, photo=True)


def _heat(ax: Axes, drops: np.ndarray, most: float, side: int) -> Any:
    """Draw an occlusion map over the whole picture's side, white at 0."""
    image = ax.imshow(
        drops, cmap="PuOr_r", vmin=-most, vmax=most, extent=(0, side, side, 0),
        interpolation="nearest",
    )  # fmt: skip
    plots.bare(ax, "drop, where the square is")
    return image


def hide_a_square(
    picture: np.ndarray, maps: Mapping[int, np.ndarray], whole: float, name: str
) -> Demo:
    """Move a grey square over a picture, and see what that costs the network's answer.

    picture: uint8 (side, side, 3). maps: size of the square -> (rows, columns) drops of the
    probability, from `units.occlusion`, squares spread evenly from edge to edge; all of one
    shape. whole: the probability with nothing hidden, of the class `name`.
    """
    side, sizes = len(picture), list(maps)
    rows, columns = maps[sizes[0]].shape
    most = max(float(np.abs(drops).max()) for drops in maps.values()) or 1.0
    parts: dict[str, Any] = {}

    def compute(size: int, row: int, column: int) -> dict[str, Any]:
        top, left = (
            at * (side - size) / (count - 1) for at, count in ((row, rows), (column, columns))
        )
        return {"size": size, "row": row, "column": column, "top": top, "left": left,
                "drop": float(maps[size][row, column])}  # fmt: skip

    def start(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        plots.image(picture, title="the picture, a square hidden", ax=left)
        parts["square"] = left.add_patch(
            Rectangle((0, 0), 1, 1, facecolor=(GREY / 255,) * 3, edgecolor=COLOURS["highlight"],
                      lw=2)
        )
        parts["heat"] = _heat(right, maps[sizes[0]], most, side)
        parts["mark"] = right.add_patch(
            Rectangle((0, 0), side / columns, side / rows, fill=False, lw=2.5,
                      edgecolor=COLOURS["text"])
        )
        scale = figure.colorbar(parts["heat"], ax=right, fraction=0.046, pad=0.03)
        ends = f"{100 * most:.0f}"
        scale.set_ticks([-most, 0, most], labels=[f"-{ends}", "0", f"+{ends}"])
        scale.ax.tick_params(labelsize=FONT_SIZE["tick"])
        scale.set_label("points", fontsize=FONT_SIZE["note"])

    def draw(figure: Figure, data: dict[str, Any]) -> str:
        if not figure.axes:
            start(figure)
        size = data["size"]
        parts["square"].set(x=data["left"] - 0.5, y=data["top"] - 0.5, width=size, height=size)
        if parts.get("size") != size:
            parts["heat"].set_data(maps[size])
            parts["size"] = size
        parts["mark"].set(x=data["column"] * side / columns, y=data["row"] * side / rows)
        now = whole - data["drop"]
        change = "less" if data["drop"] > 0 else "more"
        return (
            f"Hidden: {size} x {size} pixels, place {data['row']} from the top, "
            f"{data['column']} from the left. "
            f"The network says {name!r} with {now:.0%}; with nothing hidden it was {whole:.0%}: "
            f"{abs(100 * data['drop']):.0f} points {change}."
        )

    at = np.unravel_index(int(maps[sizes[-1]].argmax()), (rows, columns))
    least = np.unravel_index(int(maps[sizes[-1]].argmin()), (rows, columns))
    controls = {
        "size": ipywidgets.SelectionSlider(options=sizes, value=sizes[-1]),
        "row": ipywidgets.IntSlider(
            value=int(at[0]), min=0, max=rows - 1, description="places down"
        ),
        "column": ipywidgets.IntSlider(
            value=int(at[1]), min=0, max=columns - 1, description="places right"
        ),
    }
    presets = {
        name: {"size": sizes[-1], "row": int(row), "column": int(column)}
        for name, (row, column) in (("what matters most", at), ("what speaks most against", least))
    }
    return Demo(compute, draw, controls, presets, name="hide a square", height=3.1, photo=True)


def neighbour_rows(
    images: np.ndarray, features: np.ndarray, queries: Sequence[int], count: int = 5,
    titles: Sequence[str] = (), owners: Sequence[int] | None = None,
) -> Figure:
    """Return a figure: in each row a picture and those nearest to it, the nearest first.

    images: uint8 (N, H, W, 3). features: (N, ...), by which they are near. queries: which
    pictures. titles: of the rows. owners: (N,) whose picture each is; those of the row's own get a
    whole frame, the others a dotted one. Source: [P Fig. 4].
    """
    figure, axes = plots.figure(
        height=1.35 * len(queries) + 0.3, rows=len(queries), columns=count + 1, squeeze=False
    )
    for number, (row, query) in enumerate(zip(axes, queries, strict=True)):
        shown = [query, *units_analysi.nearest(features, query, count)]
        for place, (ax, index) in enumerate(zip(row, shown, strict=True)):
            plots.image(images[index][::3, ::3], ax=ax)
            if owners is not None and place:
                _frame(ax, "after" if owners[index] == owners[query] else "muted")
        if titles:
            row[0].set_ylabel(titles[number], fontsize=FONT_SIZE["note"])
    axes[0, 0].set_title("picture", fontsize=FONT_SIZE["note"])
    for place, ax in enumerate(axes[0, 1:], start=1):
        ax.set_title(f"nearest: {place}" if place == 1 else str(place), fontsize=FONT_SIZE["note"])
    return figure


def _frame(ax: Axes, meaning: str) -> None:
    """Draw a frame in a meaning's colour and style around a picture."""
    for spine in ax.spines.values():
        spine.set(visible=True, color=COLOURS[meaning], linestyle=LINE_STYLES[meaning], lw=2.5)
