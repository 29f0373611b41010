"""Demo, show, predict and recall: what a page, a test and a reader without a kernel get."""

from __future__ import annotations

import base64
import io
import json
import threading

import ipywidgets
import matplotlib
import numpy as np
import pytest
from PIL import Image

from alexnet_lib import plots
from alexnet_lib.course import widgets
from alexnet_lib.course.widgets import predictions, python_demo

ROW = np.array([8, 8, 8, 8, 8, 9, 8, 8, 8, 8.0])


@pytest.fixture(autouse=True)
def style():
    with matplotlib.rc_context():
        plots.use_style()
        yield


def scaled(k):
    if k == 13:
        raise ValueError("k is 13; choose another")
    return ROW / (k + 1)


def draw_bars(fig, data):
    plots.bars(data, limit=10, ax=fig.axes[0] if fig.axes else fig.subplots())
    return f"max = {data.max():g}"


def make(compute=scaled, draw=draw_bars, value=2, **options):
    slider = ipywidgets.IntSlider(value=value, min=0, max=20)
    return widgets.Demo(compute, draw, {"k": slider}, height=2.0, **options)


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_moving_a_control_changes_picture_and_sentence():
    demo = make()
    assert demo.summary == "max = 3"
    before = demo.picture
    demo.controls["k"].value = 8
    assert demo.summary == "max = 1"
    assert demo.picture != before
    assert Image.open(io.BytesIO(demo.picture)).size == (760, 200)


def test_a_demo_of_photos_sends_jpeg_and_keeps_a_png_for_the_page():
    plain, demo = make(), make(photo=True)
    sent = Image.open(io.BytesIO(demo._picture.value))
    assert (sent.format, demo._picture.format) == ("JPEG", "jpeg")
    assert Image.open(io.BytesIO(demo.picture)).format == "PNG"
    assert np.abs(pixels(demo.picture) - pixels(plain.picture)).mean() < 1
    data, _ = demo._repr_mimebundle_()
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).format == "PNG"
    before = demo.picture
    demo.controls["k"].value = 8
    assert demo.picture != before


def test_printed_form_is_deterministic():
    assert repr(make()) == "Demo(k=2): max = 3"
    assert repr(make(name="shrink")) == "shrink(k=2): max = 3"


def test_a_page_without_a_kernel_gets_picture_and_text():
    demo = make()
    data, metadata = demo._repr_mimebundle_()
    assert data["text/plain"] == "Demo(k=2): max = 3"
    assert base64.b64decode(data["image/png"]) == demo.picture
    assert metadata["image/png"]["alt"] == "max = 3"
    assert "application/vnd.jupyter.widget-view+json" in data


def test_parts_bear_the_classes_that_style_sheet_and_tests_rely_on():
    demo = make(presets={"none": {"k": 0}})
    row, controls, picture, sentence, manners = demo.children
    assert {"alexnet-card", "alexnet-demo"} <= set(demo._dom_classes)
    assert "alexnet-preset" in row.children[0]._dom_classes
    assert "alexnet-summary" in sentence._dom_classes
    assert isinstance(picture, ipywidgets.Image) and isinstance(manners, python_demo.DemoManners)
    assert controls.children[0].description == "k"
    assert 'role="status"' in sentence.value


def test_a_preset_sets_everything_in_one_update():
    calls = []

    def compute(a, b):
        calls.append((a, b))
        return np.array([a, b])

    controls = {"a": ipywidgets.IntSlider(1), "b": ipywidgets.IntSlider(2)}
    demo = widgets.Demo(compute, draw_bars, controls, {"high": {"a": 7, "b": 9}})
    demo.children[0].children[0].click()
    assert calls == [(1, 2), (7, 9)]
    assert demo.parameters == {"a": 7, "b": 9} and demo.summary == "max = 9"
    with pytest.raises(KeyError, match="there are: high"):
        demo.apply("low")


def test_a_preset_for_no_control_is_refused():
    with pytest.raises(ValueError, match="preset 'x' sets q, but the controls are k"):
        make(presets={"x": {"q": 1}})


def test_an_error_is_said_and_the_demo_lives_on():
    demo = make()
    last = demo.picture
    demo.controls["k"].value = 13
    assert "ValueError: k is 13; choose another" in demo.summary
    assert demo.picture == last and "alexnet-error" in demo.children[-2].value
    demo.controls["k"].value = 0
    assert demo.summary == "max = 9" and "alexnet-error" not in demo.children[-2].value


def test_sentence_is_text_not_markup():
    demo = make(draw=lambda fig, data: f"{draw_bars(fig, data)} <b>& more</b>")
    assert "&lt;b&gt;&amp; more" in demo.children[-2].value
    assert demo.summary.endswith("<b>& more</b>")


