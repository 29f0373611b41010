"""What two towers say to each other: tensors that cross while both go on computing.

Forward, each tower sends its half of the maps and gets the other's; backward, each sends the
gradient of the half it was lent and gets the gradient of the half it lent. Autograd runs the
last-made nodes first, so a layer written as

    x, token = begin(x, exchange)
    y = own(x)                               # while the maps cross
    y = y + other(end(token, exchange))

has the same overlap backward: `other` first, then the gradient crosses while `own` is computed.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist

__all__ = ["Exchange", "Link", "begin", "end"]


@dataclass
class Link:
    """One tower's line to the other.

    peer: the other tower's rank. group: the process group of the two. overlap: compute while
    tensors cross; otherwise wait for each at once. sent: bytes that left this tower, by
    (layer that reads them, "forward" or "backward"). waited: seconds spent waiting, the same way.
    shapes: of what was sent last.
    """

    peer: int
    group: Any = None
    overlap: bool = True
    sent: Counter = field(default_factory=Counter)
    waited: Counter = field(default_factory=Counter)
    shapes: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)

    def start(
        self, out: torch.Tensor | None, into: torch.Tensor | None, key: tuple[str, str]
    ) -> list[dist.Work]:
        """Begin to send `out` and to fill `into`; either may be None. Returns what to wait for."""
        operations = []
        if out is not None and out.numel():
            operations.append(dist.P2POp(dist.isend, _dense(out), self.peer, self.group))
            self.sent[key] += out.numel() * out.element_size()
            self.shapes[key] = tuple(out.shape)
        if into is not None and into.numel():
            operations.append(dist.P2POp(dist.irecv, _dense(into), self.peer, self.group))
        works = dist.batch_isend_irecv(operations) if operations else []
        if not self.overlap:
            self.wait(works, key)
            works = []
        return works

    def wait(self, works: list[dist.Work], key: tuple[str, str]) -> None:
        """Wait until what `start` began is done."""
        started = time.perf_counter()
        for work in works:
            work.wait()
        self.waited[key] += time.perf_counter() - started

    def forget(self) -> None:
        """Count from zero again."""
        for kept in (self.sent, self.waited, self.shapes):
            kept.clear()


class Exchange:
    """One crossing at one layer, forward and backward.

    reader: the layer that reads what crosses. sends, receives: which way it goes, forward.
    """

    def __init__(self, link: Link, reader: str, sends: bool = True, receives: bool = True) -> None:
        self.link, self.reader, self.sends, self.receives = link, reader, sends, receives
        self.works: list[dist.Work] = []
        self.moving: tuple[torch.Tensor | None, ...] = ()  # kept until they have crossed
        self.like = (torch.Size(), torch.float32, torch.device("cpu"), torch.contiguous_format)

    def empty(self) -> torch.Tensor:
        """Return a tensor of the shape, type and layout that crosses, its values not set."""
        shape, dtype, device, layout = self.like
        return torch.empty(shape, dtype=dtype, device=device, memory_format=layout)

    def begin(self, own: torch.Tensor) -> None:
        layout = _layout(own)
        self.like = (own.shape, own.dtype, own.device, layout)
        out = own.contiguous(memory_format=layout) if self.sends else None
        self._start(out, self.empty() if self.receives else None, "forward")

    def end(self) -> torch.Tensor:
        other = self._finish("forward")
        shape, dtype, device, _ = self.like
        return torch.empty(shape[0], 0, dtype=dtype, device=device) if other is None else other

    def begin_backward(self, gradient: torch.Tensor) -> None:
        out = gradient.contiguous(memory_format=self.like[3]) if self.receives else None
        self._start(out, self.empty() if self.sends else None, "backward")

    def end_backward(self) -> torch.Tensor | None:
        return self._finish("backward")

    def _start(self, out: torch.Tensor | None, into: torch.Tensor | None, way: str) -> None:
        self.moving = (out, into)
        self.works = self.link.start(out, into, (self.reader, way))

    def _finish(self, way: str) -> torch.Tensor | None:
        self.link.wait(self.works, (self.reader, way))
        (_, into), self.works, self.moving = self.moving, [], ()
        return into


def _layout(x: torch.Tensor) -> torch.memory_format:
    last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _dense(x: torch.Tensor) -> torch.Tensor:
    """Return a view whose order is that of memory, which is what can be sent."""
    return x if x.is_contiguous() else x.permute(0, 2, 3, 1)


class _Begin(torch.autograd.Function):
    @staticmethod
    def forward(ctx, own: torch.Tensor, exchange: Exchange) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.exchange = exchange
        exchange.begin(own.detach())
        return own.view_as(own), own.new_zeros(())

    @staticmethod
    def backward(ctx, gradient: torch.Tensor, _) -> tuple[torch.Tensor, None]:
        lent = ctx.exchange.end_backward()
        return gradient if lent is None else gradient + lent, None


class _End(torch.autograd.Function):
    @staticmethod
    def forward(ctx, token: torch.Tensor, exchange: Exchange) -> torch.Tensor:
        ctx.exchange = exchange
        return exchange.end()

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        ctx.exchange.begin_backward(gradient.detach())
        return gradient.new_zeros(()), None


def begin(own: torch.Tensor, exchange: Exchange) -> tuple[torch.Tensor, torch.Tensor]:
    """Start to send and receive; returns `own` again, to compute with, and a token for `end`."""
    return _Begin.apply(own, exchange)


def end(token: torch.Tensor, exchange: Exchange) -> torch.Tensor:
    """Return the other tower's half once it is here, or (N, 0) where nothing comes this way."""
    return _End.apply(token, exchange)
