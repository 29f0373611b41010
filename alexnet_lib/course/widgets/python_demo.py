"""Demos that Python computes: controls, a picture that follows them, a sentence that says it.

`Demo` joins a pure `compute` with a `draw` and keeps one Figure; `show` puts a still figure on
the page. JavaScript demos are in `labs`. Chapters write `widgets.Demo` and `widgets.show`.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets
from IPython.display import display
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.spines import Spine
from matplotlib.text import Text
from PIL import Image

from ... import plots
from ...plots import palette

__all__ = ["Demo", "DemoManners", "Painter", "read_script", "sentence_html", "show"]

SCRIPTS = Path(__file__).with_name("js")


def read_script(*names: str, **constants: Any) -> str:
    """Return files of js/ one after the other, without their import lines.

    A widget's JavaScript has to be one module; the files import one another by name, so that
    each can be tested alone, and joined in order they need no import. constants: what the library
    knows, by the name under which the JavaScript reads it.
    """
    given = [f"const {name} = {json.dumps(value)};\n" for name, value in constants.items()]
    lines = (line for name in names for line in (SCRIPTS / name).read_text("utf-8").splitlines())
    code = "\n".join(line for line in lines if not line.startswith("import ")) + "\n"
    return "".join(given) + code


def sentence_html(line: str, style: str = "alexnet-sentence") -> str:
    """Return plain text as a paragraph that screen readers announce when it changes.

    No line breaks within a number such as 2.06e-4. style: the paragraph's CSS classes.
    """
    together = r'<span class="alexnet-together">\1</span>'
    text = re.sub(r"(\S*\de-\d\S*)", together, html.escape(line, quote=False))
    return f'<p class="{style}" role="status">{text}</p>'


def show(picture: Figure | Axes, alt: str, caption: str | None = None) -> None:
    """Put a figure on the page, with the sentence that says what to see in it.

    picture: a Figure, or any Axes in it. alt: the sentence, for the PNG's metadata and for
    screen readers. caption: the visible line below the picture, default the same sentence.
    Raises ValueError for an empty alt.
    """
    if not alt.strip():
        raise ValueError('alt is empty; say in one sentence what to see: show(ax, alt="...").')
    figure = picture if isinstance(picture, Figure) else picture.get_figure(root=True)
    width = round(figure.get_figwidth() * palette.PIXELS_PER_INCH)
    metadata = {"image/png": {"alt": alt, "width": width}}
    data = {"image/png": base64.b64encode(plots.png(figure)).decode(), "text/plain": alt}
    display(data, metadata=metadata, raw=True)
    line = html.escape(caption or alt, quote=False)
    style = f"max-width: {width}px; margin: 0.2em 0 1em; font-size: 0.92em; opacity: 0.85"
    data = {"text/html": f'<p class="alexnet-caption" style="{style}">{line}</p>'}
    display(data | {"text/plain": caption or alt}, raw=True)


class DemoManners(anywidget.AnyWidget):
    """Give a demo's page what ipywidgets leaves out; it has no looks of its own.

    It names sliders and the picture for screen readers, lets the summary be read out, keeps
    JupyterLab's shortcuts away from focused controls, and brings the style sheet along. alt: what
    the picture shows, where that isn't the demo's sentence.
    """

    _esm = read_script("manners.js")
    _css = palette.css_variables() + read_script("demo.css")
    alt = traitlets.Unicode().tag(sync=True)


class Painter:
    """Turns a persistent Figure into PNG, redrawing only what changed since the last time.

    Matplotlib marks every artist that changed as stale. Those that ever did, or were animated
    from the start, and what lies above them, are drawn on a saved picture of the rest; where an
    axis, a frame or the set of artists changed, everything is drawn anew.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.layout = figure.get_layout_engine()
        self.canvas = FigureCanvasAgg(figure)
        self.background: Any = None
        self.known: list[Artist] = []
        self.moving: list[Artist] = []
        self.front: list[Artist] = []  # drawn each time: what moves and what lies above it

    def _artists(self) -> list[Artist]:
        own = [child for child in self.figure.get_children() if not isinstance(child, Axes)]
        return own + [child for axes in self.figure.axes for child in axes.get_children()]

    def _fixed(self, artist: Artist) -> bool:
        backdrops = [self.figure.patch, *(axes.patch for axes in self.figure.axes)]
        return isinstance(artist, Axis | Spine) or any(artist is patch for patch in backdrops)

    def _depth(self, artist: Artist) -> tuple[float, float]:
        return (artist.axes.get_zorder() if artist.axes else 0, artist.get_zorder())

    def _above(self, artist: Artist) -> bool:
        """Whether an artist lies above one that moves; titles stand outside and never do.

        Legends count as lying below: they cost more than all lines together.
        """
        axes = artist.axes
        if axes is None or self._fixed(artist) or isinstance(artist, Legend):
            return False
        if isinstance(artist, Text) and artist not in axes.texts:
            return False
        return any(a.axes is axes and a.get_zorder() <= artist.get_zorder() for a in self.moving)

    def _draw_all(self, artists: list[Artist], first: bool) -> None:
        """Draw everything; what moves stays out of the background that is saved."""
        if first:
            self.figure.set_layout_engine(self.layout)
        there = {id(artist) for artist in artists}
        self.moving = [artist for artist in self.moving if id(artist) in there]
        known = {id(artist) for artist in self.moving}
        self.moving += [a for a in artists if a.get_animated() and id(a) not in known]
        moving = {id(artist) for artist in self.moving}
        front = [artist for artist in artists if id(artist) in moving or self._above(artist)]
        self.front = sorted(front, key=self._depth)
        for artist in self.front:
            artist.set_animated(True)
        self.canvas.draw()
        for artist in artists:  # an empty text stays stale, and isn't one that moved
            artist.stale = False
        self.figure.set_layout_engine("none")
        self.background = self.canvas.copy_from_bbox(self.figure.bbox) if self.front else None
        self.known = artists

    def png(self) -> bytes:
        """Return the figure as it is now as PNG, 100 pixels an inch."""
        self._follow()
        return plots.quick_png(self._pixels())

    def jpeg(self) -> bytes:
        """Return the same as JPEG, which takes a tenth of the time where photos are in it."""
        self._follow()
        stream = io.BytesIO()
        self._pixels().save(stream, "JPEG", quality=95, subsampling=0)
        return stream.getvalue()

    def _pixels(self) -> Image.Image:
        size = self.canvas.get_width_height()
        pixels = Image.frombuffer("RGBA", size, self.canvas.buffer_rgba(), "raw", "RGBA", 0, 1)
        return pixels.convert("RGB")

    def _follow(self) -> None:
        """Bring the canvas up to date."""
        artists = self._artists()
        same = [id(artist) for artist in artists] == [id(artist) for artist in self.known]
        changed = [artist for artist in artists if artist.stale]
        if not same:
            self._draw_all(artists, first=True)
        else:
            moving = {id(artist) for artist in self.moving}
            new = [a for a in changed if not self._fixed(a) and id(a) not in moving]
            if new or self.background is None or any(map(self._fixed, changed)):
                self.moving += new
                self._draw_all(artists, first=False)
            else:
                self.canvas.restore_region(self.background)
        renderer = self.canvas.get_renderer()
        for artist in self.front:
            artist.draw(renderer)
            artist.stale = False


