"""A learner commits to an answer before the next cell shows it, and is reminded of it later.

Predictions are kept in `learner/progress.json` (see `progress_file`). Chapters write
`widgets.predict` and `widgets.recall`.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from numbers import Real
from typing import Any

import ipywidgets

from ... import plots
from .. import progress_file
from .python_demo import DemoManners, sentence_html

__all__ = ["Prediction", "predict", "recall"]

def _shown(value: Any) -> str:
    return plots.number(value) if isinstance(value, Real) else str(value)


class Prediction(ipywidgets.VBox):
    """A question with choices, or a box for a number, and a button that keeps the answer.

    Made by `predict`. `answer` is what was kept, or None.
    """

    def __init__(self, key: str, question: str, choices: Sequence[str] | None) -> None:
        self._key, self._question, self._choices = key, question, choices
        kicker = '<span class="alexnet-kicker">Predict before you go on</span>'
        text = html.escape(question, quote=False)
        asked = ipywidgets.HTML(f'<p class="alexnet-question">{kicker}{text}</p>')
        if choices:
            kept = self.answer if self.answer in choices else None
            self._field = ipywidgets.RadioButtons(options=list(choices), value=kept)
        else:
            self._field = ipywidgets.Text(
                value="" if self.answer is None else _shown(self.answer), placeholder="a number",
                layout={"width": "140px"},
            )
        self._button = ipywidgets.Button(description="Commit", layout={"width": "auto"})
        self._button.add_class("alexnet-button")
        self._button.on_click(lambda _: self.commit())
        self._line = ipywidgets.HTML()
        self._line.add_class("alexnet-summary")
        self._say("")
        super().__init__([asked, self._field, self._button, self._line, DemoManners()])
        self.add_class("alexnet-card").add_class("alexnet-prediction")

    @property
    def answer(self) -> Any:
        """What the learner committed to, or None."""
        return progress_file.read()["predictions"].get(self._key)

    def commit(self, value: Any = None) -> None:
        """Keep `value`, or what the field holds, as the learner's prediction."""
        value = self._field.value if value is None else value
        if not self._choices:
            try:
                value = float(str(value).replace(",", ".").replace("−", "-"))
            except ValueError:
                self._say(f"{value!r} is not a number yet: write it like 12, 0.5 or 2e-4.")
                return
        elif value not in self._choices:
            self._say("Choose one first: a guess costs nothing, and you'll remember the answer.")
            return
        try:
            progress_file.note("predictions", self._key, value)
        except OSError as error:
            self._say(f"Your answer is {_shown(value)}, but it could not be kept: {error}.")
            return
        self._say("")

    def _say(self, line: str) -> None:
        if not line and self.answer is None:
            line = "Not answered yet. Choose, then press Commit."
            line = line if self._choices else "Not answered yet. Write a number, then press Commit."
        elif not line:
            line = f"Kept: {_shown(self.answer)}. You'll meet it again below."
        self._line.value = sentence_html(line)

    def __repr__(self) -> str:
        choices = " / ".join(self._choices) if self._choices else "a number"
        kept = "not answered yet" if self.answer is None else f"you said: {_shown(self.answer)}"
        return f"Predict: {self._question} [{choices}] {kept}"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """Return widget and text, the text in full."""
        bundle = super()._repr_mimebundle_(**options)
        return {**(bundle[0] if isinstance(bundle, tuple) else bundle), "text/plain": repr(self)}


def predict(
    key: str, question: str, choices: Sequence[str] | None = None, number: bool = False
) -> Prediction:
    """Ask the learner to commit to an answer before it's shown.

    key: names the prediction in the whole course, such as "05-nine". question: plain text.
    choices: the answers to choose from; or number=True for a number. Returns the widget.
    Raises ValueError unless exactly one of choices and number is given.
    """
    if bool(choices) == bool(number):
        raise ValueError(f"predict({key!r}) needs either choices=[...] or number=True.")
    return Prediction(key, question, list(choices) if choices else None)


def recall(key: str, truth: str | float, why: str = "") -> None:
    """Print what the learner predicted under `key`, and the truth; never raises.

    truth: the choice that is right, or the number. why: one sentence more, printed at the end.
    """
    said = progress_file.read()["predictions"].get(key)
    answer = _shown(truth)
    if said is None:
        line = f"You made no prediction here, and that's fine. The answer: {answer}."
    elif isinstance(truth, str):
        line = f"You predicted: {said}. " + (
            "So it is." if said == truth else f"The answer: {answer}."
        )
    else:
        line = f"You predicted {_shown(said)}; it is {answer}.{_distance(said, truth)}"
    print(f"{line} {why}".rstrip())


def _distance(said: Any, truth: float) -> str:
    """Say how far off a number is, in words that fit small and large ones."""
    if not isinstance(said, Real) or truth == 0 or said == 0:
        return " Right." if said == truth else ""
    ratio = max(abs(said / truth), abs(truth / said))
    if said * truth < 0:
        return " The sign is the other one."
    if ratio < 1.01:
        return " Right."
    return " Close." if ratio < 1.25 else f" Off by a factor of {plots.number(ratio)}."
