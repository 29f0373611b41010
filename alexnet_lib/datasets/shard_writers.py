"""Processes that write shards: each takes one after another, and tells how far it is."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from multiprocessing import connection, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from PIL import Image

from .. import _files
from ..distributed import watchdog
from . import folders, packed, shards

__all__ = ["Task", "encoded", "noted", "run", "write_shard"]

SECONDS_BETWEEN_REPORTS = 0.2


@dataclass(frozen=True)
class Task:
    """One shard to write: where, from which pictures, and how."""

    folder: str
    number: int
    first: int  # number of its first picture in the split
    paths: list[str]
    size: int  # side of the pictures, pixels
    quality: int | None  # of JPEG; None for raw pixels
    fingerprint: str  # of its pictures' names, labels and bytes, and of the settings
    verify: bool = False  # keep a shard that is there only if its checksum is right

    @property
    def path(self) -> Path:
        """The shard's file; a sidecar beside it, ending in .json, says what is in it."""
        return Path(self.folder, shards.shard_name(self.number, self.quality))


def noted(task: Task) -> dict | None:
    """The sidecar of a shard that is whole and of the same pictures; None if it isn't.

    Its keys: fingerprint, count, bytes, sha256, skipped ([number in the shard, sentence] of every
    broken picture) and ends (where each picture ends in a JPEG shard).
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        sidecar = json.loads(task.path.with_suffix(".json").read_text(encoding="utf-8"))
        whole = {"count", "sha256", "skipped", "ends"} <= sidecar.keys()
        same = sidecar["fingerprint"] == task.fingerprint
        if whole and same and task.path.stat().st_size == sidecar["bytes"]:
            return sidecar
    return None


def run(
    tasks: Iterable[Task], workers: int, tick: Callable[[], None]
) -> Iterator[int | tuple[int, list[str]]]:
    """Let `workers` processes do all tasks, each with one at a time.

    Yields how many pictures were done since the last time, and for every shard that is whole its
    number with a sentence for each picture left out. tick: called at least every second.
    No process outlives this one, however it ends.
    Errors: ChildProcessError if a process dies; what goes wrong in one is raised here.
    """
    tasks, processes = iter(tasks), []
    busy: dict[connection.Connection, tuple[BaseProcess, Task]] = {}
    try:
        for task in islice(tasks, workers):
            pipe, process = _start()
            processes.append(process)
            busy[pipe] = (process, task)
            _send(pipe, task)
        while busy:
            tick()
            for pipe in connection.wait(list(busy), timeout=1.0):
                process, task = busy[pipe]
                kind, content = _receive(pipe, process, task)
                if kind == "failed":
                    raise content
                yield content
                if kind == "whole":
                    task = next(tasks, None)
                    if task is None:
                        del busy[pipe]
                        pipe.close()
                    else:
                        busy[pipe] = (process, task)
                        _send(pipe, task)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        for pipe in busy:
            pipe.close()


def _start() -> tuple[connection.Connection, BaseProcess]:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    # Ctrl-C while it starts would print a traceback there: it inherits that the signal is blocked
    masked = hasattr(signal, "pthread_sigmask")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masked else None
    try:
        process.start()
    finally:
        if masked:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return ours, process


def _send(pipe: connection.Connection, task: Task) -> None:
    with contextlib.suppress(ConnectionError):  # it died: _receive says so
        pipe.send(task)


def _receive(pipe: connection.Connection, process: BaseProcess, task: Task) -> tuple:
    try:
        return pipe.recv()
    except (EOFError, ConnectionError):
        process.join()
        raise ChildProcessError(
            f"a packing process ended with exit code {process.exitcode} while it wrote "
            f"{task.path} (from {task.paths[0]} on). Perhaps the memory ran out. Run the same "
            "command again, if need be with fewer --workers; whole shards are kept."
        ) from None


def _work(pipe: connection.Connection) -> None:
    """Write the shard of every task that comes, until nobody is there any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that gave the tasks
    watchdog.end_with_parent()
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            task = pipe.recv()
            try:
                sidecar = noted(task) if task.verify else None
                if sidecar is not None and shards.hash_file(task.path) == sidecar["sha256"]:
                    pipe.send(("done", len(task.paths)))
                else:
                    sidecar = write_shard(task, lambda count: pipe.send(("done", count)))
                sentences = [sentence for _, sentence in sidecar["skipped"]]
                pipe.send(("whole", (task.number, sentences)))
            except Exception as error:
                pipe.send(("failed", error))


def write_shard(task: Task, report: Callable[[int], None]) -> dict:
    """Write one shard, move it to its place when it is whole, then write and return its sidecar.

    report: called now and then with the pictures done since the last time. One picture at a time
    is in memory.
    """
    partial = task.path.with_name(task.path.name + ".partial")
    skipped, ends = [], []
    reported, reported_at = 0, time.monotonic()
    with open(partial, "w+b") as file:
        header = _header(file, task, len(task.paths))
        hashed = hashlib.sha256(header)
        for index, path in enumerate(task.paths):
            try:
                picture = folders.read_image(path, task.size)
            except ValueError as error:
                skipped.append([index, str(error)])
            else:
                raw = encoded(picture, task.quality)
                file.write(raw)
                hashed.update(raw)
                ends.append(file.tell())
            if time.monotonic() - reported_at > SECONDS_BETWEEN_REPORTS:
                report(index + 1 - reported)
                reported, reported_at = index + 1, time.monotonic()
        size = file.tell()
        if skipped:
            _header(file, task, len(ends))
        file.flush()
        os.fsync(file.fileno())
    rewritten = skipped and header
    sidecar = {
        "fingerprint": task.fingerprint, "count": len(ends), "bytes": size,
        "sha256": shards.hash_file(partial) if rewritten else hashed.hexdigest(),
        "skipped": skipped, "ends": [] if task.quality is None else ends,
    }  # fmt: skip
    os.replace(partial, task.path)
    _files.write_json(task.path.with_suffix(".json"), sidecar)
    report(len(task.paths) - reported)
    return sidecar


def _header(file: io.BufferedRandom, task: Task, count: int) -> bytes:
    """Write a raw shard's .npy header for `count` pictures; a JPEG shard has none."""
    if task.quality is not None:
        return b""
    packed.write_header(file, (count, task.size, task.size, 3), np.uint8)
    file.seek(0)
    return file.read(packed.HEADER_BYTES)


def encoded(picture: np.ndarray, quality: int | None) -> bytes:
    """The bytes that a shard holds for one picture (H, W, 3) uint8."""
    if quality is None:
        return picture.tobytes()
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return file.getvalue()
