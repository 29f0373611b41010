"""The training monitor: what it shows, how often, and how it stops a run."""

from __future__ import annotations

import io
import math
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from alexnet_lib.course import widgets
from alexnet_lib.course.widgets import training_monitor
from alexnet_lib.course.widgets.training_monitor import TrainingMonitor

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told to move."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(training_monitor.time, "monotonic", lambda: now.seconds)
    return now


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def run_of(losses, epochs=(), batch_size=8):
    """What training.fit hands over after each step."""
    return SimpleNamespace(
        losses=list(losses), epochs=list(epochs), about={"batch_size": batch_size}
    )


def curve_points(watched: TrainingMonitor):
    """The data of the three curves: a dot a step, their running mean, validation."""
    lines = {line.get_label(): line for line in watched.figure().axes[0].lines}
    return {name: np.array(lines[name].get_data()).T for name in ("one step", "running mean",
                                                                  "validation")}  # fmt: skip


def test_widgets_offers_the_monitor():
    assert widgets.TrainingMonitor is TrainingMonitor and "TrainingMonitor" in widgets.__all__


def test_steps_must_be_at_least_one():
    with pytest.raises(ValueError, match="steps is 0; say how many steps"):
        TrainingMonitor(0)


def test_a_plain_loop_gives_numbers_or_tensors():
    torch = pytest.importorskip("torch")
    watched = TrainingMonitor(3)
    losses = (2.0, np.float32(1.5), torch.tensor(1.0))
    assert [watched.update(loss) for loss in losses] == [False] * 3
    assert watched.losses == [2.0, 1.5, 1.0] and watched.state == "finished"
    assert curve_points(watched)["one step"].tolist() == [[1, 2.0], [2, 1.5], [3, 1.0]]


def test_running_mean_weighs_recent_losses_more():
    losses = [3.0, 1.0, 4.0, 1.0, 5.0]
    weights = [[training_monitor.MEMORY ** (i - j) for j in range(i + 1)] for i in range(5)]
    expected = [np.average(losses[: i + 1], weights=weights[i]) for i in range(5)]
    assert np.allclose(training_monitor.running_mean(losses), expected, rtol=1e-12)
    assert training_monitor.running_mean([]).size == 0


def test_a_run_brings_losses_batch_size_and_validation(clock):
    watched = TrainingMonitor(10)
    watched.update(run_of([1.0]))
    clock.seconds += 2
    rows = [{"step": 2, "val_loss": 0.7}, {"step": 4, "val_loss": None}]
    watched.update(run_of([1.0, 0.9, 0.8, 0.7, 0.6], rows))
    assert curve_points(watched)["validation"].tolist() == [[2, 0.7]]
    assert "step 5 of 10" in watched.summary
    assert "16 images/s" in watched.summary  # 4 steps of 8 in 2 seconds
    assert "2 s left" in watched.summary or "3 s left" in watched.summary  # 5 steps at 2 a second


def test_validation_can_be_given_in_a_plain_loop():
    watched = TrainingMonitor(4)
    watched.update(1.0)
    watched.update(0.8, validation=0.9)
    assert watched.validation == [(2, 0.9)]
    assert curve_points(watched)["validation"].tolist() == [[2, 0.9]]


def test_pictures_are_drawn_at_most_four_times_a_second(clock, monkeypatch):
    watched = TrainingMonitor(1000)
    drawn = []
    monkeypatch.setattr(watched._painter, "png", lambda: drawn.append(clock.seconds) or b"png")
    for _ in range(200):  # ten seconds of fast steps
        watched.update(1.0)
        clock.seconds += 0.05
    assert 30 <= len(drawn) <= 41
    assert min(np.diff(drawn)) >= 0.25


def test_slow_pictures_come_less_often(clock, monkeypatch):
    watched = TrainingMonitor(1000)
    drawn = []

    def slow_png():
        drawn.append(clock.seconds)
        clock.seconds += 0.5
        return b"png"

    monkeypatch.setattr(watched._painter, "png", slow_png)
    for _ in range(200):
        watched.update(1.0)
        clock.seconds += 0.1
    assert min(np.diff(drawn)) >= 0.5 / training_monitor.DRAWING_SHARE


@pytest.mark.parametrize("last", [{}, {"validation": 0.5}])
def test_the_last_step_and_validation_are_always_drawn(clock, last):
    watched = TrainingMonitor(3)
    for loss in (3.0, 2.0):
        watched.update(loss)
    before = watched.picture
    watched.update(1.0, **last)  # the clock stood still
    assert watched.picture != before
    assert watched.summary.startswith("done: step 3 of 3, loss")