def test_no_line_breaks_within_a_number():
    text = python_demo.sentence_html("becomes 2.06e-4, not 9")
    assert '<span class="alexnet-together">2.06e-4,</span> not 9' in text


def test_what_moves_is_redrawn_and_nothing_else(monkeypatch):
    demo = make()
    for k in (3, 4):  # these two find out which parts move
        demo.controls["k"].value = k
    full = []
    draw = demo._painter.canvas.draw
    monkeypatch.setattr(demo._painter.canvas, "draw", lambda: full.append(draw()))
    for k in (5, 9, 1, 20):
        demo.controls["k"].value = k
    assert full == []
    demo._figure.axes[0].set_ylim(0, 99)  # an axis changed
    demo.controls["k"].value = 7
    assert len(full) == 1


def test_partial_redrawing_gives_the_picture_that_drawing_all_gives():
    demo = make(value=0)
    for k in (3, 4, 19, 6, 2, 11):
        demo.controls["k"].value = k
    fresh = make(value=11)
    assert np.abs(pixels(demo.picture) - pixels(fresh.picture)).max() <= 16  # edges over edges


def test_parts_that_come_and_go_are_drawn_among_those_that_move():
    def draw(fig, data):
        line = draw_bars(fig, data)
        ax = fig.axes[0]
        for old in ax.get_lines():
            old.remove()
        if data.max() > 2:
            ax.axhline(2, color="red", lw=3)
        return line

    demo = make(draw=draw, value=9)
    for k in (8, 9, 1, 9, 0, 7, 1):
        demo.controls["k"].value = k
        fresh = make(draw=draw, value=k)
        assert np.abs(pixels(demo.picture) - pixels(fresh.picture)).max() <= 16, k


def test_a_drawing_that_starts_over_each_time_works_too():
    def draw(fig, data):
        fig.clear()
        fig.subplots().plot(data)
        return f"max = {data.max():g}"

    demo = make(draw=draw)
    first = demo.picture
    demo.controls["k"].value = 5
    demo.controls["k"].value = 2
    assert np.abs(pixels(demo.picture) - pixels(first)).max() <= 2


def test_no_pyplot_figure_is_made():
    from matplotlib import pyplot

    make().controls["k"].value = 4
    assert pyplot.get_fignums() == []


def test_gradients_are_off_in_every_thread():
    import torch

    seen = []

    def compute(k):
        seen.append(torch.is_grad_enabled())
        return np.array([k])

    demo = make(compute=compute)
    thread = threading.Thread(target=lambda: setattr(demo.controls["k"], "value", 7))
    thread.start()
    thread.join(20)
    assert seen == [False, False] and demo.summary == "max = 7"


def test_updates_that_come_during_an_update_become_one():
    started, release, calls = threading.Event(), threading.Event(), []

    def compute(k):
        calls.append(k)
        if k == 5:
            started.set()
            assert release.wait(20)
        return np.array([k])

    demo = make(compute=compute)
    slow = threading.Thread(target=lambda: setattr(demo.controls["k"], "value", 5))
    slow.start()
    assert started.wait(20)
    for k in (6, 7, 8):
        demo.controls["k"].value = k  # returns at once: the slow update is under way
    release.set()
    slow.join(20)
    assert calls == [2, 5, 8] and demo.summary == "max = 8"


def shown(monkeypatch, *arguments, **options):
    """What `show` puts on the page: [(data, metadata), ...]."""
    outputs = []
    monkeypatch.setattr(
        python_demo,
        "display",
        lambda data, metadata=None, raw=False: outputs.append((data, metadata)),
    )
    assert widgets.show(*arguments, **options) is None
    return outputs


def test_show_gives_a_picture_with_alternative_text_and_a_caption(monkeypatch):
    alt = "Two bars, <the> second higher."
    (picture, metadata), (caption, _) = shown(monkeypatch, plots.bars([1, 2]), alt=alt)
    assert set(picture) == {"image/png", "text/plain"} and picture["text/plain"] == alt
    assert metadata["image/png"] == {"alt": alt, "width": 760}
    assert Image.open(io.BytesIO(base64.b64decode(picture["image/png"]))).size[0] == 1140
    assert 'class="alexnet-caption"' in caption["text/html"]
    assert "Two bars, &lt;the&gt; second higher." in caption["text/html"]


def test_show_takes_a_figure_and_another_caption(monkeypatch):
    figure, axes = plots.figure(rows=2)
    outputs = shown(monkeypatch, figure, alt="Empty axes.", caption="Nothing yet.")
    assert outputs[0][1]["image/png"]["alt"] == "Empty axes."
    assert "Nothing yet." in outputs[1][0]["text/html"]


