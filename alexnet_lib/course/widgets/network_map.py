"""Chapter 7's network map, in JavaScript: both towers, all eight layers, and a picture's way
through them. Chapters write `widgets.NetworkMap()`."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets
from matplotlib.axes import Axes
from PIL import Image

from ... import architectures, plots, shapes
from ..._errors import unknown_name
from ...analysis import forward_trace
from ...analysis.forward_trace import Trace
from ...datasets import folders
from ...experiments.source_differences import LAYER_NOTES, SOURCES
from .javascript_lab import Lab
from .python_demo import read_script

__all__ = ["DRAWN", "SHOWN", "TOGETHER", "NetworkMap", "stage_shapes"]

SHOWN = 12  # maps of each tower that are shown
DRAWN = ("input", "lrn1", "lrn2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")  # by [A]
TOGETHER = {"lrn1": "conv1\n+ lrn1", "lrn2": "conv2\n+ lrn2"}  # what a block of [A] holds
OWN = "your picture"
WRONG = "the cat, but something went wrong"


def stage_shapes(stages: tuple[str, ...] = forward_trace.STAGES) -> dict[str, tuple[int, ...]]:
    """Return what some stages of the paper's network put out, over both towers, by stage."""
    spec = architectures.network("paper")
    every = {row.name: row.output for row in shapes.walk(spec)}
    every["input"] = (spec.input_channels, spec.input_size, spec.input_size)
    return {stage: every[stage] for stage in stages}


def shown_channels(followed: Sequence[Trace]) -> dict[str, list[int]]:
    """Return which maps are shown, SHOWN of each tower, by stage: the same for every photo.

    In layer 1 the first of each tower, neighbours as LRN sees them; in the layers behind it, where
    most maps are dark, those whose convolution answers most to these photos.
    """
    chosen: dict[str, list[int]] = {}
    for stage, (C, *sides) in stage_shapes(forward_trace.STAGES[1:-1]).items():
        half, first = C // 2, stage.startswith(("conv1", "lrn1", "pool1"))
        if stage.startswith("conv") and not first:
            loud = sum(trace.maps[stage].mean(axis=(1, 2)) for trace in followed)
            most = [np.sort(np.argsort(-loud[at : at + half])[:SHOWN]) + at for at in (0, half)]
            chosen[stage] = np.concatenate(most).tolist()
        elif first:
            chosen[stage] = [*range(SHOWN), *range(half, half + SHOWN)]
        elif sides:
            chosen[stage] = chosen[f"conv{stage[-1]}"]
    return chosen


def packed(trace: Trace, label: str, channels: Mapping[str, list[int]]) -> dict[str, Any]:
    """Return what the page shows of a trace: the picture as JPEG, maps in 8 bits, the answers.

    channels: of `shown_channels`. Of maps (C, H, W) these, of vectors all, one after another, in
    the order of the stages; 255 is the largest number of its stage that is shown.
    """
    jpeg = io.BytesIO()
    Image.fromarray(trace.picture).save(jpeg, "JPEG", quality=85)
    parts, highs, alive = [], {}, {}
    for stage in forward_trace.STAGES[1:-1]:
        maps = trace.maps[stage]
        shown = maps[channels[stage]] if maps.ndim == 3 else maps
        high = float(shown.max()) or 1.0
        highs[stage], alive[stage] = float(f"{high:.4g}"), float(f"{(maps > 0).mean():.4f}")
        parts.append((255 * shown / high).round().astype(np.uint8).tobytes())
    answers = [[name, float(f"{chance:.4f}")] for name, chance in trace.answers]
    return {"label": label, "photo": jpeg.getvalue(), "maps": b"".join(parts), "highs": highs,
            "alive": alive, "answers": answers}  # fmt: skip


