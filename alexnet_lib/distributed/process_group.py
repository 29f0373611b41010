"""The processes that compute together: how each finds the others, and how they fail together.

`torchrun` starts the processes and numbers them: rank 0, 1, 2 ... A program that wasn't started
by it is alone, and everything here works for it as well.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from .._files import ROOT
from . import watchdog

__all__ = [
    "EveryRankError", "Ranks", "check_versions", "connection_errors", "everyone", "is_first",
    "join", "restarts", "together", "versions",
]

CONNECT_WAIT = timedelta(seconds=3)  # for the answer of a store that is open
SECONDS_TO_WAIT = 1800.0  # for a rank that doesn't come to a collective
LOST = re.compile(
    r"connection (closed|reset|refused)|timed out|timeout|broken pipe|nccl|gloo|socket|store",
    re.IGNORECASE,
)  # fmt: skip


class EveryRankError(ValueError):
    """An error that every rank raises at the same point, so that telling it once is enough."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that compute together.

    rank: its number, from 0. count: how many there are. local: its number on this machine, which
    is also the number of its GPU. device: where it computes.
    """

    rank: int = 0
    count: int = 1
    local: int = 0
    device: torch.device = torch.device("cpu")

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes files and talks."""
        return self.rank == 0


def is_first() -> bool:
    """Return whether this process is rank 0, or alone."""
    return os.environ.get("RANK", "0") == "0"


def restarts() -> int:
    """Return how often `torchrun` has started this group of processes anew."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def versions() -> dict[str, str]:
    """Return what must be the same on all ranks: torch, and this library's Python and C."""
    hashed, package = hashlib.sha256(), ROOT / "alexnet_lib"
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.c")]):
        hashed.update(path.read_bytes())
    return {"torch": torch.__version__, "alexnet_lib": hashed.hexdigest()[:8]}


@contextmanager
def join(device: torch.device, seconds: float = SECONDS_TO_WAIT) -> Iterator[Ranks]:
    """Meet the other ranks that `torchrun` started, and leave them at the end of the block.

    device: cpu (they talk by gloo) or cuda (by NCCL, one GPU a rank). seconds: how long to wait
    for a rank that doesn't answer. Alone, it gives Ranks() at once.
    Raises ValueError where the machine has fewer GPUs than ranks, EveryRankError where the ranks
    run different versions.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield Ranks(device=device)
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "cuda":
        here, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
        if here > gpus:
            raise EveryRankError(
                f"torchrun started {here} processes on this machine, which has {gpus} GPU(s); each "
                f"needs its own. Use --nproc-per-node {gpus}, or --device cpu."
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    elif device.type != "cpu":
        raise EveryRankError(
            f"several processes can't share the device {device.type!r}; use --device cpu or cuda."
        )
    watchdog.end_with_parent()
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    wait = timedelta(seconds=seconds)
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group(
        backend, timeout=wait, store=_meeting_place(rank, wait), rank=rank, world_size=count
    )
    try:
        ranks = Ranks(rank, count, local, device)
        check_versions()
        yield ranks
    finally:
        dist.destroy_process_group()


def _meeting_place(rank: int, wait: timedelta) -> dist.Store:
    """Return a store of this round's own, over which the ranks find each other.

    The store that torchrun offers outlives its workers. After a restart it still holds the
    addresses of ranks that were killed, and some of the new ones would try those
    (pytorch#135712). So rank 0 opens a new one and leaves its port there; a port that nobody
    answers any more is the one of the round before, and is read again.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return next(dist.rendezvous("env://", timeout=wait))[0]
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    offered = dist.TCPStore(host, port, is_master=False, timeout=wait)
    if rank == 0:
        own = dist.TCPStore(host, 0, is_master=True, timeout=wait, wait_for_workers=False)
        token = uuid.uuid4().hex
        own.set("token", token)
        offered.set("alexnet/meeting", f"{own.port} {token}")
        return own
    deadline = time.monotonic() + wait.total_seconds()
    while True:
        place, token = offered.get("alexnet/meeting").decode().split()
        try:
            socket.create_connection((host, int(place)), CONNECT_WAIT.total_seconds()).close()
            found = dist.TCPStore(host, int(place), is_master=False, timeout=CONNECT_WAIT)
            if found.get("token").decode() == token:
                found.set_timeout(wait)
                return found
        except (OSError, RuntimeError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def check_versions() -> None:
    """Raise EveryRankError unless all ranks run what `versions` says."""
    first, *others = everyone(versions())
    for rank, theirs in enumerate(others, start=1):
        for name, version in theirs.items():
            if version != first[name]:
                raise EveryRankError(
                    f"rank {rank} runs {name} {version}, rank 0 runs {first[name]}; install the "
                    "same packages on all machines (make environment)."
                )


def everyone(thing: Any) -> list[Any]:
    """Return every rank's `thing` (anything that can be pickled), in the order of the ranks."""
    if not dist.is_initialized():
        return [thing]
    things: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(things, thing)
    return things


@contextmanager
def together() -> Iterator[None]:
    """Run a block on all ranks; where it fails on one, it fails on all, with that one's words.

    For what may go wrong on one machine only, such as reading files. The block itself must not
    talk to other ranks. Alone, errors pass unchanged.
    """
    if not dist.is_initialized():
        yield
        return
    error: Exception | None = None
    try:
        yield
    except (ValueError, OSError) as caught:
        error = caught
    words = everyone(None if error is None else str(error))
    failed = [rank for rank, word in enumerate(words) if word is not None]
    if not failed:
        return
    everywhere = len(failed) == len(words) and len(set(words)) == 1
    place = "" if everywhere else f"rank {failed[0]}: "
    raise EveryRankError(place + words[failed[0]]) from error


@contextmanager
def connection_errors(where: Callable[[], str]) -> Iterator[None]:
    """Say in words that another rank is gone, where torch gives addresses and line numbers.

    where: says what the run was doing, such as "epoch 1, step 5". Raises ConnectionError.
    """
    try:
        yield
    except RuntimeError as error:
        if dist.is_initialized() and LOST.search(str(error)):
            raise ConnectionError(
                f"lost the connection to another rank in {where()}: it ended or doesn't answer. "
                "Its own message tells why. Start again with --resume to go on from the last "
                "checkpoint."
            ) from error
        raise
