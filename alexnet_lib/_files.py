"""Files that are written whole or not at all, by one process at a time, with errors in words."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["ROOT", "errors_in_words", "lock", "replacing", "write_json", "write_text"]

ROOT = Path(__file__).resolve().parents[1]  # holds chapters/, data/ and alexnet_lib/

STALE_SECONDS = 30.0
WAIT_SECONDS = 0.1


@contextlib.contextmanager
def errors_in_words(folder: str | Path, advice: str) -> Iterator[None]:
    """Turn "no space" and "no permission" into sentences that end with `advice`.

    folder: what was being written. Other errors pass unchanged; the type and errno are kept.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            words = f"no space left while writing {folder}"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            words = f"no permission to read or write {error.filename or folder}"
        else:
            raise
        raise type(error)(error.errno, f"{words}. {advice}") from error


@contextlib.contextmanager
def lock(path: str | Path) -> Iterator[Callable[[], None]]:
    """Wait until no other process holds the lock file `path`, then hold it.

    Gives a function to call now and then while working: a lock that nobody has touched for 30 s
    was left behind by a process that was killed, and is taken over.
    """
    path = Path(path)
    told = False
    while True:
        try:
            path.open("x").close()
            break
        except FileExistsError:
            if not told:
                print(f"waiting for another process that holds {path}", file=sys.stderr)
            told = True
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    path.unlink()
            time.sleep(WAIT_SECONDS)
    try:
        yield path.touch
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; what was written takes its place in one step.

    A reader sees the old file or the new one, never half of one. After an error the old one stays
    and what was begun is removed. The folder is made if missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in one step."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: object) -> None:
    """Write a JSON file in one step."""
    write_text(path, json.dumps(content, indent=1) + "\n")