def _without_gradients() -> AbstractContextManager:
    """Return torch.no_grad() where torch is loaded: its grad mode is a thread's own."""
    torch = sys.modules.get("torch")
    return torch.no_grad() if torch else nullcontext()


class Demo(ipywidgets.VBox):
    """A picture and a sentence that follow sliders.

    compute: function of the controls' values, by name, that returns data; it must be pure.
    draw: draw(fig, data) draws into a Figure that stays the same and returns one sentence, plain
    text, on what to see. Make the Axes when fig.axes is empty and move what's there otherwise:
    then only what moved is redrawn. `plots.bars` and its like do so by themselves.
    controls: name -> an ipywidgets control with a value. The name is the label, unless the
    control has a description. presets: button text -> {control's name: value}.
    name: for the printed form, `Demo(k=2): sentence`. width, height: of the picture, in inches.
    photo: whether it shows photos; then it is sent as JPEG, which takes a tenth of the time.

    `demo.controls["k"].value = 5` updates at once; `demo.summary` is the sentence.
    Whatever compute or draw raises becomes the sentence, and the last picture stays.
    """

    def __init__(
        self, compute: Callable[..., Any], draw: Callable[[Figure, Any], str],
        controls: Mapping[str, ipywidgets.ValueWidget],
        presets: Mapping[str, Mapping[str, Any]] | None = None, *, name: str = "Demo",
        width: float = palette.FIGURE_WIDTH, height: float = 3.0, photo: bool = False,
    ) -> None:
        self.controls = dict(controls)
        self.presets = {label: dict(values) for label, values in (presets or {}).items()}
        self.summary = ""
        self._compute, self._draw, self._name = compute, draw, name
        self._check_presets()
        self._figure = plots.new_figure(width, height)
        self._painter = Painter(self._figure)
        self._state = threading.Lock()
        self._busy = self._again = self._paused = False
        size = {"width": f"{self._pixels()}px", "max_width": "100%"}
        self._photo = photo
        self._picture = ipywidgets.Image(format="jpeg" if photo else "png", layout=size)
        self._sentence = ipywidgets.HTML()
        self._sentence.add_class("alexnet-summary")
        for label, control in self.controls.items():
            control.description = control.description or label
            control.observe(self._on_change, "value")
        panel = ipywidgets.VBox(list(self.controls.values()))
        panel.add_class("alexnet-controls")
        rows = [panel, self._picture, self._sentence, DemoManners()]
        super().__init__(self._preset_row() + rows)
        self.add_class("alexnet-card").add_class("alexnet-demo")
        self._update()

    def _pixels(self) -> int:
        return round(self._figure.get_figwidth() * palette.PIXELS_PER_INCH)

    def _check_presets(self) -> None:
        for label, values in self.presets.items():
            if unknown := sorted(set(values) - set(self.controls)):
                raise ValueError(
                    f"preset {label!r} sets {', '.join(unknown)}, but the controls are "
                    f"{', '.join(self.controls)}; use their names."
                )

    def _preset_row(self) -> list[ipywidgets.Widget]:
        buttons = []
        for label in self.presets:
            button = ipywidgets.Button(description=label, layout={"width": "auto"})
            button.add_class("alexnet-button").add_class("alexnet-preset")
            button.on_click(lambda _, label=label: self.apply(label))
            buttons.append(button)
        row = ipywidgets.HBox(buttons)
        row.add_class("alexnet-presets")
        return [row] if buttons else []

    def apply(self, preset: str) -> None:
        """Set the controls to a preset's values, as its button does."""
        if preset not in self.presets:
            raise KeyError(f"no preset {preset!r}; there are: {', '.join(self.presets) or 'none'}.")
        with self._pause():
            for name, value in self.presets[preset].items():
                self.controls[name].value = value
        self._update()

    @contextmanager
    def _pause(self) -> Iterator[None]:
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    def _on_change(self, _: object) -> None:
        if not self._paused:
            self._update()

    def _update(self) -> None:
        """Bring picture and sentence up to date; while one update runs, later ones become one."""
        with self._state:
            self._again = self._busy
            if self._busy:
                return
            self._busy = True
        while True:
            self._update_once()
            with self._state:
                if not self._again:
                    self._busy = False
                    return
                self._again = False

    def _update_once(self) -> None:
        parameters = self.parameters
        try:
            with _without_gradients():
                data = self._compute(**parameters)
            self.summary = str(self._draw(self._figure, data))
            painter = self._painter
            self._picture.value = painter.jpeg() if self._photo else painter.png()
            state = "alexnet-sentence"
        except Exception as error:  # a demo must stay alive: say it, and keep the last picture
            self.summary = (
                f"These settings don't work: {type(error).__name__}: {error} "
                "Move a control back, or take a preset."
            )
            state = "alexnet-sentence alexnet-error"
        self._sentence.value = sentence_html(self.summary, state)

    @property
    def parameters(self) -> dict[str, Any]:
        """The controls' values, by name."""
        return {name: control.value for name, control in self.controls.items()}

    @property
    def picture(self) -> bytes:
        """The picture as it stands, as PNG."""
        shown = bytes(self._picture.value)
        return plots.quick_png(Image.open(io.BytesIO(shown))) if self._photo else shown

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        return f"{self._name}({values}): {self.summary}"

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict, dict]:
        """Return widget, still picture and text; a page without a kernel shows the latter two."""
        bundle = super()._repr_mimebundle_(**options)
        data = dict(bundle[0] if isinstance(bundle, tuple) else bundle)
        still = base64.b64encode(self.picture).decode()
        data |= {"text/plain": repr(self), "image/png": still}
        return data, {"image/png": {"alt": self.summary, "width": self._pixels()}}
