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

__all__ = ["ROOT", "errors_in_words", "lock", "write_json"]

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


def write_json(path: str | Path, content: object) -> None:
    """Write a JSON file in one step: a reader sees the old one or the new one."""
    path = Path(path)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)
