"""Chapter 8's demos: one photo's crop, flip and colour noise; dropout against its average."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import ipywidgets
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from ... import augment, ops, plots
from ...datasets import builtin
from ...plots.palette import COLOURS, LINE_STYLES
from .python_demo import Demo

__all__ = ["augmented_photo", "averaged_dropout", "square_photos"]

STORED, CROP = 256, 224  # pixels, as in [P §4.1]


@functools.cache
def square_photos(side: int = STORED) -> np.ndarray:
    """Return the photos that ship, their shorter side scaled to `side` and the middle cut out.

    As the paper prepares its pictures [P §2]. uint8 (N, side, side, 3), in the order of PHOTOS.
    """
    squares = []
    for name in builtin.PHOTOS:
        photo = Image.fromarray(builtin.photo(name))
        scale = side / min(photo.size)
        size = [max(side, round(length * scale)) for length in photo.size]
        pixels = torch.from_numpy(np.array(photo.resize(size, Image.Resampling.BILINEAR)))
        squares.append(augment.centre_crop(pixels, side).numpy())
    made = np.stack(squares)
    made.setflags(write=False)
    return made


def augmented_photo(name: str = "astronaut") -> Demo:
    """What the network may see of one photo: the crop, its mirror image, the colour noise.

    The colours' components and their mean come from the photos that ship. Noise and divisor as in
    2012: after the mean is subtracted; it is added again to have something to look at.
    """
    photos = square_photos()
    photo = torch.from_numpy(np.array(photos[list(builtin.PHOTOS).index(name)]))
    values, vectors = augment.colour_components(photos)
    scales, vectors = values.sqrt().numpy(), vectors.numpy()
    vectors = vectors * np.sign(vectors[0])  # red upwards: + is brighter, then warmer
    mean = photos.reshape(-1, 3).mean(axis=0)
    parts: dict[str, Any] = {}

    def compute(
        top: int, left: int, flip: bool, first: float, second: float, third: float,
        strength: float, divisor: bool,
    ) -> dict[str, Any]:
        crop = photo[top : top + CROP, left : left + CROP]
        pixels = (crop.flip(1) if flip else crop).numpy().astype(np.float32)
        factors = strength * np.array([first, second, third])
        shift = vectors @ (factors * scales)  # (3,): red, green, blue, in steps of 0 to 255
        by = 1 + strength if divisor else 1.0
        seen = (pixels - mean + shift) / by + mean
        return {
            "top": top, "left": left, "flip": flip, "shift": shift, "by": by,
            "seen": seen.clip(0, 255).round().astype(np.uint8),
        }

    def start(figure: Figure, data: dict[str, Any]) -> None:
        whole, seen = figure.subplots(1, 2)
        plots.image(photo.numpy(), title="the photo, 256 x 256", ax=whole)
        for width, colour in ((4.5, COLOURS["background"]), (2.5, COLOURS["highlight"])):
            parts.setdefault("frames", []).append(whole.add_patch(Rectangle(
                (0, 0), CROP, CROP, facecolor="none", edgecolor=colour, linewidth=width)))
        parts["seen"] = plots.pixel_image(data["seen"], seen, "its input, 224 x 224, enlarged")

    def draw(figure: Figure, data: dict[str, Any]) -> str:
        if not figure.axes:
            start(figure, data)
        for frame in parts["frames"]:
            if frame.get_xy() != (data["left"] - 0.5, data["top"] - 0.5):
                frame.set_xy((data["left"] - 0.5, data["top"] - 0.5))
        parts["seen"].set_data(data["seen"])
        places = (STORED - CROP + 1) ** 2
        shift = ", ".join(f"{name} {value:+.0f}" for name, value in
                          zip(("red", "green", "blue"), data["shift"], strict=True))  # fmt: skip
        mirrored = ", mirrored" if data["flip"] else ""
        divided = f"; then all is divided by {data['by']:.2f}" if data["by"] != 1 else ""
        return (
            f"Row {data['top']}, column {data['left']}{mirrored}: one of {places:,} places and "
            f"{2 * places:,} pictures. Every pixel's colour is shifted by {shift} of 255{divided}."
        )

    number = {"min": -3.0, "max": 3.0, "step": 0.1}
    controls = {
        "top": ipywidgets.IntSlider(value=16, min=0, max=STORED - CROP),
        "left": ipywidgets.IntSlider(value=16, min=0, max=STORED - CROP),
        "flip": ipywidgets.Checkbox(value=False, description="mirrored", indent=True),
        "first": ipywidgets.FloatSlider(value=0.0, description="1st number", **number),
        "second": ipywidgets.FloatSlider(value=0.0, description="2nd number", **number),
        "third": ipywidgets.FloatSlider(value=0.0, description="3rd number", **number),
        "strength": ipywidgets.FloatSlider(value=0.1, min=0.0, max=1.0, step=0.05),
        "divisor": ipywidgets.Checkbox(value=True, description="divisor of 2012", indent=True),
    }
    still = {"top": 16, "left": 16, "flip": False, "first": 0.0, "second": 0.0, "third": 0.0,
             "strength": 0.1, "divisor": True}  # fmt: skip
    presets = {
        "the centre": still | {"divisor": False},
        "bright": still | {"first": 2.0},
        "another lamp": still | {"second": 2.5, "third": -1.0},
        "a corner, mirrored": still | {"top": 0, "left": 32, "flip": True, "first": -1.0},
        "far too strong": still | {"first": 1.0, "second": 2.5, "third": -1.5, "strength": 1.0},
    }
    return Demo(compute, draw, controls, presets, name="augmented photo",
                width=6.2, height=3.0, photo=True)


# Ten units behind a ReLU and the weights that the next unit has for them, made up once: their
# sum is a little above 0, so that masks often push it below.
UNITS = np.array([1.2, 0.4, 2.0, 0.0, 0.8, 1.5, 0.3, 0.9, 1.7, 0.6])
WEIGHTS = np.array([0.9, -0.7, -0.8, 0.5, 1.1, 0.6, -1.2, -0.9, 0.4, 0.8])
MOST_MASKS = 1000


def averaged_dropout() -> Demo:
    """One unit that reads ten dropped ones: its average over masks, and what the test pass says.

    The average over all 1,024 masks is exact: each counts by its probability.
    """
    every = np.array(list(itertools.product((0.0, 1.0), repeat=len(UNITS))))  # (1024, 10)
    draws = np.random.default_rng(8).random((MOST_MASKS, len(UNITS)))
    parts: dict[str, dict[str, Any]] = {}

    def compute(keep: float, masks: int, form: str) -> dict[str, Any]:
        inverted = form == "inverted"
        grown = 1 / keep if inverted else 1.0
        chance = (keep**every * (1 - keep) ** (1 - every)).prod(axis=1)  # (1024,), sums to 1
        units = torch.from_numpy(UNITS)
        test = ops.mask_dropout(units, keep, training=False, inverted=inverted).numpy() @ WEIGHTS
        exact = (every * UNITS * grown) @ WEIGHTS
        sampled = ((draws[:masks] < keep) * UNITS * grown) @ WEIGHTS
        found = {}
        for name, act in (("sum", lambda v: v), ("relu", lambda v: np.maximum(v, 0))):
            running = act(sampled).cumsum() / np.arange(1, masks + 1)
            found[name] = {"running": running, "exact": round(float(chance @ act(exact)), 9),
                           "test": round(float(act(test)), 9)}  # fmt: skip
        return {"masks": masks, "keep": keep, **found}

    def start(figure: Figure) -> None:
        titles = {"sum": "the weighted sum", "relu": "the same after a ReLU"}
        for (name, title), ax in zip(
            titles.items(), figure.subplots(1, 2, sharey=True), strict=True
        ):
            line = {"color": COLOURS["muted"], "lw": 1}
            parts[name] = {
                "running": ax.plot([], [], label="average so far", **line)[0],
                "exact": ax.plot([], [], color=COLOURS["after"], lw=2,
                                 label="average over all masks")[0],
                "test": ax.plot([], [], color=COLOURS["highlight"], lw=2.5,
                                linestyle=LINE_STYLES["before"], label="test pass")[0],
            }
            ax.set(xlim=(1, MOST_MASKS), ylim=(-1.5, 3.5), xscale="log")
            ax.set(xlabel="masks", title=title)
            ax.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
            ax.minorticks_off()
            ax.grid(axis="y")
        figure.axes[0].set_ylabel("the unit's value")
        figure.axes[1].legend(loc="lower right", handlelength=3)

    def draw(figure: Figure, data: dict[str, Any]) -> str:
        if not figure.axes:
            start(figure)
        for name in ("sum", "relu"):
            found = data[name]
            parts[name]["running"].set_data(np.arange(1, data["masks"] + 1), found["running"])
            for level in ("exact", "test"):
                parts[name][level].set_data([1, MOST_MASKS], [found[level]] * 2)
        one, other = data["sum"], data["relu"]
        return (
            f"Sum: {one['running'][-1]:.3f} over {data['masks']:,} "
            f"mask{'s' * (data['masks'] > 1)}, {one['exact']:.3f} over all, {one['test']:.3f} in "
            f"the test pass. After a ReLU: {other['exact']:.3f} over all masks, "
            f"{other['test']:.3f} in the test pass, {_apart(other['exact'], other['test'])}."
        )

    controls = {
        "keep": ipywidgets.FloatSlider(value=0.5, min=0.1, max=1.0, step=0.05),
        "masks": ipywidgets.IntSlider(value=100, min=1, max=MOST_MASKS),
        "form": ipywidgets.Dropdown(options=["2012", "inverted"]),
    }
    presets = {
        "2012": {"keep": 0.5, "masks": 1000, "form": "2012"},
        "inverted": {"keep": 0.5, "masks": 1000, "form": "inverted"},
        "one mask": {"keep": 0.5, "masks": 1, "form": "2012"},
        "nothing dropped": {"keep": 1.0, "masks": 10, "form": "2012"},
    }
    return Demo(compute, draw, controls, presets, name="averaged dropout", height=3.0)


def _apart(exact: float, test: float) -> str:
    """Say by how much the test pass misses the average."""
    gap = test - exact
    return "the same" if abs(gap) < 5e-4 else f"{abs(gap):.3f} too {'low' if gap < 0 else 'high'}"
