"""Pictures made of pixels and of stacked maps: photos, filters, feature maps, a channel window.

Numpy and matplotlib only. `plots` hands these on; chapters write `plots.filters(...)`.
"""

from __future__ import annotations

import struct
import zlib
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox
from PIL import Image

from .palette import COLOURS, FIGURE_WIDTH, FONT_SIZE, PIXELS_PER_INCH

__all__ = [
    "bare", "blocks", "feature_maps", "filters", "image", "new_axes", "new_figure",
    "pixel_image", "quick_png", "window_over_channels",
]  # fmt: skip

SLANT, DEPTH, SHEET_HEIGHT = 0.6, 0.66, 2.3  # a sheet of the block, in channel spacings
_blocks: WeakKeyDictionary[Axes, dict] = WeakKeyDictionary()  # what was drawn, to be moved


def new_figure(width: float, height: float) -> Figure:
    """Return an empty Figure, width x height inches, that pyplot knows nothing of."""
    figure = Figure(figsize=(width, height), dpi=PIXELS_PER_INCH, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06, hspace=0.04, wspace=0.04)
    return figure


def new_axes(width: float = FIGURE_WIDTH, height: float = 2.6) -> Axes:
    """Return the Axes of a new Figure, width x height inches."""
    return new_figure(width, height).add_subplot()


def _scaled(array: np.ndarray, normalize: str, axes: tuple[int, ...]) -> np.ndarray:
    """Bring array to 0..1: "each" by its own range over `axes`, "all" by the common range."""
    values = np.asarray(array, dtype=np.float64)
    if normalize not in ("each", "all", "none"):
        raise ValueError(f'normalize is {normalize!r}; give "each", "all" or "none".')
    if normalize == "none":
        return values / 255 if np.asarray(array).dtype == np.uint8 else np.clip(values, 0, 1)
    over = axes if normalize == "each" else None
    low = values.min(axis=over, keepdims=True)
    span = values.max(axis=over, keepdims=True) - low
    return (values - low) / np.where(span == 0, 1, span)


