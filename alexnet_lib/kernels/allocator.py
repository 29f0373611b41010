"""Memory that's kept from one training step to the next.

By default the C library gives every large tensor's memory back to the system when it's freed, and
fresh memory has to be cleared and mapped page by page, which takes longer than much of what torch
does with it. On systems without glibc nothing is changed.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

__all__ = ["kept"]

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # names of mallopt's settings
KEEPING = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1}
USUAL = {MMAP_MAX: 1 << 16, TRIM_THRESHOLD: 64 << 20, MMAP_THRESHOLD: 32 << 20}  # glibc's largest
_lock, _open = threading.Lock(), 0


@cache
def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    known = all(hasattr(library, name) for name in ("mallopt", "malloc_trim"))
    return library if known else None


def _set(settings: dict[int, int]) -> None:
    for name, value in settings.items():
        _glibc().mallopt(name, value)


@contextmanager
def kept() -> Iterator[None]:
    """Keep the memory of freed tensors for the next ones while this is open; then give it back.

    It may be open several times at once, in one thread or in many.
    """
    global _open
    if _glibc() is None:
        yield
        return
    with _lock:
        _open += 1
        _set(KEEPING)
    try:
        yield
    finally:
        with _lock:
            _open -= 1
            if not _open:
                _set(USUAL)
                _glibc().malloc_trim(0)