def test_picture_follows_the_losses(clock):
    watched = TrainingMonitor(20, chance=1.1)
    empty = pixels(watched.picture)
    for loss in np.linspace(1.2, 0.2, 10):
        watched.update(loss)
        clock.seconds += 1
    half = pixels(watched.picture)
    assert half.shape == empty.shape and (half != empty).any()
    width = half.shape[1]
    moved = (half != empty).any(axis=(0, 2))
    axes = slice(int(0.55 * width), int(0.6 * width))  # beyond step 10, left of the legend's top
    assert moved[: width // 2].any()
    assert not (half != empty)[half.shape[0] // 3 :, axes].any()


def test_chance_is_a_dotted_line_with_its_name():
    ax = TrainingMonitor(5, chance=math.log(3)).figure().axes[0]
    levels = [line for line in ax.lines if np.allclose(line.get_ydata(), math.log(3))]
    assert any(line.get_linestyle() != "-" for line in levels if len(line.get_ydata()))
    assert "chance" in [text.get_text() for text in ax.texts]
    assert TrainingMonitor(5).figure().axes[0].texts[:] == []


def test_a_loss_that_explodes_does_not_flatten_the_curve():
    watched = TrainingMonitor(4, chance=1.0)
    for loss in (1.0, 1e9, float("inf"), float("nan")):
        watched.update(loss)
    assert watched.figure().axes[0].get_ylim()[1] < 10


def test_more_steps_than_announced_widen_the_axis():
    watched = TrainingMonitor(2)
    for _ in range(5):
        watched.update(1.0)
    assert watched.figure().axes[0].get_xlim()[1] > 5
    assert "step 5 of 2" in repr(watched)


def test_stop_ends_a_loop_once():
    watched = TrainingMonitor(10)
    assert watched.update(1.0) is False
    watched.stop()
    assert watched.update(0.9) is True
    assert repr(watched) == "TrainingMonitor(stopped at step 2 of 10)"
    assert watched.update(0.8) is False, "the resumed run must go on"
    assert watched.state == "running"


def test_button_is_enabled_only_while_a_run_goes_on(clock):
    watched = TrainingMonitor(3)
    assert watched._button.disabled
    for loss in (3.0, 2.0):
        watched.update(loss)
        clock.seconds += 1
        assert not watched._button.disabled
    watched.update(1.0)
    assert watched._button.disabled


def test_button_pressed_on_another_thread_stops_the_training_thread():
    watched = TrainingMonitor(10**9)  # more than a fifth of a second can do
    pressed = threading.Timer(0.2, watched._button.click)
    pressed.start()
    steps = 0
    while not watched.update(1.0):
        steps += 1
        assert steps < 10**8, "never stopped"
    pressed.join()
    assert 0 < steps and watched.state == "stopped"


def test_a_press_after_the_end_does_not_stop_the_next_run():
    watched = TrainingMonitor(3)
    for loss in (3.0, 2.0, 1.0):
        watched.update(run_of([loss]) if loss == 3.0 else loss)
    watched.stop()
    assert watched.update(run_of([3.0])) is False
    assert watched.losses == [3.0], "a new run starts a new curve"


def test_a_picture_that_fails_does_not_end_the_run(monkeypatch):
    watched = TrainingMonitor(2)

    def broken():
        raise RuntimeError("no memory")

    monkeypatch.setattr(watched._painter, "png", broken)
    watched.update(1.0)
    assert watched.update(0.5) is False
    assert "No picture: RuntimeError: no memory" in watched.summary


def test_printed_form_has_no_times_and_is_the_same_twice(clock):
    def printed(pause: float) -> list[str]:
        watched = TrainingMonitor(4, chance=1.1)
        texts = [repr(watched)]
        for loss in (1.3, 0.9, 0.5, 0.2):
            watched.update(loss)
            clock.seconds += pause
            texts.append(watched._repr_mimebundle_()[0]["text/plain"])
        return texts

    assert printed(0.1) == printed(7.0)
    assert printed(1.0)[0] == "TrainingMonitor(4 steps to come)"
    assert printed(1.0)[-1] == "TrainingMonitor(done: step 4 of 4)"


def test_bundle_has_widget_and_text_and_a_picture_once_there_is_one():
    watched = TrainingMonitor(1)
    data, _ = watched._repr_mimebundle_()
    assert set(data) == {WIDGET_VIEW, "text/plain"}
    watched.update(0.5)
    data, metadata = watched._repr_mimebundle_()
    assert set(data) == {WIDGET_VIEW, "text/plain", "image/png"}
    assert "1 of 1 steps" in metadata["image/png"]["alt"] and metadata["image/png"]["width"] == 760


def test_it_stops_and_resumes_a_real_run(tmp_path):
    torch = pytest.importorskip("torch")
    from alexnet_lib import architectures, models, training
    from alexnet_lib.datasets import ImageSet
    from alexnet_lib.paper import Recipe

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 2
    images = rng.integers(0, 60, (24, 12, 12, 1)) + 120 * labels[:, None, None, None]
    data = ImageSet(images.astype(np.uint8), labels, ["dark", "light"], "two", "train")
    recipe = Recipe("tiny", epochs=2, batch_size=4, lr=0.01, schedule="step", colour_noise=0.0)

    def train(**options):
        net = models.build(architectures.small_network(12, 1, 2, (4,)), seed=0)
        return training.fit(net, data, data, recipe, seed=0, **options)

    whole = train()
    watched = TrainingMonitor(12)

    def stop_at_five(run):
        if len(run.losses) == 5:
            watched.stop()
        return watched.update(run)

    first = train(out=tmp_path / "run", on_step=stop_at_five)
    assert first.status == "stopped" and watched.losses == whole.losses[:5]
    calls = {"on_step": watched.update, "on_epoch": watched.update}
    second = train(out=tmp_path / "run", resume=True, **calls)
    assert second.status == "finished" and watched.state == "finished"
    assert watched.losses == whole.losses
    assert [step for step, _ in watched.validation] == [6, 12]
