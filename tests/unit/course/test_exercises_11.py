"""Exercises of chapter 11: ready-made answers are refused, and slips get words."""

from __future__ import annotations

import statistics

import pytest

from alexnet_lib.analysis import units
from alexnet_lib.course import diff, grading
from alexnet_lib.course.exercises import EXERCISES
from alexnet_lib.experiments import significance


def said(name, answer):
    found = grading.judge(EXERCISES[name], answer)
    return found.status, "\n".join(found.lines)


def ready_made_colour(weights):
    return float(units.colourfulness(weights[None].numpy())[0])


def ready_made_map(picture, weights, size, step):
    return units.occlusion(lambda x: (x[:, 0] * weights).sum((1, 2)), picture, size, step)


def ready_made_verdict(each, paper, setting):
    return significance.of_effect(each, paper, setting == "the paper's")


def ready_made_margin(each, paper, setting):
    margin = significance.margin(each)
    return str(margin)


@pytest.mark.parametrize(
    ("name", "answer", "called"),
    [
        ("colour_share", ready_made_colour, "colourfulness"),
        ("occlusion_map", ready_made_map, "occlusion"),
        ("verdict", ready_made_verdict, "of_effect"),
        ("verdict", ready_made_margin, "margin"),
    ],
)
def test_the_librarys_own_answer_is_refused(name, answer, called):
    status, lines = said(name, answer)
    assert status == "failed" and lines.startswith(f"it calls {called}, which does the w")


def rule(few=2, table=lambda n: min(n, 10), asks=True):
    def answer(each, paper, setting):
        n = len(each)
        if n < few:
            return "not tested"
        mean = statistics.fmean(each)
        off = significance.STUDENT[table(n)] * statistics.stdev(each) / n**0.5
        if mean + off < 0:
            return "the other way round at this scale"
        if mean - off <= 0:
            return "not seen at this scale"
        if setting == "the paper's" and (paper is not None or not asks):
            return "reproduced" if abs(mean - paper) <= off else "in the same direction"
        return "in the same direction"

    return answer


def test_the_rule_as_the_question_says_it_passes():
    assert said("verdict", rule())[0] == "passed"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (rule(table=lambda n: n), "for more than 10 take 10"),
        (rule(asks=False), "paper is None where the paper prints no number"),
        (lambda each, paper, setting: significance.STUDENT[len(each)] and "in the same direction",
         "For fewer than 2 values return 'not tested'"),
    ],
)  # fmt: skip
def test_what_is_raised_gets_words(answer, words):
    status, lines = said("verdict", answer)
    assert status == "failed" and words in lines


def test_each_step_of_the_margin_fails_first_at_an_input_of_its_own():
    exercise, firsts = EXERCISES["verdict"], {}
    inputs = exercise.inputs()
    right = [exercise.oracle(*each) for each in inputs]
    steps = ("the square root of n", "divided by n", "lacks Student's", "took 1.645")
    for mistake, sentence in exercise.mistakes.items():
        for step in steps:
            if step in sentence:
                wrong = [mistake(*each) for each in inputs]
                tail = range(9, len(inputs))
                firsts[step] = next(i for i in tail if wrong[i] != right[i])
    assert len(set(firsts.values())) == len(steps)


def test_none_may_be_an_input_and_equals_only_itself():
    assert diff.compare(None, None) is None
    assert diff.compare(None, 0.0).kind == "type"
