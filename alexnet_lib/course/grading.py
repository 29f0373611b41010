"""Exercises as data, and verdicts on answers: which input fails first, and what went wrong.

`judge` calls an answer on many inputs under a time limit and compares it with the exercise's
oracle; where it differs, it tells which typical mistake gives the very same results. Nothing here
prints, and `judge` raises for no answer whatever.
"""

from __future__ import annotations

import copy
import ctypes
import dis
import inspect
import io
import linecache
import threading
import time
import types
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from .diff import Mismatch, compare, kind_of, show

__all__ = ["Exercise", "Verdict", "judge"]

SECONDS_IN_ALL = 30.0  # for all inputs of one check
EMPTY_BODY = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}  # bytecode


@dataclass(frozen=True)
class Exercise:
    """A function that a learner writes, and all that is needed to judge it.

    name: unique in the course, and the name of the solution's function. chapter: two digits.
    minutes: what it takes, about. difficulty: 1 to 3. question: what to write; it ends with
    what the function returns. hints: from a nudge to almost the answer. oracle: right for every
    input; its parameters name the inputs. cases: given a seeded numpy generator, the inputs, the
    easiest first. mistakes: wrong implementation -> what its author overlooked, one sentence.
    lesson: what was learned, one sentence. errors: an exception's name -> where it comes from.
    where: a test of the inputs -> what to say if exactly those inputs fail that it is true of.
    forbidden: names that the answer may not use. instead: what to say of them, by default that
    they do the whole job. seconds: for one input. differentiable: the parameters to which a
    gradient must come back through the answer's result.
    """

    name: str
    chapter: str
    minutes: int
    difficulty: int
    question: str
    hints: tuple[str, ...]
    oracle: Callable
    cases: Callable[[np.random.Generator], Iterable[tuple]]
    mistakes: Mapping[Callable, str]
    lesson: str
    errors: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[Callable[..., bool], str] = field(default_factory=dict)
    forbidden: tuple[str, ...] = ()
    seconds: float = 5.0
    differentiable: tuple[str, ...] = ()
    instead: str = "which does the whole job. Here you write that yourself."

    @property
    def stars(self) -> str:
        """The difficulty as three stars, filled or empty."""
        return "★" * self.difficulty + "☆" * (3 - self.difficulty)

    def inputs(self) -> list[tuple]:
        """Return the arguments of every call, the same at every time of asking."""
        return list(self.cases(np.random.default_rng(zlib.crc32(self.name.encode()))))

    def parameters(self) -> list[str]:
        """Return the names of the function's arguments, in order."""
        return list(inspect.signature(self.oracle).parameters)


@dataclass(frozen=True)
class Verdict:
    """What became of an answer. status: "passed", "failed" or "not attempted"; lines: why."""

    status: str
    lines: tuple[str, ...] = ()


class _TooLong(BaseException):
    """Thrown into an answer that runs past its time; no `except Exception` catches it."""


@dataclass
class _Outcome:
    """One call of an answer: what it returned or raised, what it printed, and the verdict on it.

    trouble: None where the result is right.
    """

    value: Any = None
    error: BaseException | None = None
    printed: str = ""
    late: bool = False
    trouble: Mismatch | None = None


def judge(exercise: Exercise, answer: Any) -> Verdict:
    """Return the verdict on an answer, which may be anything; never raises but on Ctrl-C."""
    if answer is None or answer is ...:
        return Verdict("not attempted")
    objection = _objection(exercise, answer)
    if objection:
        return Verdict("failed", (objection,))
    inputs = exercise.inputs()
    expected = [exercise.oracle(*copy.deepcopy(arguments)) for arguments in inputs]
    outcomes = _call_all(exercise, answer, inputs, expected)
    first = next((i for i, outcome in enumerate(outcomes) if outcome.trouble), None)
    if first is None and (cut := _cut_off(exercise, answer, inputs[-1])):
        return Verdict("failed", (cut,))
    if first is None:
        passed = f"right on all {len(inputs)} inputs"
        return Verdict("passed", (passed, *_remark(expected, outcomes)))
    if first == 0 and outcomes[0].trouble.kind == "not attempted":
        return Verdict("not attempted")
    return Verdict("failed", tuple(_explain(exercise, answer, inputs, expected, outcomes, first)))


def _remark(expected: list, outcomes: list[_Outcome]) -> tuple[str, ...]:
    """Say of right tensors that some of them are narrower than their inputs."""
    for right, outcome in zip(expected, outcomes, strict=True):
        if isinstance(right, torch.Tensor) and right.dtype != outcome.value.dtype:
            return (
                f"Of a {_kind(right)} input yours makes {_kind(outcome.value)}, and loses digits. "
                "The input's own .new_zeros(...) keeps its type.",
            )
    return ()


