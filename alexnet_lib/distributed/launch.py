"""Starting ranks from a notebook: run a function in several processes, and end them all.

    results = launching.launch(function, ranks=2, arguments=(3, "x"))

calls function(3, "x") in two new processes that can talk to each other (torch.distributed, gloo),
and returns what each returned. Whatever happens, no process is left behind.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as processes

from .. import _files
from . import watchdog
from .process_group import LOST

__all__ = ["RankError", "launch"]

COLLECTIVE_SECONDS = 20.0  # a rank that waits longer for another gives up
GRACE_SECONDS = 2.0  # for the traceback of the rank that failed first to be written


class RankError(RuntimeError):
    """A rank failed. rank: which. traceback: its own, as text ("" if it was killed)."""

    def __init__(self, rank: int, words: str, traceback: str = "") -> None:
        super().__init__(f"rank {rank} {words}" + (f"\n\n{traceback}" if traceback else ""))
        self.rank, self.traceback = rank, traceback


def launch(
    function: Callable[..., Any], ranks: int = 2, arguments: tuple = (), *, threads: int = 1,
    seconds: float = 120.0,
) -> list[Any]:
    """Call `function(*arguments)` in `ranks` new processes; return their results by rank.

    function: importable from a module, since a new process can't see what a notebook defines. In
    it torch.distributed is ready to use. threads: of torch, in each process. seconds: the time
    that all of it may take. Results travel as pickles; tensors should be on the CPU.
    Raises RankError with the traceback of the rank that failed first, or whose process was
    killed; TimeoutError with what each rank was doing; ValueError for a function that a new
    process can't import or for ranks below 1.
    """
    if ranks < 1:
        raise ValueError(f"ranks is {ranks}; start at least 1.")
    if function.__module__ == "__main__" or "<" in function.__qualname__:
        raise ValueError(
            f"{function.__qualname__} is defined in a notebook or inside another function, where a "
            "new process can't find it; put it into a .py file and import it from there."
        )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        context = processes.start_processes(
            _run_rank, (function, ranks, arguments, threads, name), ranks, join=False,
            daemon=True, start_method="spawn",
        )
        try:
            _wait(context.processes, folder, seconds)
        finally:
            _end(context.processes)
        return [pickle.loads(_file(folder, rank, "result").read_bytes()) for rank in range(ranks)]


def _file(folder: str | Path, rank: int, kind: str) -> Path:
    return Path(folder) / f"rank{rank}.{kind}"


def _run_rank(
    rank: int, function: Callable[..., Any], ranks: int, arguments: tuple, threads: int, folder: str
) -> None:
    """What each process does: meet the others, call the function, leave its result or error."""
    if hasattr(signal, "SIGUSR1"):
        faulthandler.register(signal.SIGUSR1, open(_file(folder, rank, "doing"), "w"))
    watchdog.end_with_parent()
    torch.set_num_threads(threads)
    try:
        dist.init_process_group(
            "gloo", init_method=(Path(folder) / "meeting").as_uri(), rank=rank, world_size=ranks,
            timeout=timedelta(seconds=COLLECTIVE_SECONDS),
        )
        result = pickle.dumps(function(*arguments))
        dist.barrier()  # so that none leaves while another still talks to it
    except BaseException as error:
        lost = isinstance(error, RuntimeError) and bool(LOST.search(str(error)))
        _leave(folder, rank, "error", pickle.dumps((lost, traceback.format_exc())))
        os._exit(1)  # without waiting for threads that wait for other ranks
    _leave(folder, rank, "result", result)
    dist.destroy_process_group()


def _leave(folder: str, rank: int, kind: str, content: bytes) -> None:
    with _files.replacing(_file(folder, rank, kind)) as partial:
        partial.write_bytes(content)


def _wait(started: list, folder: Path, seconds: float) -> None:
    """Wait until all ranks are done; raise at the first that failed, or at the time's end."""
    deadline = time.monotonic() + seconds
    while any(process.is_alive() for process in started):
        if any(process.exitcode for process in started):
            break
        if time.monotonic() > deadline:
            raise TimeoutError(_doing(started, folder, seconds))
        time.sleep(0.05)
    failed = [rank for rank, process in enumerate(started) if process.exitcode]
    if failed:
        raise _first_error(started, folder, failed)


def _first_error(started: list, folder: Path, failed: list[int]) -> RankError:
    """Return the error of the rank at fault: others lose their connection when it ends."""
    deadline = time.monotonic() + GRACE_SECONDS
    while True:
        errors = {}
        for rank in range(len(started)):
            with contextlib.suppress(FileNotFoundError):
                errors[rank] = pickle.loads(_file(folder, rank, "error").read_bytes())
        killed = [r for r, p in enumerate(started) if p.exitcode and r not in errors]
        own = [rank for rank, (lost, _) in errors.items() if not lost]
        if own:
            return RankError(own[0], "failed:", errors[own[0]][1])
        if killed:
            return RankError(killed[0], f"ended by itself: {_how(started[killed[0]].exitcode)}")
        if time.monotonic() > deadline:
            rank = failed[0]
            return RankError(rank, "lost the connection to another one:", errors[rank][1])
        time.sleep(0.05)


def _how(exitcode: int) -> str:
    if exitcode < 0:
        return f"killed by {signal.Signals(-exitcode).name} (out of memory, or from outside)"
    return f"exit status {exitcode}"


def _doing(started: list, folder: Path, seconds: float) -> str:
    """Return what each rank was doing when the time was over."""
    lines = [f"the ranks didn't finish within {seconds:g} s; all are ended."]
    for rank, process in enumerate(started):
        if process.is_alive() and hasattr(signal, "SIGUSR1"):
            os.kill(process.pid, signal.SIGUSR1)
            time.sleep(0.2)
        with contextlib.suppress(OSError):
            lines.append(f"rank {rank} was at:\n{_file(folder, rank, 'doing').read_text()}")
    return "\n".join(lines)


def _end(started: list) -> None:
    """End whatever still runs: ask first, then kill."""
    for process in started:
        if process.is_alive():
            process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for process in started:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
