"""The recipe: a ball by the rule of 2012, the diary, and exercises that name their mistakes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from alexnet_lib import optim, paper, records
from alexnet_lib.analysis import quadratic_bowl
from alexnet_lib.course import checks, grading, widgets
from alexnet_lib.course.exercises import EXERCISES
from alexnet_lib.course.widgets import ch09

NAMES = ("step_2012", "diary_rate", "diagnose")


def verdict(name, answer) -> str:
    found = grading.judge(EXERCISES[name], answer)
    return "\n".join([f"{found.status}: ", *found.lines])


# The ball


@pytest.mark.parametrize("rate, momentum, decay", [(0.01, 0.9, 5e-4), (0.015, 0.0, 0.5)])
def test_ball_rolls_as_the_library_optimizes(rate, momentum, decay):
    found = quadratic_bowl.roll(rate, momentum, decay, steps=30)
    w = torch.nn.Parameter(torch.tensor(quadratic_bowl.START, dtype=torch.float64))
    optimizer = optim.SGD2012([w], rate, momentum, decay)
    curvatures, bottom = (
        torch.tensor(quadratic_bowl.CURVATURES),
        torch.tensor(quadratic_bowl.BOTTOM),
    )
    for row, height in zip(found.path, found.losses, strict=True):
        np.testing.assert_allclose(row, w.detach().numpy(), rtol=1e-9)
        optimizer.zero_grad()
        loss = 0.5 * (curvatures * (w - bottom) ** 2).sum()
        assert loss.item() == pytest.approx(height, rel=1e-9)
        loss.backward()
        optimizer.step()


def test_ball_flies_away_just_above_the_limit_of_theory():
    steepest = max(quadratic_bowl.CURVATURES)
    for momentum in (0.0, 0.5, 0.9):
        limit = 2 * (1 + momentum) / steepest
        assert not quadratic_bowl.roll(0.97 * limit, momentum, 0.0, steps=2000).escaped
        assert quadratic_bowl.roll(1.03 * limit, momentum, 0.0, steps=2000).escaped


def test_ball_rests_where_decay_and_loss_balance():
    found = quadratic_bowl.roll(0.01, 0.5, 0.5, steps=4000)
    expected = [
        c * b / (c + 0.5)
        for c, b in zip(quadratic_bowl.CURVATURES, quadratic_bowl.BOTTOM, strict=True)
    ]
    np.testing.assert_allclose(found.path[-1], expected, rtol=1e-6)


def test_arrival_is_the_last_time_above_one_percent():
    found = quadratic_bowl.roll(0.01, 0.9, 0.0)
    first = found.losses[0]
    assert found.losses[found.arrived - 1] > 0.01 * first
    assert (found.losses[found.arrived :] <= 0.01 * first).all()
    assert quadratic_bowl.roll(0.001, 0.0, 0.0).arrived is None


@pytest.mark.parametrize("wrong", [{"rate": -1}, {"momentum": 1.0}, {"decay": -1}])
def test_ball_refuses_what_the_rule_does_not_know(wrong):
    with pytest.raises(ValueError, match="0 or more, momentum at least 0 and below 1"):
        quadratic_bowl.roll(**wrong)


def test_ball_demo_says_what_happens():
    demo = widgets.rolling_ball()
    steps = quadratic_bowl.roll(0.01, 0.9, 5e-4).arrived
    assert f"Below 1% of the first loss for good after {steps} steps" in demo.summary
    demo.apply("too high")
    assert demo.summary.startswith("Flown away after") and "too high" in demo.summary
    demo.apply("no momentum")
    assert demo.summary.startswith("Not there after 120 steps")
    demo.apply("strong decay")
    assert "67% of the way" in demo.summary
    for label in demo.presets:
        demo.apply(label)
        assert "don't work" not in demo.summary


# The schedule


def test_diary_falls_and_is_what_the_sheet_of_facts_says():
    epochs, first, rest, _ = zip(*paper.DIARY_2012, strict=True)
    assert epochs == (0, 23, 51, 68, 72, 78) and paper.STOPPED_2012 == 93
    assert rest == (1e-2, 1e-3, 1e-4, 1e-4, 1e-4, 1e-5)
    assert first == (1e-2, 1e-3, 1e-4, 1e-5, 0.0, 0.0)


def test_schedule_is_drawn_with_dates_as_shares_of_the_run():
    figure = ch09.schedule_over_run(records.read("imagenette_paper"))
    below = figure.axes[1]
    stairs = {patch.get_label(): patch.get_data() for patch in below.patches}
    edges = stairs["2012, all but conv1"].edges
    np.testing.assert_allclose(np.array(edges) * 93, [0, 23, 51, 68, 72, 78, 93])
    assert math.isnan(stairs["2012, conv1"].values[-1])  # frozen
    ours = [line.get_xdata()[0] for line in figure.axes[0].lines[1:]]
    assert ours == pytest.approx([0.75, 0.875])  # only our own drops over our loss


# Exercises


def test_solutions_agree_with_library_and_diary():
    step, rate, _ = map(checks.solution_function, NAMES)
    w = torch.nn.Parameter(torch.tensor([1.5], dtype=torch.float64))
    optimizer = optim.SGD2012([w], 0.1, 0.9, 0.01)
    mine, v = 1.5, 0.0
    for g in (2.0, -1.0, 0.5):
        w.grad = torch.tensor([g], dtype=torch.float64)
        optimizer.step()
        mine, v = step(mine, v, g, 0.1, 0.9, 0.01)
        assert mine == pytest.approx(w.item(), rel=1e-12)
    diary = optim.DiarySchedule([(epoch, rest) for epoch, _, rest, _ in paper.DIARY_2012])
    for epoch in np.arange(0, 93, 0.5):
        assert rate("fc7", epoch) == diary.lr_at(epoch)
    assert rate("conv1", 72) == 0 and rate("fc7", 93) == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_mistake_fails_and_is_named(name):
    exercise = EXERCISES[name]
    for mistake, sentence in exercise.mistakes.items():
        said = verdict(name, mistake)
        assert said.startswith("failed: ") and sentence in said, said


@pytest.mark.parametrize("name, answer, line", [
    ("step_2012", lambda w, v, g, rate, momentum, decay: w - rate * g, "should be a list"),
    ("step_2012", lambda w, v, g, rate, momentum, decay: (w, v), "should be a list"),
    ("diary_rate", lambda layer, epoch: "0.01", "should be a float"),
    ("diagnose", lambda losses, chance, dead, update, across, changed: "unwell", "input 1 of"),
    ("diagnose", lambda losses, chance, dead, update, across, changed: 0, "should be a str"),
])  # fmt: skip
def test_bad_answer_gets_its_own_line(name, answer, line):
    said = verdict(name, answer)
    assert said.startswith("failed: "), said
    assert line in said, said


def test_a_wrong_word_is_shown_beside_the_right_one():
    said = verdict("diagnose", lambda losses, chance, dead, update, across, changed: "labels")
    assert "expected  'healthy'" in said and "got       'labels'" in said
    assert "should be a str" not in said
