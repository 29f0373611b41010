"""Exercises: solutions pass, stubs and wrong answers don't, and nothing makes a check raise."""

from __future__ import annotations

import _thread
import math
import threading

import numpy as np
import pytest
import torch

from alexnet_lib.course import checks, diff, grading, progress_file
from alexnet_lib.course.exercises import EXERCISES

NAMES = list(EXERCISES)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ALEXNET_LEARNER", str(tmp_path / "learner"))
    monkeypatch.setattr(checks, "_hints_given", {})
    return tmp_path / "learner"


@pytest.fixture
def verdict(capsys):
    """Return what a check prints."""

    def run(name, answer) -> str:
        checks.check(name, answer)
        return capsys.readouterr().out

    return run


# Solutions and the registry


@pytest.mark.parametrize("name", NAMES)
def test_solution_passes(name, verdict):
    said = verdict(name, checks.solution_function(name))
    assert said.startswith(f"✓ {name}: right on all"), said
    assert EXERCISES[name].lesson in said
    assert checks.progress().passed == {name}


def test_solutions_agree_with_torch_and_with_the_article():
    torch.manual_seed(0)
    x = torch.randn(2, 9, 3, 4)
    convert, lrn, row = map(checks.solution_function, ("convert", "lrn", "lrn_row"))
    norm = torch.nn.LocalResponseNorm(**convert("paper", 5, 2.0, 0.3, 0.75))
    torch.testing.assert_close(lrn(x, 5, 2.0, 0.3, 0.75), norm(x))
    article = row([8.0] * 5 + [9.0] + [8.0] * 4, 2, 0.0, 2.0, 2.0)
    assert article[0] == article[9] == pytest.approx(4.88281e-4, rel=1e-5)
    assert article[4] == article[6] == pytest.approx(1.83146e-4, rel=1e-5)
    assert article[5] == pytest.approx(2.06039e-4, rel=1e-5)
    norm = torch.nn.LocalResponseNorm(**convert("seed", 2, 0.0, 2.0, 2.0))
    mine = norm(torch.tensor([8.0] * 5 + [9.0] + [8.0] * 4).reshape(1, 10, 1))
    torch.testing.assert_close(mine.flatten(), torch.tensor(article))


@pytest.mark.parametrize("name", NAMES)
def test_every_exercise_is_complete(name):
    exercise = EXERCISES[name]
    assert exercise.name == name and exercise.chapter.isdigit() and len(exercise.chapter) == 2
    assert 1 <= exercise.difficulty <= 3 and exercise.minutes > 0
    assert len(exercise.hints) >= 2 and len(exercise.mistakes) >= 4
    assert "Returns " in exercise.question and exercise.lesson.endswith(".")
    assert not exercise.lesson[0].islower(), "it stands after a full stop"
    assert checks.solution_function(name).__doc__
    assert len(exercise.inputs()) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_the_same_every_time(name):
    first, second = EXERCISES[name].inputs(), EXERCISES[name].inputs()
    assert diff.show(first) == diff.show(second)
    for one, other in zip(first, second, strict=True):
        assert all(diff.compare(a, b) is None for a, b in zip(one, other, strict=True))


# Stubs


def stub_docstring(x, n, k, alpha, beta):
    """Nothing yet."""


def stub_ellipsis(x, n, k, alpha, beta):
    ...


def stub_raises(x, n, k, alpha, beta):
    raise NotImplementedError


def stub_returns_ellipsis(x, n, k, alpha, beta):
    return ...


@pytest.mark.parametrize(
    "stub", [stub_docstring, stub_ellipsis, stub_raises, stub_returns_ellipsis, None, ...]
)
def test_stub_is_not_attempted(stub, verdict):
    said = verdict("lrn", stub)
    assert said == '○ lrn: not attempted yet (about 15 minutes, ★★☆). Stuck? checks.hint("lrn")\n'
    assert checks.progress().passed == frozenset()


class Nasty:
    """An answer that misbehaves wherever it's touched."""

    def __call__(self, *args):
        return self

    def __getattr__(self, name):
        raise RuntimeError("no attributes")

    def __repr__(self):
        raise ValueError("no repr")

    def __eq__(self, other):
        raise ValueError("no ==")


class NastyError(Exception):
    def __str__(self):
        raise ValueError("no message")


def raise_it(error):
    def answer(*args):
        raise error

    return answer


def endless_recursion(*args):
    return endless_recursion(*args)


class Tensorish(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, kinds, args=(), kwargs=None):
        raise RuntimeError("no operations")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("answer", [
    0, "text", b"", [], {}, object(), Nasty, print, len, int, math.floor, torch.nn.ReLU(),
    torch.zeros, np.zeros(3), NotImplemented, lambda: 0, lambda *args: Nasty(), lambda *args: args,
    lambda *args: float("nan"), lambda *args: float("inf"), lambda *args: 10**400,
    lambda *args: 1j, lambda *args: {}, lambda *args: [], lambda *args: [None] * 3,
    lambda *args: [[1.0]] * 3, lambda *args: torch.tensor([]), lambda *args: torch.zeros(3, 3),
    lambda *args: torch.zeros(1, 3, 1, 1, dtype=torch.complex64), lambda *args: np.array("a"),
    lambda *args: {"size": Nasty(), "alpha": 1, "beta": 1, "k": 1}, lambda *args: (v for v in args),
    lambda *args: torch.zeros(1, 3, 1, 1, device="meta"), lambda *args: torch.eye(3).to_sparse(),
    lambda *args: torch.zeros(1, 3, 1, 1).as_subclass(Tensorish), raise_it(NastyError()),
    raise_it(SystemExit(3)), raise_it(KeyboardInterrupt()), raise_it(MemoryError()),
    raise_it(GeneratorExit()), endless_recursion,
])  # fmt: skip
def test_check_never_raises(name, answer, verdict):
    said = verdict(name, answer)
    assert said.startswith((f"✗ {name}: ", f"○ {name}: ")), said
    assert len(said) < 2500
    assert verdict(name, answer) == said, "the verdict isn't the same twice"


