"""The two-tower lab of chapter 06: where the two halves of AlexNet talk, and what that costs.

Its JavaScript (js/towers.js) gives the same numbers as `shapes.tower_rows`. Chapters write
`widgets.TowerLab()`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import traitlets
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from ... import architectures, paper, plots, shapes
from ...architectures import NetworkSpec
from ...plots.palette import COLOURS, FONT_SIZE, LINE_STYLES
from .javascript_lab import Lab
from .python_demo import read_script

__all__ = ["PRESETS", "READERS", "TowerLab", "columns", "tower_network"]

MOST_BATCH = 1024
PAPER_BOTH = tuple(reader for _, reader, _ in paper.TRANSFERS)
WIDTHS = {  # channels of conv1 to conv5, fc6 to fc8, over both towers
    "paper": (96, 256, 384, 384, 256, 4096, 4096, 1000),
    "150": (96, 320, 384, 384, 256, 8192, 4096, 1000),  # [S layers-150.cfg]
    "half": (48, 128, 192, 192, 256, 4096, 4096, 1000),  # [S layers-145-half.cfg]
}
READERS = ("conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")  # own tower or both


def _errors(run: str) -> str:
    _, data, _, top1, top5, _ = paper.ERRORS_2012[run]
    return f"top-1 error {top1:.1f}%, top-5 {top5:.1f}% ({data})"


#: label -> (hint, widths, layers that read both towers, towers, note)
PRESETS: dict[str, tuple[str, str, tuple[str, ...], int, str]] = {
    "the paper": (
        "the towers talk before conv3 and in fc6 to fc8", "paper", PAPER_BOTH, 2,
        f"The paper's network, run 145 of 2012: {_errors('145')}.",
    ),
    "towers that never talk": (
        "they meet in fc8 alone", "150", ("fc8",), 2,
        "Run 150 of 2012, with wider conv2 and fc6 to make up for it, and one meeting, in fc8: "
        f"{_errors('150')}. Run 145, whose towers talk: {_errors('145')}.",
    ),
    "everything connected": (
        "each layer reads both towers", "paper", READERS, 2,
        "Each convolution reads all maps, as if there were one large GPU. LRN alone still stays "
        "within each tower.",
    ),
    "one tower": (
        "half the kernels on one GPU", "half", (), 1,
        "Run 145-half: half the kernels in conv1 to conv4, the rest whole: "
        f"{_errors('145-half')}. Two towers there: {_errors('145-2010')}.",
    ),
}  # fmt: skip


def tower_network(widths: Sequence[int]) -> NetworkSpec:
    """Return the paper's network with other widths, as data.

    widths: channels of conv1 to conv5 and fc6 to fc8, over both towers, 8 in all.
    Raises ValueError for another number of them.
    """
    spec = architectures.network("paper")
    count = sum(layer.kind in shapes.WEIGHTED for layer in spec.layers)
    if len(widths) != count:
        raise ValueError(f"widths has {len(widths)} numbers; the network has {count} layers.")
    left = iter(widths)
    layers = tuple(
        replace(layer, channels=next(left), groups=1) if layer.kind in shapes.WEIGHTED else layer
        for layer in spec.layers
    )
    return replace(spec, name="two towers", layers=layers)


def columns(rows: Sequence[shapes.TowerRow], widths: Sequence[int]) -> Axes:
    """Draw a network as two columns of layers, with lines where one reads the other.

    rows: of `shapes.tower_rows`. widths: channels of each layer, over both towers.
    """
    figure, ax = plots.figure(4.4, 6.4)
    places, half, tall = (0.26, 0.74), 0.19, 0.56
    for number, (row, width) in enumerate(zip(rows, widths, strict=True)):
        used = [gpu for gpu in (0, 1) if row.parameters[gpu]]
        for gpu in (0, 1):
            here, meaning = gpu in used, f"tower{gpu + 1}"
            style = {"ec": COLOURS[meaning if here else "grid"], "fc": COLOURS["background"]}
            corner = (places[gpu] - half, number - tall / 2)
            box = "round,pad=0,rounding_size=0.02"
            ax.add_patch(FancyBboxPatch(corner, 2 * half, tall, box, lw=1.8, zorder=2,
                                        ls=LINE_STYLES[meaning], mutation_aspect=6, **style))
            said = f"{row.name}: {width // len(used):,}" if here else "not here"
            ax.text(places[gpu], number, said, ha="center", va="center", zorder=3,
                    color=COLOURS["text" if here else "muted"])
        for gpu in used if number else ():
            sources = [gpu, 1 - gpu] if row.received[gpu] else [gpu]
            for source in sources:
                ax.plot((places[source], places[gpu]), (number - 1 + tall / 2, number - tall / 2),
                        color=COLOURS[f"tower{source + 1}"], ls=LINE_STYLES[f"tower{source + 1}"],
                        lw=1.8, zorder=1)
        if any(row.received):
            ax.text(1.0, number - 0.5, f"{sum(row.received):,} B", ha="right", va="center",
                    fontsize=FONT_SIZE["note"])
    for gpu in (0, 1):
        ax.text(places[gpu], -0.55, f"GPU {gpu}", ha="center", weight="bold",
                color=COLOURS[f"tower{gpu + 1}"])
    ax.set_xlim(0, 1)
    ax.set_ylim(len(rows) - 0.6, -0.8)
    ax.set_axis_off()
    return ax


class TowerLab(Lab):
    """AlexNet on two GPUs, with a switch before each layer: its own tower, or both.

    both: the layers that read both towers, names in READERS; default: the paper's. batch:
    pictures a step, 1 to MOST_BATCH. widths: channels of each layer, over both towers. towers: 2,
    or 1 with all on GPU 0. Raises ValueError as `shapes.tower_rows` does, and for other batches.
    """

    _esm = read_script("toolkit.js", "towers.js", "typed.js", "tower_words.js", "tower_lab.js")
    _css = Lab._css + read_script("tower_lab.css")
    widths = traitlets.List(traitlets.Int()).tag(sync=True)
    both = traitlets.List(traitlets.Unicode()).tag(sync=True)
    towers = traitlets.Int(2).tag(sync=True)
    batch = traitlets.Int(128).tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self, both: Sequence[str] = PAPER_BOTH, batch: int = 128,
        widths: Sequence[int] = WIDTHS["paper"], towers: int = 2, **settings: Any,
    ) -> None:  # fmt: skip
        shapes.tower_rows(tower_network(widths), both, towers)
        if isinstance(batch, bool) or batch != int(batch) or not 1 <= batch <= MOST_BATCH:
            raise ValueError(f"batch is {batch!r}; give a whole number from 1 to {MOST_BATCH}.")
        super().__init__(
            both=[name for name in READERS if name in both], batch=batch, widths=list(widths),
            towers=towers, **settings,
        )
        if "presets" not in settings:
            self.presets = self._own_presets()
        if "note" not in settings:
            self.note = self._note()

    def _note(self) -> str:
        """Return what is known of this network, if it is a preset's."""
        names = ("widths", "both", "towers")
        now = {name: getattr(self, name) for name in names}
        states = [preset["state"] for preset in self.presets]
        same = [each for each in states if now == {name: each[name] for name in names}]
        return same[0]["note"] if same else ""

    def _own_presets(self) -> list[dict[str, Any]]:
        made = []
        for label, (hint, widths, both, towers, note) in PRESETS.items():
            state = {"widths": list(WIDTHS[widths]), "both": list(both), "towers": towers}
            made.append({"label": label, "hint": hint, "state": {**state, "batch": 128,
                                                                  "note": note}})
        start = {**self.state(), "widths": list(self.widths), "towers": self.towers,
                 "note": self.note}
        return [*made, {"label": "reset", "hint": "back to how this lab began", "state": start}]

    @property
    def rows(self) -> list[shapes.TowerRow]:
        """What each layer costs each GPU, as `shapes.tower_rows` gives it."""
        return shapes.tower_rows(tower_network(self.widths), self.both, self.towers)

    def state(self) -> dict[str, Any]:
        """Return the layers that read both towers, and the batch."""
        return {"both": list(self.both), "batch": self.batch}

    def sentence(self) -> str:
        """Return the parameters of each GPU and the bytes that cross."""
        rows = self.rows
        one, other = (sum(row.parameters[gpu] for row in rows) for gpu in (0, 1))
        crossing = sum(sum(row.received) for row in rows)
        return (
            f"GPU 0 holds {one:,} parameters, GPU 1 {other:,}; {crossing:,} bytes cross forward "
            f"for a picture, {2 * self.batch * crossing:,} in a step"
        )

    def picture(self) -> Axes:
        """Return the network as two columns."""
        return columns(self.rows, self.widths)
