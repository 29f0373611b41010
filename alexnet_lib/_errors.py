"""Errors that say what was given, the rule, and what to do."""

from __future__ import annotations

__all__ = ["nearest", "unknown_name"]


def nearest(name: object, known: list[str] | tuple[str, ...] | dict) -> str:
    """Return the name in `known` that is spelled most like `name`."""
    import difflib

    matches = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.0)
    return matches[0] if matches else ""


def unknown_name(what: str, name: object, known: list[str] | tuple[str, ...] | dict) -> ValueError:
    """Build the error for a name that nobody knows.

    what: the kind of name, such as "variant". name: what was given. known: all that exist.
    Returns a ValueError that gives the name, the nearest one and the whole list.
    """
    return ValueError(
        f"unknown {what} {name!r}; did you mean {nearest(name, known)!r}? "
        f"Choose one of: {', '.join(known)}."
    )
