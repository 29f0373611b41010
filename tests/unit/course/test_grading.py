"""Verdicts on answers: typical mistakes are named, and every bad answer gets a line of its own."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from alexnet_lib.course import grading
from alexnet_lib.course.exercises import EXERCISES

NAMES = list(EXERCISES)
MISTAKES = [
    pytest.param(name, wrong, sentence, id=f"{name}-{number}")
    for name, exercise in EXERCISES.items()
    for number, (wrong, sentence) in enumerate(exercise.mistakes.items())
]


def verdict(name, answer, exercise=None) -> str:
    """Judge an answer; returns the status and the lines as one text."""
    found = grading.judge(exercise or EXERCISES[name], answer)
    return "\n".join([f"{found.status}: ", *found.lines]).replace(": \n", ": ", 1)


# Typical mistakes: each is told from the right answer and from every other one


@pytest.mark.parametrize("name, wrong, sentence", MISTAKES)
def test_mistake_is_named(name, wrong, sentence):
    said = verdict(name, wrong)
    assert said.startswith("failed: input "), said
    assert f"Probably: {sentence}" in said
    assert "expected" in said and "got" in said


def paper_with_alpha_divided(x, n, k, alpha, beta):
    squares = F.pad(x * x, (0, 0, 0, 0, n // 2, n // 2))
    sums = sum(squares[:, j : j + x.shape[1]] for j in range(n))
    return x / (k + alpha / n * sums) ** beta


def torch_with_alpha_passed_on(x, n, k, alpha, beta):
    mean = F.avg_pool3d(F.pad((x * x)[:, None], (0, 0, 0, 0, n // 2, n // 2)), (n, 1, 1), 1)
    return x / (k + alpha * mean[:, 0]) ** beta


@pytest.mark.parametrize("answer", [paper_with_alpha_divided, torch_with_alpha_passed_on])
def test_learners_own_code_is_told_of_pytorchs_convention(answer):
    assert "you divided alpha by n: that's PyTorch's convention" in verdict("lrn", answer)


def test_only_some_inputs_show_a_pattern():
    def without_zero(row, r, kappa, alpha, beta):
        right = EXERCISES["lrn_row"].oracle(row, r, kappa, alpha, beta)
        empty = kappa == 0 and 0.0 in right
        return [7.0] * len(row) if empty else right

    said = verdict("lrn_row", without_zero)
    assert "It fails only where kappa is 0 and a window holds nothing but zeros" in said


def test_wrong_channels_are_told():
    def edges(x, n, k, alpha, beta):
        y = EXERCISES["lrn"].oracle(x, n, k, alpha, beta)
        y[:, 0] = 5.0
        return y

    assert "only channel 0 of 3 is wrong." in verdict("lrn", edges)


def test_constant_factor_is_told():
    right = EXERCISES["lrn_row"].oracle
    said = verdict("lrn_row", lambda *args: [3 * value for value in right(*args)])
    assert "every number is 3 times what it should be." in said


@pytest.mark.parametrize("name", NAMES)
def test_every_exercise_knows_a_stub(name):
    parameters = ", ".join(EXERCISES[name].parameters())
    stub = eval(f"lambda {parameters}: None")
    assert verdict(name, stub).startswith("not attempted")


def test_half_an_answer_is_more_than_a_stub():
    def answer(convention, n, k, alpha, beta):
        if convention == "paper":
            return {"size": n, "alpha": alpha * n, "beta": beta, "k": k}
        raise NotImplementedError

    said = verdict("convert", answer)
    assert said.startswith("failed: input 2 of 12 fails")
    assert "this case is still to be written." in said


def test_return_forgotten():
    def answer(n, k, s, p):
        size = (n - k + 2 * p) // s + 1
        size += 0

    assert "returned None: does its last line say return?" in verdict("output_size", answer)


# Bad answers: a helpful line of its own for each


def wrong_shape(x, n, k, alpha, beta):
    return x.sum(1)


def wrong_dtype(x, n, k, alpha, beta):
    return EXERCISES["lrn"].oracle(x, n, k, alpha, beta).double()


def square_only(x, n, k, alpha, beta):
    y = EXERCISES["lrn"].oracle(x, n, k, alpha, beta)
    return y.reshape(*y.shape[:2], y.shape[3], y.shape[2])


def square_only_values(x, n, k, alpha, beta):
    y = EXERCISES["lrn"].oracle(x, n, k, alpha, beta)
    return y if y.shape[2] == y.shape[3] else y.flip(2) + 1


def square_only_raises(x, n, k, alpha, beta):
    return EXERCISES["lrn"].oracle(x, n, k, alpha, beta) + torch.zeros(x.shape[3], x.shape[2])


def in_place(x, n, k, alpha, beta):
    y = EXERCISES["lrn"].oracle(x, n, k, alpha, beta)
    x.mul_(2)
    return y


def calls_the_library(x, n, k, alpha, beta):
    return F.local_response_norm(x, n, alpha * n, beta, k)


@torch.no_grad()
def calls_it_in_a_decorated_function(x, n, k, alpha, beta):
    return torch.nn.LocalResponseNorm(n, alpha * n, beta, k)(x)


def fails(x, n, k, alpha, beta):
    channels = x.shape[1]
    return x[channels]


def yields(x, n, k, alpha, beta):
    yield x


def without_a_look_at_zero(row, r, kappa, alpha, beta):
    y = []
    for i, value in enumerate(row):
        s = kappa + alpha / r * sum(v * v for v in row[max(0, i - r // 2) : i + r // 2 + 1])
        y.append(value / s**beta)
    return y


@pytest.mark.parametrize("answer, line", [
    (3.5, "a float is not a function. Give check the function itself"),
    (torch.zeros(2), "a Tensor is not a function. Give check the function itself, without "
     'brackets or arguments: check("lrn", my_lrn).'),
    (torch.nn.ReLU, "ReLU is a class; check needs a function of (x, n, k, alpha, beta)."),
    (lambda x: x, "your function takes (x), and is called with 5 arguments: "
     "(x, n, k, alpha, beta); too many positional arguments."),
    (lambda x, n, k, alpha, beta, more: x, "missing a required argument: 'more'"),
    (fails, "it raises IndexError: index 3 is out of bounds"),
    (fails, "of your code: return x[channels]"),
    (fails, "The window reaches beyond the first or last channel"),
    (lambda *args: "text", "the result should be a torch tensor, and is a str."),
    (lambda *args: args[0].tolist(), "the result should be a torch tensor, and is a list."),
    (yields, "and is a generator. Is there a yield, where return belongs?"),
    (wrong_shape, "the result should have shape (1, 3, 1, 1), and has (1, 1, 1)."),
    (wrong_dtype, "of type torch.float32, like the input, and is torch.float64."),
    (in_place, "your function changes its input x."),
    (square_only, grading.SQUARE_ONLY),
    (square_only_values, grading.SQUARE_ONLY),
    (square_only_raises, grading.SQUARE_ONLY),
    (calls_the_library, "it calls local_response_norm, which does the whole job."),
    (calls_it_in_a_decorated_function, "it calls LocalResponseNorm, which does the whole job."),
    (lambda x, *rest: x * float("nan"), "there is NaN in it"),
])  # fmt: skip
def test_bad_tensor_answer_gets_its_own_line(answer, line):
    said = verdict("lrn", answer)
    assert said.startswith("failed: ") and line in said, said


@pytest.mark.parametrize("name, answer, line", [
    ("output_size", lambda n, k, s, p: (n - k + 2 * p) / s + 1,
     "should be an int, and is a float. The operator // divides and rounds down to an int."),
    ("output_size", lambda n, k, s, p: torch.tensor(3), "Its method .item() gives the number"),
    ("output_size", lambda n, k, s, p: True, "should be an int, and is a bool."),
    ("lrn_row", lambda row, r, kappa, alpha, beta: tuple(row), "list(...) or .tolist() makes one."),
    ("lrn_row", lambda row, r, kappa, alpha, beta: row[1:], "should hold 3 numbers, and holds 2."),
    ("lrn_row", lambda row, *rest: [torch.tensor(v) for v in row],
     "should hold plain numbers; at index 0 is a Tensor."),
    ("lrn_row", lambda row, r, kappa, alpha, beta: row.clear(), "does its last line say return?"),
    ("lrn_row", without_a_look_at_zero,
     "it raises ZeroDivisionError: "),
    ("lrn_row", without_a_look_at_zero,
     "That's 0/0: kappa is 0 and the window holds only zeros."),
    ("convert", lambda convention, n, k, alpha, beta: {"size": n, "alpha": alpha, "beta": beta},
     "the dict needs the keys ['size', 'alpha', 'beta', 'k']; yours lacks ['k']."),
    ("convert", lambda convention, n, k, alpha, beta:
     {"size": n, "alpha": alpha * n, "beta": beta, "k": k} if convention == "paper" else None,
     "It is right for the paper alone"),
    ("top_k_error", lambda logits, labels, k: (logits.argmax(1) == labels).all(),
     "should be a float, and is a Tensor."),
    ("ten_crop_average", lambda logits: logits.softmax(2), "should have shape (1, 2), and has"),
])  # fmt: skip
def test_bad_answer_gets_its_own_line(name, answer, line):
    said = verdict(name, answer)
    assert said.startswith("failed: ") and line in said, said


def test_line_that_raises_is_told_in_the_learners_own_words():
    said = verdict("lrn_row", without_a_look_at_zero)
    assert "of your code: y.append(value / s**beta)" in said and "input 4 of 16 fails" in said


def test_in_place_row_is_told_of_its_input():
    def answer(row, r, kappa, alpha, beta):
        row[0] = 0.0
        return row

    assert "your function changes its input row." in verdict("lrn_row", answer)


def test_what_a_failing_answer_printed_is_shown():
    def answer(n, k, s, p):
        print("n is", n)
        return 0

    said = verdict("output_size", answer)
    assert said.count("n is") == 1 and "Your function printed:\n  n is 5" in said


def test_a_passing_answer_prints_nothing_of_its_own(capsys):
    def answer(n, k, s, p):
        print("debugging")
        return (n - k + 2 * p) // s + 1

    assert verdict("output_size", answer) == "passed: right on all 20 inputs"
    assert capsys.readouterr().out == ""


def test_endless_loop_is_stopped():
    running = threading.active_count()

    def answer(n, k, s, p):
        while True:
            try:
                n += 1
            except Exception:
                pass

    started = time.monotonic()
    hurried = replace(EXERCISES["output_size"], seconds=0.3)
    said = verdict("output_size", answer, hurried)
    assert "it was stopped after 0.3 seconds. Loops are fine here" in said
    assert time.monotonic() - started < 20
    assert threading.active_count() == running


def test_loops_over_every_number_are_fine():
    def answer(x, n, k, alpha, beta):
        y = torch.zeros_like(x)
        C = x.shape[1]
        for i in range(C):
            s = torch.zeros_like(x[:, 0])
            for j in range(max(0, i - n // 2), min(C, i + n // 2 + 1)):
                for row in range(x.shape[2]):
                    s[:, row] += x[:, j, row] ** 2
            y[:, i] = x[:, i] / (k + alpha * s) ** beta
        return y

    assert verdict("lrn", answer).startswith("passed: ")