def _mosaic(tiles: np.ndarray, columns: int, gap: int) -> np.ndarray:
    """Lay tiles (K, h, w, 3), uint8 or 0 to 1, out in rows, `gap` background pixels between.

    Returns uint8, which draws in half the time.
    """
    K, h, w, _ = tiles.shape
    rows = -(-K // columns)
    shape = (rows * (h + gap) - gap, columns * (w + gap) - gap, 3)
    if tiles.dtype != np.uint8:
        tiles = np.round(255 * tiles).astype(np.uint8)
    sheet = np.empty(shape, np.uint8)
    sheet[:] = np.round(255 * np.array(to_rgb(COLOURS["background"])))
    for number, tile in enumerate(tiles):
        top, left = number // columns * (h + gap), number % columns * (w + gap)
        sheet[top : top + h, left : left + w] = tile
    return sheet


def bare(ax: Axes, title: str | None = None) -> Axes:
    """Take ticks and frame off an Axes, for a picture; returns it."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    if title:
        ax.set_title(title)
    return ax


def image(array: np.ndarray, *, title: str | None = None, ax: Axes | None = None) -> Axes:
    """Show a picture without axes around it.

    array: (H, W, 3) or (H, W); uint8, or floating point in 0..1. Returns the Axes.
    Raises ValueError for another shape.
    """
    pixels = np.asarray(array)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ValueError(
            f"array has shape {pixels.shape}; a picture is (H, W, 3) or (H, W). "
            "From torch's (3, H, W), give array.transpose(1, 2, 0)."
        )
    ax = ax or new_axes(4.2, 4.2 * pixels.shape[0] / pixels.shape[1])
    pixels = _scaled(pixels, "none", ())
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    return bare(ax, title)


def quick_png(pixels: Image.Image) -> bytes:
    """Return an RGB picture as PNG, without Pillow's search for the best filter of each row.

    That search takes two thirds of the time and gains nothing on charts.
    """
    width, height = pixels.size
    rows = np.zeros((height, 1 + 3 * width), dtype=np.uint8)  # each begins with its filter, 0
    rows[:, 1:] = np.asarray(pixels).reshape(height, 3 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits a colour, RGB
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


class PixelImage(AxesImage):
    """A picture of uint8 colours that keeps its place and often gets other pixels.

    It looks like imshow's, with whole pixels enlarged, and draws in a fifth of the time.
    """

    def make_image(self, renderer, magnification=1.0, unsampled=False):
        """Return the picture at the screen's size, and where it goes."""
        left, right, bottom, top = self.get_extent()
        place = Bbox([[left, bottom], [right, top]]).transformed(self.get_transform())
        x0, x1, y0, y1 = np.round([place.x0, place.x1, place.y0, place.y1]).astype(int)
        if unsampled or x1 <= x0 or y1 <= y0:  # mirrored, or for a file without pixels
            return super().make_image(renderer, magnification, unsampled)
        pixels = Image.fromarray(self.get_array()).convert("RGBA")
        grown = pixels.resize((int(x1 - x0), int(y1 - y0)), Image.Resampling.NEAREST)
        return np.asarray(grown)[::-1], x0, y0, None


def pixel_image(array: np.ndarray, ax: Axes, title: str | None = None) -> PixelImage:
    """Show a picture as `image` does and return it, for set_data with others of its shape.

    array: uint8 (H, W, 3), or (H, W, 4) where parts are transparent.
    """
    shown = PixelImage(ax, interpolation="nearest", origin="upper")
    shown.set_data(array)
    height, width = array.shape[:2]
    shown.set_extent((-0.5, width - 0.5, height - 0.5, -0.5))
    shown.set_clip_path(ax.patch)
    ax.add_image(shown)
    ax.set_aspect("equal")
    bare(ax, title)
    return shown


def filters(
    array: np.ndarray, columns: int = 16, *, towers: bool = True, normalize: str = "each",
    title: str | None = None, ax: Axes | None = None,
) -> Axes:
    """Show first-layer filters as tiles, tower 1 above tower 2, each in its colour's frame.

    array: (K, 3, h, w), weights or uint8. columns: tiles a row. towers: whether the first K/2
    filters are tower 1. normalize: "each" stretches every filter to the full range, "all" uses
    one range for all, "none" takes 0..1 or uint8 as it is. Calling it again with the same ax and
    as many filters changes the pixels alone, which is what keeps a demo fast. Returns the Axes.
    Raises ValueError for another shape, and for an odd K with towers. Source: [P Fig. 3].
    """
    weights = np.asarray(array)
    if weights.ndim != 4 or weights.shape[1] != 3:
        raise ValueError(f"array has shape {weights.shape}; filters on colour are (K, 3, h, w).")
    K, _, h, w = weights.shape
    if towers and K % 2:
        raise ValueError(f"{K} filters don't split into two towers; give towers=False.")
    stored = weights.dtype == np.uint8 and normalize == "none"
    tiles = weights if stored else _scaled(weights, normalize, (1, 2, 3))
    tiles = tiles.transpose(0, 2, 3, 1)  # (K, h, w, 3)
    parts = np.split(tiles, 2) if towers else [tiles]
    gap, space = max(1, h // 8), h
    sheets = [_mosaic(part, min(columns, len(part)), gap) for part in parts]
    height, width = sheets[0].shape[:2]
    total = len(parts) * height + (len(parts) - 1) * space
    if ax is not None and [image.get_array().shape for image in ax.images] == [
        sheet.shape for sheet in sheets
    ]:
        for image, sheet in zip(ax.images, sheets, strict=True):
            image.set_data(sheet)
        return ax
    ax = ax or new_axes(FIGURE_WIDTH, (FIGURE_WIDTH - 0.5) * total / width + 0.35)
    for number, sheet in enumerate(sheets):
        top = number * (height + space)
        ax.imshow(sheet, extent=(0, width, top + height, top), interpolation="nearest")
        if towers:
            _frame_tower(ax, f"tower{number + 1}", top, width, height, gap)
    ax.set_xlim(-2.5 * gap if towers else 0, width + 2.5 * gap if towers else width)
    ax.set_ylim(total + 2.5 * gap, -0.75 * space if towers else 0)
    ax.set_aspect("equal")
    return bare(ax, title)


def _frame_tower(ax: Axes, tower: str, top: float, width: float, height: float, gap: int) -> None:
    colour, margin = COLOURS[tower], 1.5 * gap
    size = (width + 2 * margin, height + 2 * margin)
    place = (-margin, top - margin)  # around the filters, which may change: drawn once, below them
    ax.add_patch(Rectangle(place, *size, fill=False, edgecolor=colour, lw=2, zorder=-1))
    ax.text(
        -margin, top - 2.2 * margin, f"tower {tower[-1]}", color=colour, weight="bold",
        fontsize=FONT_SIZE["note"], va="bottom", ha="left", zorder=-1,
    )


def feature_maps(
    array: np.ndarray, columns: int = 8, *, channels: list[int] | None = None,
    normalize: str = "all", title: str | None = None, ax: Axes | None = None,
) -> Axes:
    """Show feature maps as grey tiles with their channel numbers; bright is a strong response.

    array: (C, H, W). channels: which to show, in this order; default all. normalize: "all" gives
    every map one range, so that weak maps stay dark; "each" stretches every map. Returns the Axes.
    Raises ValueError for another shape.
    """
    maps = np.asarray(array)
    if maps.ndim != 3:
        raise ValueError(f"array has shape {maps.shape}; one image's feature maps are (C, H, W).")
    channels = list(range(len(maps))) if channels is None else list(channels)
    C, H, W = len(channels), *maps.shape[1:]
    columns = min(columns, C)
    tiles = _scaled(maps[channels], normalize, (1, 2))
    gap, header = max(1, W // 12), max(2, H // 5)
    padded = np.ones((C, H + header, W))
    padded[:, header:] = tiles
    sheet = _mosaic(np.repeat(padded[..., None], 3, axis=3), columns, gap)
    height, width = sheet.shape[:2]
    ax = ax or new_axes(FIGURE_WIDTH, FIGURE_WIDTH * height / width + (0.3 if title else 0.05))
    ax.imshow(sheet, extent=(0, width, height, 0), vmin=0, vmax=1, interpolation="nearest")
    for number, channel in enumerate(channels):
        ax.text(
            number % columns * (W + gap), number // columns * (H + header + gap) + 0.85 * header,
            str(channel), fontsize=FONT_SIZE["note"] - 1, color=COLOURS["muted"], va="baseline",
        )
    return bare(ax, title)


def _cells(x: float, rows: int, columns: int) -> list[list[tuple[float, float]]]:
    """Return the corners of a slanted sheet's cells, row by row, the sheet's left edge at x."""
    def corner(row: float, column: float) -> tuple[float, float]:
        across = column / columns
        return x + DEPTH * across, SHEET_HEIGHT * (1 - row / rows) + SLANT * across

    return [
        [corner(r, c), corner(r, c + 1), corner(r + 1, c + 1), corner(r + 1, c)]
        for r in range(rows) for c in range(columns)
    ]


def _start_block(ax: Axes, shape: tuple[int, int, int], position: tuple[int, int]) -> dict:
    """Draw the parts of the block that never move, and return those that do."""
    C, H, W = shape
    place = position[0] * W + position[1]
    cells = [_cells(i, H, W) for i in range(C)]
    tiles = PolyCollection([cell for sheet in cells for cell in sheet], lw=0.3, zorder=1)
    tiles.set_edgecolor(COLOURS["background"])
    sheets = [_cells(i, 1, 1)[0] for i in range(C)]
    tints = PolyCollection(sheets, lw=0, zorder=2)  # over the maps, so that these are drawn once
    frames = PolyCollection(sheets, facecolor="none", zorder=2)
    marks = PolyCollection([sheet[place] for sheet in cells], zorder=4)
    outside = PolyCollection([], facecolor="none", zorder=2, lw=1.2, linestyle=(0, (3, 2)))
    outside.set_edgecolor(COLOURS["highlight"])
    for collection in (tiles, tints, frames, marks, outside):
        ax.add_collection(collection, autolim=False)
    middle = np.mean(cells[0][place], axis=0)
    ends = [-1.1, C - 0.1]
    ax.plot(ends, [middle[1]] * 2, color=COLOURS["text"], lw=0.8, linestyle=(0, (2, 2)), zorder=3)
    aside = {"fontsize": FONT_SIZE["note"], "ha": "right", "zorder": 0}
    ax.text(-1.2, middle[1], "the same\nposition", va="center", **aside)
    ax.text(-1.2, -0.16, "channel", va="top", **aside)
    small = {"fontsize": FONT_SIZE["tick"], "ha": "center", "va": "top"}
    for i in range(C):
        ax.text(i + DEPTH / 3, -0.16, str(i), zorder=0, **small)  # below what moves: drawn once
    bracket, = ax.plot([], [], color=COLOURS["highlight"], lw=2, solid_capstyle="butt")
    note = ax.text(0, -0.82, "", color=COLOURS["text"], **small)
    ax.set_xlim(-2.4, C + 1.2)
    ax.set_ylim(-1.2, SHEET_HEIGHT + SLANT + 0.1)
    bare(ax)
    moving = {"tints": tints, "frames": frames, "marks": marks, "outside": outside,
              "bracket": bracket, "note": note}
    return {"shape": (shape, position), "maps": None, "tiles": tiles, **moving}


def window_over_channels(
    maps: np.ndarray, channel: int, behind: int, ahead: int, *,
    position: tuple[int, int] | None = None, ax: Axes | None = None,
) -> Axes:
    """Draw a block of feature maps side by side and mark one position's window of channels.

    maps: (C, H, W), at most about 16 maps of 8 x 8; darker is larger. channel: the one being
    normalized. behind, ahead: how far the window reaches, in channels; what falls outside the
    block is drawn dashed. position: (row, column), default the middle. Calling it again with the
    same ax and shapes moves the marks, which is what keeps a demo fast. Returns the Axes.
    Raises ValueError for another shape and for a channel outside the block.
    """
    maps = np.asarray(maps, dtype=np.float64)
    if maps.ndim != 3:
        raise ValueError(f"maps has shape {maps.shape}; a block of feature maps is (C, H, W).")
    C, H, W = maps.shape
    if not 0 <= channel < C:
        raise ValueError(f"channel is {channel}; this block has the channels 0 to {C - 1}.")
    position = position or (H // 2, W // 2)
    ax = ax or new_axes(FIGURE_WIDTH, 2.7)
    block = _blocks.get(ax)
    if block is None or block["shape"] != (maps.shape, position) or block["note"].axes is not ax:
        ax.clear()
        block = _blocks[ax] = _start_block(ax, maps.shape, position)
    first, last = max(0, channel - behind), min(C - 1, channel + ahead)
    inside = [first <= i <= last for i in range(C)]
    if block["maps"] is None or not np.array_equal(block["maps"], maps):
        block["maps"] = maps.copy()
        shade = 0.7 * _scaled(maps, "all", ()).reshape(C * H * W, 1)
        blank = np.array(to_rgb(COLOURS["soft_muted"]))
        block["tiles"].set_facecolor(shade * to_rgb(COLOURS["before"]) + (1 - shade) * blank)
    block["tints"].set_facecolor([to_rgba(COLOURS["highlight"], 0.28 * i) for i in inside])
    block["frames"].set_edgecolor([COLOURS["highlight" if i else "muted"] for i in inside])
    block["frames"].set_linewidth([2.0 if i else 0.6 for i in inside])
    block["marks"].set_facecolor([COLOURS["highlight" if i else "background"] for i in inside])
    block["marks"].set_edgecolor(COLOURS["text"])
    block["marks"].set_linewidth([2.4 if i == channel else 0.8 for i in range(C)])
    beyond = [i for i in range(channel - behind, channel + ahead + 1) if not 0 <= i < C]
    block["outside"].set_verts([_cells(i, 1, 1)[0] for i in beyond if -2 < i < C + 1])
    ends = np.array([first - 0.08, first - 0.08, last + DEPTH - 0.08, last + DEPTH - 0.08])
    block["bracket"].set_data(ends, [-0.58, -0.68, -0.68, -0.58])
    span = f"channels {first} to {last}" if last > first else f"channel {first} alone"
    block["note"].set_text(span)  # short: each letter costs a tenth of a millisecond
    block["note"].set_x(float(ends.mean()))
    return ax


def blocks(
    names: list[str], shapes: list[tuple[int, ...]], *, title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a network as a row of blocks, one for each shape it passes through.

    names: under the blocks. shapes: (C, H, W) or (C,); a block's face is as high as its maps
    (by the square root, so that small ones can be seen), its depth grows with the channels.
    Returns the Axes. Raises ValueError where names and shapes differ in number.
    """
    if len(names) != len(shapes):
        raise ValueError(f"{len(names)} names for {len(shapes)} shapes; give one name a block.")
    ax = ax or new_axes(FIGURE_WIDTH, 2.9)
    left, tallest = 0.0, max(shape[1] if len(shape) == 3 else 1 for shape in shapes) ** 0.5
    for number, (name, shape) in enumerate(zip(names, shapes, strict=True)):
        C, side = shape[0], shape[1] if len(shape) == 3 else 1
        height, depth = side**0.5, 0.045 * C**0.5 * (1 if len(shape) == 3 else 0.6)
        slope, bottom = 0.22 * height, (tallest - side**0.5) / 2
        far = depth + slope
        face = [(depth, 0), (depth, height), (far, height * 1.25), (far, height * 0.25)]
        top = [(0, height), (depth, height), (far, height * 1.25), (slope, height * 1.25)]
        front = [(0, 0), (depth, 0), (depth, height), (0, height)]
        colour = COLOURS["highlight" if number == 0 else "before" if len(shape) == 3 else "after"]
        for corners, alpha in ((face, 0.35), (top, 0.6), (front, 0.9)):
            ax.fill(
                [left + x for x, _ in corners], [bottom + y for _, y in corners],
                facecolor=(*to_rgb(colour), alpha), edgecolor=COLOURS["text"], linewidth=0.6,
            )
        middle = left + far / 2
        size = f"{side}×{side}\n×{C}" if len(shape) == 3 else f"{C:,}"
        style = {"ha": "center", "va": "top", "fontsize": FONT_SIZE["note"]}
        ax.text(middle, -0.4, name, weight="bold", **style)
        ax.text(middle, -1.5, size, color=COLOURS["muted"], **style)
        left += max(far, 0.9) + 0.55
    ax.set_xlim(-0.3, left)
    ax.set_ylim(-3.6, tallest * 1.25 + 0.2)
    return bare(ax, title)
