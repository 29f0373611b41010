"""What a result should be, what it is, and where they differ, in words."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch

__all__ = ["Mismatch", "compare", "kind_of", "show"]

RELATIVE, ABSOLUTE = 1e-6, 1e-9  # float64 and Python's numbers
RELATIVE_32, ABSOLUTE_32 = 1e-4, 1e-6  # float32, where sums may run in another order
SHOWN = 12  # numbers shown of a list or tensor
AXES = {2: ("row", "column"), 4: ("image", "channel", "row", "column")}  # by dimensions


@dataclass(frozen=True)
class Mismatch:
    """A difference: its kind (type, shape, dtype, value, ...) and the lines that explain it."""

    kind: str
    lines: tuple[str, ...]


def kind_of(value: Any) -> str:
    """Return a value's type with its article: "a list", "an int", "a Tensor"."""
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _number(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    return repr(value) if isinstance(value, int | str | None) else kind_of(value)


def _some(values: list, brackets: str = "[]") -> str:
    text = ", ".join(map(_number, values[:SHOWN]))
    more = f", ... {len(values)} in all" if len(values) > SHOWN else ""
    return f"{brackets[0]}{text}{more}{brackets[1]}"


def show(value: Any) -> str:
    """Return a value in one short line, the same on every machine; never raises."""
    try:
        if isinstance(value, torch.Tensor):
            kind = str(value.dtype).removeprefix("torch.")
            head = f"tensor of shape {tuple(value.shape)}, {kind}"
            if value.numel() > SHOWN:
                return head
            return f"{head}: {_some(value.detach().flatten().tolist())}"
        if isinstance(value, list):
            return _some(value)
        if isinstance(value, tuple):
            return _some(list(value), "()")
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key!r}: {show(part)}" for key, part in value.items()) + "}"
        text = _number(value) if isinstance(value, Real) else repr(value)
    except Exception:
        return kind_of(value)
    return kind_of(value) if len(text) > 120 or " at 0x" in text else text


def compare(expected: Any, got: Any) -> Mismatch | None:
    """Return how `got` differs from `expected`, None if it doesn't.

    expected: an int, float, str, list of numbers, dict, tensor, or None, as an input may be.
    Numbers count as equal within about six digits (four for float32); NaN equals nothing but NaN.
    A float32 tensor may stand for a float64 one.
    """
    if expected is None:
        return None if got is None else _wrong_type("None", got)
    if isinstance(expected, torch.Tensor):
        return _compare_tensors(expected, got)
    if isinstance(expected, dict):
        return _compare_dicts(expected, got)
    if isinstance(expected, list):
        return _compare_lists(expected, got)
    if isinstance(expected, str):
        if not isinstance(got, str):
            return _wrong_type("a str", got)
        return None if got == expected else Mismatch("value", ())
    return _compare_numbers(expected, got)


def _wrong_type(wanted: str, got: Any, advice: str = "") -> Mismatch:
    if type(got).__name__ == "generator":
        advice = "Is there a yield, where return belongs?"
    line = f"the result should be {wanted}, and is {kind_of(got)}. {advice}"
    return Mismatch("type", (line.strip(),))


def _close(a: float, b: float, relative: float = RELATIVE, absolute: float = ABSOLUTE) -> bool:
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return math.isclose(a, b, rel_tol=relative, abs_tol=absolute)


def _compare_numbers(expected: Any, got: Any) -> Mismatch | None:
    whole = isinstance(expected, Integral)
    wanted = "an int" if whole else "a float"
    if isinstance(got, torch.Tensor | np.ndarray):
        return _wrong_type(wanted, got, "Its method .item() gives the number inside.")
    if isinstance(got, bool) or not isinstance(got, Real):
        return _wrong_type(wanted, got)
    if whole and not isinstance(got, Integral):
        return _wrong_type(wanted, got, "The operator // divides and rounds down to an int.")
    if _close(float(expected), float(got)):
        return None
    return Mismatch("value", _ratio([float(expected)], [float(got)]))