def _cut_off(exercise: Exercise, answer: Callable, arguments: tuple) -> str | None:
    """Say which input gets no gradient, or a wrong one, though an answer's numbers are right."""
    if not exercise.differentiable:
        return None

    def gradients(function: Callable) -> dict[str, torch.Tensor | None]:
        given = dict(zip(exercise.parameters(), copy.deepcopy(arguments), strict=True))
        for name in exercise.differentiable:
            given[name].requires_grad_()
        outcome = _call(function, tuple(given.values()), exercise.seconds)
        if isinstance(outcome.value, torch.Tensor) and outcome.value.requires_grad:
            weights = torch.arange(1.0, outcome.value.numel() + 1).reshape(outcome.value.shape)
            (outcome.value * weights).sum().backward()
        return {name: given[name].grad for name in exercise.differentiable}

    found = gradients(answer)
    for name, right in gradients(exercise.oracle).items():
        if found[name] is None:
            return (
                f"every number is right, but no gradient comes back to {name}: .detach(), .data, "
                ".numpy() or torch.no_grad() cuts it off, and what lies before would never learn."
            )
        if compare(right, found[name]) is not None:
            return (
                f"every number is right, but the gradient that comes back to {name} isn't: part "
                "of the way is cut off, by .detach(), .data or the like."
            )
    return None


def _kind(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _objection(exercise: Exercise, answer: Any) -> str | None:
    """Say what speaks against even calling the answer, if anything."""
    name, parameters = exercise.name, exercise.parameters()
    if not callable(answer):
        return (
            f"{kind_of(answer)} is not a function. Give check the function itself, without "
            f'brackets or arguments: check("{name}", my_{name}).'
        )
    if isinstance(answer, type):
        return f"{answer.__name__} is a class; check needs a function of ({', '.join(parameters)})."
    try:
        signature = inspect.signature(answer)
    except (TypeError, ValueError):
        signature = None  # some functions written in C have none
    if signature is not None:
        try:
            signature.bind(*parameters)
        except TypeError as error:
            return (
                f"your function takes {signature}, and is called with {len(parameters)} arguments: "
                f"({', '.join(parameters)}); {error}."
            )
    used = sorted(_names(_code(answer)) & set(exercise.forbidden))
    if used:
        return f"it calls {used[0]}, {exercise.instead}"
    return None


def _code(answer: Any) -> types.CodeType | None:
    """Return the code that the learner wrote, below decorators such as torch.no_grad()."""
    return getattr(inspect.unwrap(answer), "__code__", None)


def _names(code: types.CodeType | None) -> set[str]:
    """Return the global names and attributes that a function and those inside it use."""
    if code is None:
        return set()
    inner = [_names(const) for const in code.co_consts if isinstance(const, types.CodeType)]
    return set(code.co_names).union(*inner)


def _call_all(exercise, answer, inputs: list[tuple], expected: list) -> list[_Outcome]:
    """Call the answer on the inputs in turn; stops where going on is of no use."""
    outcomes: list[_Outcome] = []
    stop_at = time.monotonic() + SECONDS_IN_ALL
    for arguments, right in zip(inputs, expected, strict=True):
        left = min(exercise.seconds, stop_at - time.monotonic())
        given = copy.deepcopy(arguments)
        outcome = _call(answer, given, max(left, 0.1))
        outcome.trouble = _trouble(exercise, answer, arguments, given, outcome, right)
        outcomes.append(outcome)
        if outcome.late or (outcome.trouble and outcome.trouble.kind == "not attempted"):
            break
    return outcomes


def _call(answer: Callable, arguments: tuple, seconds: float) -> _Outcome:
    """Call an answer in a thread of its own, so that an endless loop can be ended."""
    outcome, printed = _Outcome(), io.StringIO()

    def work() -> None:
        try:
            outcome.value = answer(*arguments)
        except BaseException as error:  # noqa: B036 - whatever an answer raises is its verdict
            outcome.error = error

    thread = threading.Thread(target=work, daemon=True)
    try:
        with redirect_stdout(printed):
            thread.start()
            thread.join(seconds)
    finally:
        outcome.late = thread.is_alive() or isinstance(outcome.error, _TooLong)
        for _ in range(10):
            if not thread.is_alive():
                break
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident), ctypes.py_object(_TooLong)
            )
            thread.join(0.1)
    outcome.printed = printed.getvalue()
    return outcome