@pytest.mark.parametrize("name", NAMES)
def test_check_survives_an_answer_that_breaks_whatever_touches_it(name, verdict):
    assert verdict(name, Nasty()).startswith(f"✗ {name}: ")


def test_interrupting_the_kernel_stops_the_check(verdict):
    def answer(n, k, s, p):
        _thread.interrupt_main()
        while True:
            n += 1

    running = threading.active_count()
    assert verdict("output_size", answer) == "○ output_size: you stopped the check.\n"
    assert threading.active_count() == running


def test_unknown_names_are_told_the_nearest(capsys):
    for call in (checks.hint, checks.solution, checks.question, lambda n: checks.check(n, len)):
        call("lrn_rwo")
        assert "did you mean 'lrn_row'?" in capsys.readouterr().out
        call(None)
        call(["lrn"])
        assert capsys.readouterr().out.count("unknown exercise") == 2


def test_terminal_without_ticks_gets_text(monkeypatch, tmp_path):
    import io
    import sys

    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    checks.check("lrn", None)
    stream.flush()
    assert b"lrn: not attempted yet" in stream.buffer.getvalue()


# Hints, solutions, progress


def test_hints_come_one_after_the_other(capsys):
    for step in (1, 2, 3, 3):
        checks.hint("lrn")
        said = capsys.readouterr().out
        assert said.startswith(f"Hint {step} of 3: {EXERCISES['lrn'].hints[step - 1]}")
    assert 'checks.solution("lrn") shows an answer' in said
    checks.hint("lrn", 2)
    assert capsys.readouterr().out.startswith("Hint 2 of 3")
    checks.hint("lrn", 9)
    assert "has the hints 1 to 3; 9 is none of them" in capsys.readouterr().out


def test_solution_prints_the_tested_source(capsys):
    checks.solution("lrn")
    said = capsys.readouterr().out
    assert said.startswith("# chapters/solutions/05_local_response_normalization.py\nimport torch")
    assert "def lrn(x, n, k, alpha, beta):" in said and "def lrn_row" not in said
    scope = {}
    exec(said, scope)
    assert grading.judge(EXERCISES["lrn"], scope["lrn"]).status == "passed"


def test_question_says_what_it_takes(capsys):
    checks.question("output_size")
    said = capsys.readouterr().out
    assert said.startswith("output_size(n, k, s, p)   about 3 minutes, ★☆☆\n")


def test_progress_grows_and_the_first_time_counts(own_folder, verdict):
    verdict("output_size", checks.solution_function("output_size"))
    verdict("top_k_error", checks.solution_function("top_k_error"))
    passed = progress_file.read()["passed"]
    assert set(passed) == {"output_size", "top_k_error"}
    assert passed["output_size"]["chapter"] == "00"
    assert "✓ output_size ★☆☆" in repr(checks.progress())
    file = own_folder / "progress.json"
    file.write_text(file.read_text().replace(passed["output_size"]["on"], "2020-01-02"))
    verdict("output_size", checks.solution_function("output_size"))
    verdict("output_size", lambda n, k, s, p: 0)  # a later failure takes nothing back
    assert progress_file.read()["passed"]["output_size"]["on"] == "2020-01-02"


def test_hints_and_solutions_that_were_looked_at_are_kept(own_folder, capsys):
    assert "looked at" not in repr(checks.progress())
    checks.hint("lrn", 2)
    checks.hint("lrn", 1)  # the first doesn't hide the second
    checks.hint("votes")
    checks.solution("lrn")
    checks.solution("lrn")
    kept = progress_file.read()
    assert kept["hints"] == {"lrn": 2, "votes": 1} and list(kept["solutions"]) == ["lrn"]
    assert repr(checks.progress()).endswith("looked at: 3 hints and 1 solution")
    (own_folder / "progress.json").write_text('{"format": 2, "hints": {"lrn": "many"}}')
    checks.hint("lrn", 1)
    assert progress_file.read()["hints"] == {"lrn": 1}


def test_a_newer_file_is_left_alone_and_the_check_says_so(own_folder, verdict):
    own_folder.mkdir()
    file = own_folder / "progress.json"
    file.write_text('{"format": 99, "passed": ["another", "shape"]}')
    said = verdict("output_size", checks.solution_function("output_size"))
    assert said.startswith("✓ output_size") and "newer version of this course (format 99" in said
    checks.hint("lrn")
    checks.solution("lrn")
    assert file.read_text() == '{"format": 99, "passed": ["another", "shape"]}'
    assert [path.name for path in own_folder.iterdir()] == ["progress.json"]
    assert "format 99" in repr(checks.progress()).splitlines()[0]


def test_folder_that_cannot_be_written_is_told(tmp_path, monkeypatch, verdict):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ALEXNET_LEARNER", str(tmp_path / "file"))
    said = verdict("output_size", checks.solution_function("output_size"))
    assert said.startswith("✓ output_size") and "(This can't be kept in" in said