def _compare_lists(expected: list, got: Any) -> Mismatch | None:
    if not isinstance(got, list):
        convertible = isinstance(got, tuple | torch.Tensor | np.ndarray)
        return _wrong_type("a list", got, "list(...) or .tolist() makes one." * convertible)
    if len(got) != len(expected):
        line = f"the list should hold {len(expected)} numbers, and holds {len(got)}."
        return Mismatch("shape", (line,))
    wrong = []
    whole = all(isinstance(a, Integral) for a in expected)
    for i, (a, b) in enumerate(zip(expected, got, strict=True)):
        if isinstance(a, complex) and isinstance(b, complex):
            wrong += [i] * (not cmath.isclose(a, b, rel_tol=RELATIVE))  # of a typical mistake
            continue
        if isinstance(b, bool) or not isinstance(b, Real):
            line = f"the list should hold plain numbers; at index {i} is {kind_of(b)}."
            return Mismatch("type", (line,))
        if whole and not isinstance(b, Integral):
            line = (
                f"the list should hold whole numbers; at index {i} is {kind_of(b)}. The operator "
                "// divides and rounds down to an int."
            )
            return Mismatch("type", (line,))
        if not _close(float(a), float(b)):
            wrong.append(i)
    if not wrong:
        return None
    lines = _nan(any(math.isnan(b) for b in got)) or _ratio(expected, got)
    if not lines and len(wrong) < len(expected):
        one = len(wrong) == 1
        places = f"index {wrong[0]} is" if one else f"the indices {_some(wrong)} are"
        lines = (f"only {places} wrong.",)
    return Mismatch("value", lines)


def _compare_dicts(expected: dict, got: Any) -> Mismatch | None:
    if not isinstance(got, dict):
        return _wrong_type("a dict", got)
    missing = [key for key in expected if key not in got]
    extra = [key for key in got if key not in expected]
    if missing or extra:
        parts = [f"lacks {missing!r}"] * bool(missing) + [f"has {extra!r} besides"] * bool(extra)
        line = f"the dict needs the keys {list(expected)!r}; yours {' and '.join(parts)}."
        return Mismatch("shape", (line,))
    for key, value in expected.items():
        difference = compare(value, got[key])
        if difference:
            line = f"{key!r} should be {show(value)}, and is {show(got[key])}."
            return Mismatch(difference.kind, (line,))
    return None


def _compare_tensors(expected: torch.Tensor, got: Any) -> Mismatch | None:
    if not isinstance(got, torch.Tensor):
        return _wrong_type("a torch tensor", got)
    if got.shape != expected.shape:
        line = f"the result should have shape {tuple(expected.shape)}, and has {tuple(got.shape)}."
        return Mismatch("shape", (line,))
    narrower = (expected.dtype, got.dtype) == (torch.float64, torch.float32)
    if got.dtype != expected.dtype and not narrower:
        line = f"the result should be of type {expected.dtype}, like the input, and is {got.dtype}."
        return Mismatch("dtype", (line,))
    got = got.detach().cpu()
    if not got.dtype.is_floating_point:
        equal = got == expected
    else:
        wide = got.dtype == torch.float64
        equal = torch.isclose(
            got.double(), expected.double(), RELATIVE if wide else RELATIVE_32,
            ABSOLUTE if wide else ABSOLUTE_32, equal_nan=True,
        )
    if equal.all():
        return None
    place = tuple((~equal).nonzero()[0].tolist())
    should, is_ = (show(tensor[place].item()) for tensor in (expected, got))
    lines = (f"at {list(place)} it should be {should}, and is {is_}.",)
    right, mine = expected.flatten().tolist(), got.flatten().tolist()
    lines += _nan(bool(got.isnan().any())) or _ratio(right, mine, RELATIVE_32) or _axes(~equal)
    return Mismatch("value", lines)


def _nan(found: bool) -> tuple[str, ...]:
    return ("there is NaN in it: 0/0, or a difference of infinities.",) if found else ()


def _ratio(expected: list, got: list, relative: float = RELATIVE) -> tuple[str, ...]:
    """Say so if every number is off by one and the same factor."""
    pairs = [(float(a), float(b)) for a, b in zip(expected, got, strict=True) if a or b]
    if len(pairs) < 2 or any(not a or not b or not math.isfinite(b) for a, b in pairs):
        return ()
    factors = [b / a for a, b in pairs]
    if all(_close(factor, factors[0], 10 * relative) for factor in factors):
        return (f"every number is {factors[0]:.6g} times what it should be.",)
    return ()


def _axes(wrong: torch.Tensor) -> tuple[str, ...]:
    """Say so if only a part of an axis is wrong, such as the first and last channel."""
    names = AXES.get(wrong.dim(), ())
    for axis, name in sorted(enumerate(names), key=lambda pair: pair[1] != "channel"):
        others = [i for i in range(wrong.dim()) if i != axis]
        bad = wrong.sum(dim=others).nonzero().flatten().tolist() if others else []
        if 0 < len(bad) < wrong.shape[axis] and len(bad) <= 6:
            plural = "s" if len(bad) > 1 else ""
            return (f"only {name}{plural} {', '.join(map(str, bad))} of {wrong.shape[axis]} "
                    f"{'are' if plural else 'is'} wrong.",)  # fmt: skip
    return ()