def _trouble(exercise, answer, arguments, given, outcome: _Outcome, right) -> Mismatch | None:
    """Return what is wrong with one call, None if nothing is."""
    if outcome.late:
        return Mismatch("late", (
            f"it was stopped after {exercise.seconds:g} seconds. Loops are fine here up to a few "
            "seconds in all: does one of yours never end, or do the same work again and again?",
        ))  # fmt: skip
    if isinstance(outcome.error, NotImplementedError) or outcome.value is ...:
        return Mismatch("not attempted", ("this case is still to be written.",))
    if outcome.error is not None:
        lines = [_raised(answer, outcome.error)]
        lines += [exercise.errors.get(type(outcome.error).__name__, "")]
        return Mismatch("raises", tuple(filter(None, lines)))
    if outcome.value is None:
        if _is_stub(answer):
            return Mismatch("not attempted", ())
        return Mismatch("type", ("your function returned None: does its last line say return?",))
    for name, before, after in zip(exercise.parameters(), arguments, given, strict=True):
        if compare(before, after) is not None:
            return Mismatch("mutates", (
                f"your function changes its input {name}. Whoever called it still needs that, and "
                "later steps of your own loop read changed numbers: write into a new one.",
            ))  # fmt: skip
    try:
        return compare(right, outcome.value)
    except Exception as error:  # a result that misbehaves when it's looked at
        return Mismatch("type", (f"{kind_of(outcome.value)} can't be compared: {error!r}"[:200],))


def _raised(answer: Any, error: BaseException) -> str:
    """Say what was raised, and at which line of the learner's code."""
    try:
        message = (str(error).strip().splitlines() or [""])[0]
    except Exception:
        message = ""
    text = f"it raises {type(error).__name__}{': ' if message else ''}{message}"[:300]
    own = getattr(_code(answer), "co_filename", None)
    trace, place = error.__traceback__, None
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if filename == own or (own is None and filename != __file__):
            place = (filename, trace.tb_lineno)
        trace = trace.tb_next
    if place is None:
        return text
    code = linecache.getline(*place).strip()
    return f"{text}\n  in line {place[1]} of your code{': ' if code else ''}{code}"


def _is_stub(answer: Any) -> bool:
    """Tell whether a function's body is empty: a docstring, pass, ... or return None at most."""
    code = _code(answer)
    return code is None or {step.opname for step in dis.get_instructions(code)} <= EMPTY_BODY


def _explain(exercise, answer, inputs, expected, outcomes: list[_Outcome], first: int) -> list[str]:
    """Return the lines on a wrong answer: the first failing input, the difference, the cause."""
    outcome = outcomes[first]
    named = ", ".join(
        f"{name}={show(value)}"
        for name, value in zip(exercise.parameters(), inputs[first], strict=True)
    )
    lines = [f"input {first + 1} of {len(inputs)} fails", f"  input     {named}"]
    if outcome.trouble.kind not in ("raises", "late", "mutates", "not attempted"):
        right, got = show(expected[first]), show(outcome.value)
        if right == got and isinstance(outcome.value, float):
            got = repr(outcome.value)  # 3.0, where 3 was expected
        lines += [f"  expected  {right}", f"  got       {got}"]
    lines += outcome.trouble.lines
    cause = _cause(exercise, inputs, expected, outcomes, first)
    lines += [cause] if cause else []
    if outcome.printed.strip():
        shown = outcome.printed.strip().splitlines()
        lines += ["Your function printed:", *(f"  {line}" for line in shown[:10])]
        lines += [f"  ... and {len(shown) - 10} lines more"] if len(shown) > 10 else []
    return lines


def _cause(exercise, inputs, expected, outcomes: list[_Outcome], first: int) -> str | None:
    """Name the mistake: one that gives the same results, or one that fails on the same inputs."""
    kind = outcomes[first].trouble.kind
    if kind in ("late", "mutates"):
        return None
    failing = [outcome.trouble is not None for outcome in outcomes]
    if kind != "raises":
        returned = [i for i, outcome in enumerate(outcomes) if outcome.error is None]
        wrong = [i for i in returned if failing[i]]
        for among in (returned, wrong):
            sentence = _same_mistake(exercise, inputs, outcomes, among)
            if sentence:
                return f"Probably: {sentence}"
    for test, sentence in {**exercise.where, _not_square: SQUARE_ONLY}.items():
        true_of = [bool(test(*arguments)) for arguments in inputs[: len(outcomes)]]
        if true_of == failing and not all(true_of):
            return sentence
    sentence = None if kind == "raises" else _same_mistake(exercise, inputs, outcomes, [first])
    return f"Perhaps: {sentence}" if sentence else None


def _same_mistake(exercise, inputs, outcomes: list[_Outcome], among: list[int]) -> str | None:
    """Return the sentence on the mistake that gives the same results for the inputs `among`."""
    for mistake, sentence in exercise.mistakes.items():
        if all(_gives(mistake, inputs[i], outcomes[i].value) for i in among):
            return sentence
    return None


SQUARE_ONLY = (
    "It is right on square inputs only: somewhere height and width are taken for each other."
)


def _not_square(*arguments: Any) -> bool:
    return any(
        isinstance(value, torch.Tensor) and value.dim() == 4 and value.shape[2] != value.shape[3]
        for value in arguments
    )


def _gives(mistake: Callable, arguments: tuple, value: Any) -> bool:
    """Tell whether a wrong implementation gives this value."""
    try:
        return compare(mistake(*copy.deepcopy(arguments)), value) is None
    except Exception:
        return False
