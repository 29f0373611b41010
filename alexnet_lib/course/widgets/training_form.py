"""The training desk: choose pictures, recipe and device, see what it takes, start, stop, resume.

Chapters write `desk = widgets.TrainingDesk()` and show it. The run goes on in a thread of its
own, so that other cells can be used meanwhile; a script says `desk.start(...)`, `desk.wait()`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets
import torch
from matplotlib.figure import Figure

from ... import checkpoints, models, records, training
from ..._errors import unknown_name
from ...benchmarks import estimate
from ...runs import Run
from .desk_words import end_words, free_bytes, in_desk_words, left_out_words, next_free
from .python_demo import DemoManners, sentence_html
from .run_settings import CHOICES, RECIPE_CHOICES, Assignment, from_record
from .training_monitor import TrainingMonitor

__all__ = ["TrainingDesk"]

CHECKPOINT_SECONDS = 120.0  # a kernel that dies costs at most this much work
OUT = "runs/desk"
BUSY = ("measuring", "loading", "running", "stopping")
PRESETS: dict[str, dict[str, Any]] = {
    "half a minute": {"data": "plain_shapes", "recipe": "quick_look", "epochs": 1,
                      "batch_size": 12, "pictures": 360},
    "small network, seconds": {"data": "clothes", "recipe": "paper2012_small_data", "epochs": 4,
                               "batch_size": 32, "pictures": 4_000},
    "Imagenette": {"data": "imagenette", "recipe": "paper2012_small_data", "epochs": 16,
                   "batch_size": 64, "pictures": 0},
    "the paper's own run": {"data": "imagenet", "recipe": "paper2012", "epochs": 90,
                            "batch_size": 128, "pictures": 0},
}  # fmt: skip
LABELS = {
    "data": "learn from", "folder": "folder", "recipe": "recipe", "device": "device",
    "epochs": "epochs", "batch_size": "batch", "pictures": "pictures", "out": "keep in",
}


def _devices() -> list[tuple[str, str]]:
    """Return the devices that are here, as (how the desk calls it, name)."""
    found = [("the best there is", "auto"), ("processor", "cpu")]
    if torch.cuda.is_available():
        found.append(("graphics card", "cuda"))
    if torch.backends.mps.is_available():
        found.append(("Apple's graphics", "mps"))
    return found


class TrainingDesk(ipywidgets.VBox):
    """Choose, estimate, start, watch, stop and resume a training run.

    out: folder of the run, where its checkpoint, record.json and log.csv go. choices: fields of
    an `run_settings.Assignment` to begin with, such as data="clothes".

    `start(**choices)` sets the fields and starts in the background; `stop`, `resume`, `measure`
    do what their buttons do; `wait` waits for the end and returns the run. `state` is idle,
    measuring, loading, running, stopping, stopped, finished or failed; `summary` says the same in
    words. After a run, `run`, `model`, `train` and `val` are there.
    Dropout draws from torch's own random numbers: who draws some in another cell during a run
    gets a run as good, though not the same to the last bit.
    """

    def __init__(self, out: str | Path = OUT, **choices: Any) -> None:
        first = Assignment(**choices)
        self.run: Run | None = None
        self.model: models.Net | None = None
        self.train = self.val = None
        self.state, self.summary, self.estimate = "idle", "", ""
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._measured: dict[tuple, float] = {}  # what was measured here
        self._monitor: TrainingMonitor | None = None
        self._quiet, self._stop_after = False, None
        self.controls = self._make_controls(first, str(out))
        self._buttons = {
            name: self._button(name.capitalize(), act)
            for name, act in (("start", self.start), ("stop", self.stop),
                              ("resume", self.resume), ("measure", self.measure))
        }  # fmt: skip
        self._estimate_line, self._line = ipywidgets.HTML(), ipywidgets.HTML()
        for line in (self._estimate_line, self._line):
            line.add_class("alexnet-summary")
        row = ipywidgets.HBox(list(self._buttons.values()))
        row.add_class("alexnet-presets")
        panel = ipywidgets.VBox(list(self.controls.values()))
        panel.add_class("alexnet-controls").add_class("alexnet-fields")
        self._place = ipywidgets.VBox()
        presets = ipywidgets.HBox([
            self._button(label, lambda label=label: self.apply(label)) for label in PRESETS
        ])  # fmt: skip
        presets.add_class("alexnet-presets")
        parts = [presets, panel, self._estimate_line, row, self._line, self._place, DemoManners()]
        super().__init__(parts)
        self.add_class("alexnet-card").add_class("alexnet-desk")
        self._reckon()
        self._say("idle", "Nothing has started yet.")

    def _make_controls(self, first: Assignment, out: str) -> dict[str, ipywidgets.ValueWidget]:
        counted = {"min": 1, "max": 1_000_000}
        controls = {
            "data": ipywidgets.Dropdown(options=[(said, key) for key, said in CHOICES.items()]),
            "folder": ipywidgets.Text(placeholder="such as photos/pets", continuous_update=False),
            "recipe": ipywidgets.Dropdown(
                options=[(said, key) for key, said in RECIPE_CHOICES.items()]
            ),
            "device": ipywidgets.Dropdown(options=_devices()),
            "epochs": ipywidgets.BoundedIntText(**counted),
            "batch_size": ipywidgets.BoundedIntText(**counted),
            "pictures": ipywidgets.BoundedIntText(min=0, max=100_000_000),
            "out": ipywidgets.Text(value=out, continuous_update=False),
        }
        for name, value in first.as_dict().items():
            controls[name].value = value
        for name, control in controls.items():
            control.description = LABELS[name]
            control.observe(self._on_change, "value")
        controls["pictures"].tooltip = "pictures to train on; 0 for all"
        return controls

    def _button(self, label: str, act: Callable) -> ipywidgets.Button:
        button = ipywidgets.Button(description=label)
        button.add_class("alexnet-button")
        button.on_click(lambda _: self._attempt(act))
        return button

    @property
    def assignment(self) -> Assignment:
        """What the fields ask for; ValueError where they don't make sense."""
        names = Assignment().as_dict()
        return Assignment(**{name: self.controls[name].value for name in names})

    @property
    def out(self) -> Path:
        """The folder in which the run is kept; a relative one is below the course's own."""
        return records.root() / Path(self.controls["out"].value.strip() or OUT).expanduser()

    @property
    def _kept_in(self) -> str:
        return self.controls["out"].value.strip() or OUT

    @property
    def busy(self) -> bool:
        """Whether something goes on in the background."""
        return self._thread is not None and self._thread.is_alive()

    # what it takes

    def apply(self, preset: str) -> None:
        """Set the fields to a preset's values, as its button does; KeyError for an unknown one."""
        self._set(PRESETS[preset])

    def _on_change(self, _: object) -> None:
        if not self._quiet:
            self._reckon()
            self._say(self.state, self.summary)

    def _set(self, choices: dict[str, Any]) -> None:
        self._quiet = True
        try:
            for name, value in choices.items():
                if (control := self.controls.get(name)) is None:
                    raise unknown_name("field of the desk", name, self.controls)
                known = [key for _, key in getattr(control, "options", ())]
                if known and value not in known:
                    raise unknown_name(name, value, known)
                control.value = str(value) if name == "out" else value
        finally:
            self._quiet = False
        self._reckon()

    def _key(self, chosen: Assignment) -> tuple:
        device = str(training.choose_device(chosen.device))
        return chosen.data == "clothes", device, chosen.batch_size

    def _reckon(self) -> None:
        """Bring the estimate to what is chosen; what can't be done becomes its sentence."""
        self.controls["folder"].layout.display = (
            None if self.controls["data"].value == "folder" else "none"
        )
        try:
            self.estimate, missing = self._estimate_words(self.assignment)
            self.estimate += f" {missing}" * bool(missing)
            style = " alexnet-error" * bool(missing)
        except (OSError, ValueError) as error:
            self.estimate, style = in_desk_words(error), " alexnet-error"
        self._estimate_line.value = sentence_html(self.estimate, "alexnet-sentence" + style)

    def _estimate_words(self, chosen: Assignment) -> tuple[str, str]:
        """Return what a run takes, and what is missing on this machine, in words."""
        there = chosen.survey()
        if chosen.batch_size > there.train:
            raise ValueError(
                f"The batch has {chosen.batch_size} pictures, and there are {there.train} to train "
                f"on, besides {there.val} held out for measuring; choose a batch of 1 to "
                f"{there.train}."
            )
        spec = chosen.network(there.classes)
        device = training.choose_device(chosen.device)
        throughput, source = self._measured.get(self._key(chosen)), ", at the pace measured here"
        if throughput is None and device.type == "cpu":
            throughput = estimate.recorded_throughput(spec)
            source = ", at the pace of our record's two cores"
        takes = estimate.estimate(
            spec, there.train, there.val, chosen.batch_size, chosen.side, throughput=throughput,
            held=chosen.data in ("shapes", "plain_shapes"), packed=there.packed,
        )
        words = f"{there.train:,} pictures of {there.classes:,} kinds. "
        words += takes.sentence(chosen.epochs, chosen.batch_size, source)
        free = free_bytes(self.out)
        if free is not None and free < takes.disk:
            words += f" Only {estimate.byte_words(free)} are free: make room, or keep it elsewhere"
            words += "."
        return words, in_desk_words(FileNotFoundError(there.missing)) if there.missing else ""

    # what its buttons do

    def start(self, stop_after: int | None = None, **choices: Any) -> None:
        """Start a new run in the background, after setting fields such as data="clothes".

        stop_after: stop by itself after so many steps, as the button does, for a script.
        Raises ValueError or OSError where it can't start; its button says so instead.
        """
        self._check_idle()
        self._set(choices)
        chosen, out = self.assignment, self.out
        if checkpoints.find(out).exists():
            raise FileExistsError(
                f"{self._kept_in} holds a run already, and it won't be overwritten. Press Resume "
                "to go on with it, or write another folder into 'keep in': "
                f"{next_free(Path(self._kept_in))} is free."
            )
        _, missing = self._estimate_words(chosen)
        if missing:
            raise FileNotFoundError(missing)
        self._stop_after = stop_after
        self._begin("loading", "Loading the pictures.", lambda: self._train(chosen, out, False))

    def resume(self) -> None:
        """Go on with the run that `out` holds, by its own recipe, on its own pictures.

        A run that is finished goes on if 'epochs' asks for more. Raises as `start` does.
        """
        self._check_idle()
        out = self.out
        if not checkpoints.find(out).exists():
            raise FileNotFoundError(f"{self._kept_in} holds no run to go on with; press Start.")
        chosen, wanted = self.assignment, self.assignment.epochs
        if (out / "record.json").exists():
            record = records.read(out / "record.json")
            chosen = from_record(record, chosen)
            if record.get("status") == "finished":
                if wanted <= chosen.epochs:
                    raise ValueError(
                        f"The run in {self._kept_in} is finished, after {chosen.epochs} epochs. "
                        "Give more epochs to train on, or another folder for a new run."
                    )
                chosen = Assignment(**chosen.as_dict() | {"epochs": wanted})
        given = dict(self.controls["device"].options).values()
        if chosen.device not in given:  # a run from another machine
            chosen = Assignment(**chosen.as_dict() | {"device": "auto"})
        self._set(chosen.as_dict())
        self._stop_after = None
        self._begin("loading", "Loading the pictures.", lambda: self._train(chosen, out, True))

    def stop(self) -> None:
        """Ask for a stop after the step that is being done; a checkpoint is kept."""
        if not self.busy:
            return
        self._stopping.set()
        self._say("stopping", "Stopping after this step; the run is kept, and Resume goes on.")

    def measure(self) -> None:
        """Measure this machine's pace in the background, for the estimate."""
        self._check_idle()
        chosen = self.assignment
        spec, key = chosen.network(chosen.survey().classes), self._key(chosen)

        def work() -> None:
            recipe = training.recipe_of(chosen.recipe)
            given = (spec, recipe, chosen.batch_size, chosen.side, chosen.device)
            throughput = estimate.measure_throughput(*given, stop=self._stopping.is_set)
            self._measured[key] = throughput
            self._reckon()
            self._say("idle", f"Measured: {throughput:,.0f} images a second.")

        self._begin("measuring", "Training on noise for a few seconds, to see the pace.", work)

    def wait(self, seconds: float | None = None) -> Run | None:
        """Wait for what goes on in the background, at most so many seconds; return the run."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self.run

    # the run

    def _check_idle(self) -> None:
        if self.busy:
            raise ValueError("One run at a time: stop this one first, or wait for its end.")

    def _attempt(self, act: Callable) -> None:
        try:
            act()
        except (OSError, ValueError) as error:
            self._say("failed" if not self.busy else self.state, in_desk_words(error), error=True)

    def _begin(self, state: str, words: str, work: Callable[[], None]) -> None:
        self._stopping.clear()

        def guarded() -> None:
            try:
                work()
            except Exception as error:  # whatever it is, the desk says it and stays alive
                known = isinstance(error, OSError | ValueError)
                kind = "" if known else f"{type(error).__name__}: "
                self._say("failed", kind + in_desk_words(error), error=True, over=True)

        self._thread = threading.Thread(target=guarded, name="training desk", daemon=True)
        self._say(state, words)
        self._thread.start()

    def _train(self, chosen: Assignment, out: Path, resume: bool) -> None:
        self.train, self.val, left_out = chosen.load()
        spec = chosen.network(len(self.train.classes))
        self.model, self.run = models.build(spec, seed=0), None
        steps = chosen.epochs * -(-len(self.train) // chosen.batch_size)
        chance = math.log(len(self.train.classes))
        self._monitor = TrainingMonitor(steps, chance, batch_size=chosen.batch_size, button=False)
        self._place.children = [self._monitor]
        note = left_out_words(left_out, len(self.train))
        if not self._stopping.is_set():
            self._say("running", f"Training, kept in {self._kept_in}. You can go on reading.{note}")
        run = training.fit(
            self.model, self.train, self.val, training.recipe_of(chosen.recipe),
            epochs=chosen.epochs, batch_size=chosen.batch_size, out=out, resume=resume,
            device=chosen.device, checkpoint_seconds=CHECKPOINT_SECONDS,
            about={"desk": chosen.as_dict(), "data_from": chosen.source},
            on_step=self._on_step, on_epoch=self._monitor.update,
        )
        self.run = run
        self._say(run.status, end_words(run, self._kept_in, len(self.val)) + note, over=True)

    def _on_step(self, run: Run) -> bool:
        self.run = run
        stop = self._stopping.is_set() or len(run.losses) == self._stop_after
        if stop:
            self._monitor.stop()
        return self._monitor.update(run) or stop

    def _say(self, state: str, words: str, error: bool = False, over: bool = False) -> None:
        """Show a state and its sentence; over: the background is done, though still alive."""
        self.state, self.summary = state, words
        busy = state in BUSY and not over
        for name in ("start", "resume", "measure"):
            self._buttons[name].disabled = busy
        self._buttons["stop"].disabled = not busy or state == "stopping"
        self._buttons["resume"].disabled |= not checkpoints.find(self.out).exists()
        style = "alexnet-sentence" + " alexnet-error" * error
        self._line.value = sentence_html(words, style)

    def figure(self) -> Figure:
        """Return the curve of the run as a Figure, for `widgets.show`; ValueError without one."""
        if self._monitor is None:
            raise ValueError("there is no curve yet; start a run first: desk.start().")
        return self._monitor.figure()

    def __repr__(self) -> str:
        chosen = ", ".join(
            f"{name}={self.controls[name].value!r}"
            for name in ("data", "recipe", "epochs", "batch_size", "pictures")
        )
        return f"TrainingDesk({chosen}): {self.state}"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """Return widget and text; a page without a kernel shows the text."""
        bundle = super()._repr_mimebundle_(**options)
        return {**(bundle[0] if isinstance(bundle, tuple) else bundle), "text/plain": repr(self)}
