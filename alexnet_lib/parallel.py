"""One training run on many processes: who computes what, and how the parts become one.

The ranks form a grid of (data, tower): every pair of towers holds the network once, and each pair
gets its own rows of every batch. Gradients are averaged over the data ranks by torch's
DistributedDataParallel, activations cross between the two towers of a pair.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.parallel import DistributedDataParallel

from . import models, towers
from .architectures import NetworkSpec
from .distributed.process_group import EveryRankError, Ranks, everyone
from .models import MaskDropout, Net
from .towers import Link, TowerNet

__all__ = ["ALONE", "Team", "form"]

Tensors = dict[str, torch.Tensor]


@dataclass
class Team:
    """This process's place among those that train one network.

    ranks: from `process_group.join`. towers: 1 (the whole network on each rank) or 2. compress:
    send gradients as bfloat16, half the bytes. link: the line to the other tower. data_group: the
    ranks that hold the same part of the network.
    """

    ranks: Ranks = field(default_factory=Ranks)
    towers: int = 1
    compress: bool = False
    link: Link | None = None
    data_group: Any = None

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes files and talks."""
        return self.ranks.first

    @property
    def tower(self) -> int:
        """Which tower lies here, 0 or 1; 0 where the network is whole."""
        return self.ranks.rank % self.towers

    @property
    def part(self) -> tuple[int, int]:
        """Which share of each batch is computed here: (index, of how many)."""
        return self.ranks.rank // self.towers, self.ranks.count // self.towers

    def build(self, spec: NetworkSpec, seed: int | None = None) -> Net | TowerNet:
        """Build the network, or this rank's tower of it; ValueError where it can't be cut."""
        if self.link is None:
            return models.build(spec, seed)
        return TowerNet(spec, self.tower, self.link).initialize(seed)

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the module to train: one whose gradients are averaged over the data ranks."""
        if self.part[1] == 1:
            return model
        here = [self.ranks.local] if self.ranks.device.type == "cuda" else None
        wrapped = DistributedDataParallel(
            model, here, process_group=self.data_group, gradient_as_bucket_view=True
        )
        if self.compress:
            wrapped.register_comm_hook(self.data_group, default_hooks.bf16_compress_hook)
        return wrapped

    def share(self, count: int) -> tuple[int, int]:
        """Return which of `count` things are this rank's: from, and up to but not including."""
        index, parts = self.part
        return count * index // parts, count * (index + 1) // parts

    def add_up(self, *numbers: float | torch.Tensor) -> list[float]:
        """Return the sums of numbers over all ranks, float64."""
        if self.ranks.count == 1:
            return [float(number) for number in numbers]
        device = self.ranks.device
        mine = [torch.as_tensor(n, device=device).detach().double().reshape(()) for n in numbers]
        total = torch.stack(mine)
        dist.all_reduce(total)
        return total.tolist()

    def add_up_pixels(self, total: torch.Tensor) -> torch.Tensor:
        """Return int64 sums of pixels, added up over the data ranks."""
        if self.part[1] > 1:
            total = total.to(self.ranks.device)
            dist.all_reduce(total, group=self.data_group)
        return total.cpu()

    def place(self, model: nn.Module, first: int, total: int) -> None:
        """Tell the dropout layers that this batch begins at row `first` of one of `total` rows."""
        if self.part[1] > 1:
            for module in model.modules():
                if isinstance(module, MaskDropout):
                    module.rows = (first, total)

    def mine(self, model: nn.Module, whole: Tensors) -> Tensors:
        """Return what this rank's model holds of the whole network's tensors."""
        if isinstance(model, TowerNet):
            return towers.split(whole, model.spec, model.tower)
        return whole

    def whole(
        self, model: nn.Module, tensors: Tensors, only: Sequence[str] | None = None
    ) -> Tensors | None:
        """Return tensors, named as this rank's parameters, put together for the whole network.

        only: names in the whole network; all by default. Every rank calls it; rank 0 gets the
        tensors, the others None.
        """
        if not isinstance(model, TowerNet):
            return tensors if self.first else None
        if self.ranks.rank > 1:
            return None
        wanted = [p for p in towers.pieces(model.spec, 1) if only is None or p[0] in only]
        if self.tower == 1:
            for _, inner, _ in wanted:
                dist.send(tensors[inner].detach().contiguous(), self.link.peer, self.link.group)
            return None
        shapes = towers.parameter_tensors(model.spec)
        theirs, kind = {}, next(iter(tensors.values())).dtype
        for name, inner, index in wanted:
            shape = shapes[name][index].shape
            into = torch.empty(shape, dtype=kind, device=self.ranks.device)
            dist.recv(into, self.link.peer, self.link.group)
            theirs[inner] = into.cpu()
        return towers.merge((tensors, theirs), model.spec, only)

    def check_same(self, what: str, value: Any) -> None:
        """Raise EveryRankError unless `value` is the same on all ranks; `what` names it."""
        values = everyone(value)
        for rank, other in enumerate(values):
            if other != values[0]:
                raise EveryRankError(
                    f"{what} differs between the ranks: {values[0]} on rank 0, {other} on rank "
                    f"{rank}. Give all of them the same files, in a folder that they share."
                )

    @contextmanager
    def stop_signals(self) -> Iterator[list[int]]:
        """Collect the signals that ask to stop (Ctrl-C, SIGTERM), so that all can stop together.

        Alone, or outside the main thread, nothing is collected, and Ctrl-C interrupts as ever.
        """
        received: list[int] = []
        main = threading.current_thread() is threading.main_thread()
        if self.ranks.count == 1 or not main:
            yield received
            return
        wanted = (signal.SIGINT, signal.SIGTERM)
        before = {
            number: signal.signal(number, lambda number, frame: received.append(number))
            for number in wanted
        }
        try:
            yield received
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


ALONE = Team()


def form(ranks: Ranks, count: int = 1, compress: bool = False) -> Team:
    """Put the ranks into their places.

    ranks: from `process_group.join`. count: of towers, 1 or 2. compress: gradients as bfloat16.
    Raises EveryRankError for two towers on an odd number of ranks.
    """
    if count not in (1, 2):
        raise EveryRankError(f"towers is {count}; a network has one or two.")
    if ranks.count % count:
        raise EveryRankError(
            f"two towers need an even number of ranks, one for each tower; there "
            f"{'is' if ranks.count == 1 else 'are'} {ranks.count}. Start them with: torchrun "
            "--standalone --nproc-per-node 2 -m alexnet_lib train --towers 2 ..."
        )
    if ranks.count == 1:
        return Team(ranks)
    mesh = init_device_mesh(
        ranks.device.type, (ranks.count // count, count), mesh_dim_names=("data", "tower")
    )
    link = None
    if count == 2:
        link = Link(ranks.rank ^ 1, mesh["tower"].get_group())
    return Team(ranks, count, compress, link, mesh["data"].get_group())
