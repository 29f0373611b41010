"""Functions for `launch.launch` to run, importable by the processes that it starts."""

from __future__ import annotations

import os
import signal
import time

import torch
import torch.distributed as dist

__all__ = ["add_ranks", "end_one", "fail_on_one", "hang_on_one"]


def add_ranks(factor: int) -> tuple[int, int, int]:
    """Return this rank, the sum of all ranks' numbers times a factor, and torch's threads."""
    total = torch.tensor(dist.get_rank() * factor)
    dist.all_reduce(total)
    return dist.get_rank(), int(total), torch.get_num_threads()


def fail_on_one(rank: int) -> None:
    """Raise on one rank while the others wait for it."""
    if dist.get_rank() == rank:
        raise ValueError("the cat sat on the keyboard")
    dist.barrier()


def end_one(rank: int) -> None:
    """Kill one rank while the others wait for it."""
    if dist.get_rank() == rank:
        os.kill(os.getpid(), signal.SIGKILL)
    dist.barrier()


def hang_on_one(rank: int, folder: str) -> None:
    """Sleep for ever on one rank while the others wait for it; leave the process numbers."""
    with open(os.path.join(folder, str(os.getpid())), "w"):
        pass
    if dist.get_rank() == rank:
        time.sleep(1e6)
    dist.barrier()