class NetworkMap(Lab):
    """The whole network: choose a stage and see its maps, filters, arithmetic, costs and sources.

    stage: of `forward_trace.STAGES`. photo: the label of one. photos: label -> uint8 (H, W, 3);
    default: those that ship. article: whether only the blocks that the article draws
    are shown. spot: where in the maps the frame is, x and y from 0 to 1. A learner's own picture,
    dropped on the map or chosen, is followed too and is never stored.
    Raises ValueError for an unknown stage or photo, and for what isn't a photo.
    """

    _esm = read_script(
        "toolkit.js", "network.js", "network_words.js", "network_drawing.js", "network_panels.js",
        "network_files.js", "network_map.js",
    )  # fmt: skip
    _css = Lab._css + read_script("network_map.css")
    stage = traitlets.Unicode("lrn1").tag(sync=True)
    photo = traitlets.Unicode("").tag(sync=True)
    article = traitlets.Bool(False).tag(sync=True)
    spot = traitlets.List(traitlets.Float(), [0.5, 0.5]).tag(sync=True)
    pictures = traitlets.List(traitlets.Dict()).tag(sync=True)
    own = traitlets.Dict().tag(sync=True)
    trouble = traitlets.Dict().tag(sync=True)  # why a file isn't taken: {"text", "number"}
    kernels = traitlets.Dict().tag(sync=True)
    channels = traitlets.Dict().tag(sync=True)
    notes = traitlets.Dict().tag(sync=True)

    def __init__(
        self, stage: str = "lrn1", photo: str | None = None,
        photos: Mapping[str, np.ndarray] | None = None, **settings: Any,
    ) -> None:  # fmt: skip
        own_photos = photos is not None
        photos = dict(photos) if own_photos else forward_trace.shipped()
        photo = next(iter(photos), "") if photo is None else photo
        if stage not in forward_trace.STAGES:
            raise unknown_name("stage", stage, forward_trace.STAGES)
        if photo not in photos:
            raise unknown_name("photo", photo, list(photos))
        followed = {label: forward_trace.follow(each) for label, each in photos.items()}
        channels = shown_channels(list(followed.values()))
        if not own_photos:
            followed[WRONG] = forward_trace.follow_carelessly(photos["cat"])
        every = [packed(trace, label, channels) for label, trace in followed.items()]
        net = forward_trace.trained()[0]
        kernels = {
            name: forward_trace.kernel_pictures(net, name, shown).tobytes()
            for name, shown in channels.items() if name.startswith("conv")
        }  # fmt: skip
        notes = {stage: list(said) for stage, said in LAYER_NOTES.items()}
        super().__init__(
            stage=stage, photo=photo, pictures=every, kernels=kernels, channels=channels,
            notes={"sources": list(SOURCES), "stages": notes}, **settings,
        )  # fmt: skip
        self._lock = threading.Lock()  # callbacks may come in threads of their own
        if "presets" not in settings:
            self.presets = self._own_presets(photos)
        self.on_msg(self._on_file)

    def _own_presets(self, photos: Mapping[str, Any]) -> list[dict[str, Any]]:
        start = {"stage": self.stage, "photo": self.photo, "article": self.article,
                 "spot": list(self.spot)}  # fmt: skip
        chosen = [
            ("article's first block", "55 x 55 x 48, twice, after conv1 and LRN1",
             {"stage": "lrn1", "article": True}),
            ("most MACs", "conv2, the most arithmetic", {"stage": "conv2", "article": False}),
            ("most parameters", "fc6", {"stage": "fc6", "article": False}),
            ("the answer", "fc8", {"stage": "fc8", "article": False}),
        ]  # fmt: skip
        presets = [{"label": label, "hint": hint, "state": state} for label, hint, state in chosen]
        if len(self.pictures) > len(photos):
            state = {"stage": "conv1", "article": False, "photo": WRONG}
            hint = "the cat once more, prepared carelessly: section 9"
            presets.append({"label": "broken", "hint": hint, "state": state})
        return [*presets, {"label": "reset", "hint": "back to how it began", "state": start}]

    def _on_file(self, _: Any, content: Any, buffers: list) -> None:
        """Follow a picture that the page sends, or say why not."""
        if not isinstance(content, dict) or content.get("kind") != "picture" or not buffers:
            return
        name = str(content.get("name", "the file"))[:80]
        with self._lock:
            self.take(bytes(buffers[0]), name)

    def take(self, data: bytes, name: str = "your file") -> None:
        """Follow a picture given as a file's bytes, and show it; where that fails, say why.

        Nothing is raised: `trouble` then holds the reason, and the picture stays as it was.
        """
        try:
            photo = folders.read_upload(data, name)
            self.own = packed(forward_trace.follow(photo), f"{OWN}, {name}", self.channels)
            self.photo = self.own["label"]
            self.trouble = {"text": "", "number": self.trouble.get("number", 0) + 1}
        except ValueError as error:
            said = f"{error} The picture stays as it was."
            self.trouble = {"text": said, "number": self.trouble.get("number", 0) + 1}

    def state(self) -> dict[str, Any]:
        """Return stage and photo."""
        return {"stage": self.stage, "photo": self.photo}

    def sentence(self) -> str:
        """Return what lies at the stage, and its share of the network's costs."""
        spec = architectures.network("paper")
        row = next((row for row in shapes.walk(spec) if row.name == self.stage), None)
        if row is None:
            return "the picture, 227 x 227 x 3, goes to both towers"
        every = shapes.totals(spec)
        whole = self.stage == "fc8"
        C, *sides = row.output
        size = " x ".join(f"{n:,}" for n in (*sides, C if whole else C // 2))
        where = "on GPU 0" if whole else "in each tower"
        return (
            f"{self.stage} puts out {size} {where}; {row.parameters / every.parameters:.1%} of "
            f"{every.parameters:,} parameters, {row.macs / every.macs:.1%} of {every.macs:,} MACs, "
            f"{row.bytes / every.bytes_with_norm_and_pool:.1%} of "
            f"{every.bytes_with_norm_and_pool:,} bytes"
        )

    def picture(self) -> Axes:
        """Return both towers, the chosen stage marked, and below the photo and some of its maps."""
        stages = DRAWN if self.article else forward_trace.STAGES
        sizes = stage_shapes(stages)
        crossing = shapes.reads_both(architectures.network("paper"))
        marked = self.stage if self.stage in stages else None
        figure = plots.figure(4.7)[0]
        figure.clear()
        top, bottom = figure.subfigures(2, 1, height_ratios=[3.4, 1.3])
        towers = top.subplots()
        plots.towers_map(
            list(sizes), list(sizes.values()), crossing, marked, towers,
            labels=TOGETHER if self.article else {},
        )  # fmt: skip
        one = next((each for each in self.pictures if each["label"] == self.photo), self.own)
        left, right = bottom.subplots(1, 2, width_ratios=[1, 6])
        plots.image(np.asarray(Image.open(io.BytesIO(one["photo"]))), ax=left)
        maps = self._maps(one)
        if maps is None:
            right.set_axis_off()
        else:
            shown = self.channels[self.stage]
            channels = [*shown[:4], *shown[SHOWN : SHOWN + 4]]
            title = f"{self.stage}, four maps of each tower"
            plots.feature_maps(maps, 8, channels=channels, title=title, ax=right)
        return towers

    def _maps(self, one: Mapping[str, Any]) -> np.ndarray | None:
        """Return the stage's maps, (C, H, W), zero where none is sent; None for vectors."""
        at = 0
        for stage, (C, *sides) in stage_shapes(forward_trace.STAGES[1:-1]).items():
            count = 2 * SHOWN * sides[0] ** 2 if sides else C
            if stage == self.stage and sides:
                maps = np.zeros((C, *sides), np.uint8)
                sent = np.frombuffer(one["maps"], np.uint8)[at : at + count]
                maps[self.channels[stage]] = sent.reshape(2 * SHOWN, *sides)
                return maps
            at += count
        return None