def test_show_wants_an_alternative_text():
    with pytest.raises(ValueError, match="in one sentence what to see"):
        widgets.show(plots.bars([1]), alt=" ")


@pytest.fixture
def learner(tmp_path, monkeypatch):
    monkeypatch.setenv("ALEXNET_LEARNER", str(tmp_path / "learner"))
    return tmp_path / "learner" / "progress.json"


def test_a_choice_is_kept_and_recalled(learner, capsys):
    asked = widgets.predict("t-nine", "Where does the 9 end?", choices=["above", "below"])
    assert asked.answer is None
    asked.children[1].value = "below"
    asked.children[2].click()
    assert json.loads(learner.read_text("utf-8"))["predictions"] == {"t-nine": "below"}
    assert "Kept: below" in asked.children[3].value
    widgets.recall("t-nine", truth="below", why="It pays for itself.")
    widgets.recall("t-nine", truth="above")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "You predicted: below. So it is. It pays for itself."
    assert said[1] == "You predicted: below. The answer: above."


def test_a_number_is_kept_and_compared(learner, capsys):
    asked = widgets.predict("t-number", "How much?", number=True)
    asked.children[1].value = " 2e-4 "
    asked.commit()
    assert asked.answer == 2e-4
    for truth in (2e-4, 2.2e-4, 2e-3, -1.0, np.float32(1)):
        widgets.recall("t-number", truth)
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("Right.") and said[1].endswith("Close.")
    assert said[2] == "You predicted 2e-4; it is 0.002. Off by a factor of 10."
    assert said[3].endswith("The sign is the other one.")
    assert said[4].startswith("You predicted 2e-4; it is 1.")


def test_an_unanswered_question_is_taken_kindly(learner, capsys):
    asked = widgets.predict("t-open", "Which?", choices=["a", "b"])
    assert repr(asked) == "Predict: Which? [a / b] not answered yet"
    assert asked._repr_mimebundle_()["text/plain"] == repr(asked)
    widgets.recall("t-open", truth="a")
    assert capsys.readouterr().out == (
        "You made no prediction here, and that's fine. The answer: a.\n"
    )
    assert not learner.exists()


def test_commit_without_an_answer_asks_again_and_keeps_nothing(learner):
    choice = widgets.predict("t-open", "Which?", choices=["a", "b"])
    choice.commit()
    assert "Choose one first" in choice.children[3].value
    number = widgets.predict("t-number", "How much?", number=True)
    number.children[1].value = "a lot"
    number.commit()
    assert "not a number yet" in number.children[3].value
    assert not learner.exists()


def test_an_answer_is_there_again_in_the_next_session(learner):
    widgets.predict("t-again", "Which?", choices=["a", "b"]).commit("b")
    asked = widgets.predict("t-again", "Which?", choices=["a", "b"])
    assert asked.children[1].value == "b" and repr(asked).endswith("you said: b")


def test_an_unreadable_file_is_set_aside(learner, capsys):
    learner.parent.mkdir(parents=True)
    learner.write_text("{not json", encoding="utf-8")
    widgets.recall("t-x", truth=3)
    assert "no prediction" in capsys.readouterr().out
    widgets.predict("t-x", "How much?", number=True).commit(3)
    assert json.loads(learner.read_text("utf-8"))["predictions"] == {"t-x": 3.0}
    aside = [path for path in learner.parent.iterdir() if "unreadable" in path.name]
    assert [path.read_text("utf-8") for path in aside] == ["{not json"]


def test_a_folder_that_cannot_be_written_is_said(learner, monkeypatch):
    def refuse(section, name, value):
        raise PermissionError("read-only")

    monkeypatch.setattr(predictions.progress_file, "note", refuse)
    asked = widgets.predict("t-x", "How much?", number=True)
    asked.commit(3)
    assert "could not be kept" in asked.children[3].value


def test_a_file_of_a_newer_version_is_said_and_left_alone(learner, capsys):
    learner.parent.mkdir(parents=True)
    learner.write_text('{"format": 99}', encoding="utf-8")
    asked = widgets.predict("t-x", "How much?", number=True)
    asked.commit(3)
    line = asked.children[3].value
    assert "could not be kept: learner/progress.json was written by a newer version" in line
    widgets.recall("t-x", truth=3)
    assert "no prediction" in capsys.readouterr().out
    assert learner.read_text("utf-8") == '{"format": 99}'


def test_predict_wants_choices_or_a_number(learner):
    for options in ({}, {"choices": ["a"], "number": True}):
        with pytest.raises(ValueError, match="either choices"):
            widgets.predict("t-x", "Which?", **options)
