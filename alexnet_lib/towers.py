"""AlexNet on two devices: each process holds one tower, half the kernels of every layer.

Tower 0 lies on the even ranks, tower 1 on the odd ones. A convolution in two groups reads its own
tower; conv3, fc6 and fc7 read both, and fc8 lies whole on tower 0 [S layers-145.cfg]. So
conv3(x) = own(half of x here) + other(half of x there) + one bias.

What towers say to each other crosses while both go on computing. Forward, each tower sends its half
of the maps and gets the other's; backward, each sends the gradient of the half it was lent and gets
the gradient of the half it lent. Autograd runs the last-made nodes first, so a layer written as

    x, token = begin(x, exchange)
    y = own(x)                               # while the maps cross
    y = y + other(end(token, exchange))

has the same overlap backward: `other` first, then the gradient crosses while `own` is computed.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from . import shapes
from .architectures import LayerSpec, NetworkSpec
from .kernels.fused import FusedSequential
from .models import MaskDropout, blueprint, stage_module, stage_paths, starting_values

__all__ = [
    "Exchange", "Link", "TowerNet", "begin", "check_spec", "end", "merge", "parameter_tensors",
    "pieces", "split",
]

Piece = tuple[str, str, tuple[slice, ...]]  # name in the whole network, in the tower, which part


def check_spec(spec: NetworkSpec) -> None:
    """Raise ValueError unless the network can be cut into two towers by its channels."""
    advice = "Two towers need a network like the variant 'paper' or 'source2012'."
    for layer in spec.layers:
        if layer.kind == "adaptive_pool":
            raise ValueError(f"the network {spec.name!r} has an adaptive pooling. {advice}")
        if layer.kind == "lrn" and layer.groups != 2:
            raise ValueError(
                f"{layer.name} of the network {spec.name!r} normalizes over all channels, across "
                f"the boundary between the towers. {advice}"
            )
        if layer.kind in shapes.WEIGHTED and layer != spec.layers[-1] and layer.channels % 2:
            raise ValueError(
                f"{layer.name} of the network {spec.name!r} has {layer.channels} channels, which "
                f"can't be halved. {advice}"
            )
        if layer.kind == "conv" and layer.groups not in (1, 2):
            raise ValueError(
                f"{layer.name} of the network {spec.name!r} has {layer.groups} groups. {advice}"
            )
    if spec.layers[-1].kind != "fc":
        raise ValueError(f"the network {spec.name!r} doesn't end in a layer 'fc'. {advice}")


class _ReadsBoth(nn.Module):
    """A layer over both towers' outputs: a part for this tower's half, one for the other's."""

    def __init__(
        self, own: nn.Module, other: nn.Module, link: Link, name: str, sends: bool = True
    ) -> None:
        super().__init__()
        self.own, self.other, self.link, self.name, self.sends = own, other, link, name, sends

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        exchange = Exchange(self.link, self.name, sends=self.sends)
        x, token = begin(x, exchange)
        y = self.own(x)
        return y + self.other(end(token, exchange))


class _GivesAway(nn.Module):
    """Tower 1's end: it sends what the last layer reads, and keeps (N, 0) to go backward from."""

    def __init__(self, link: Link, name: str) -> None:
        super().__init__()
        self.link, self.name = link, name

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        exchange = Exchange(self.link, self.name, receives=False)
        _, token = begin(x, exchange)
        return end(token, exchange)


class TowerNet(nn.Module):
    """One tower of a network, with the same weights that the whole one would have.

    spec: the whole network. tower: 0 or 1. link: the line to the other tower. Takes the images
    (N, C, H, W) that the other tower takes too; gives logits (N, classes) on tower 0 and an empty
    (N, 0) on tower 1, which goes backward from its sum. Raises ValueError for a network that can't
    be cut.
    """

    def __init__(self, spec: NetworkSpec, tower: int, link: Link) -> None:
        super().__init__()
        check_spec(spec)
        if tower not in (0, 1):
            raise ValueError(f"tower is {tower}; there are two, 0 and 1.")
        self.spec, self.tower, self.link = spec, tower, link
        self.stages = stage_paths(spec)
        parts = {"features": OrderedDict(), "classifier": OrderedDict()}
        both, inputs = set(shapes.reads_both(spec)), spec.input_channels  # each reads the image
        for layer, row in zip(spec.layers, shapes.walk(spec), strict=True):
            part, _, key = self.stages[layer.name].rpartition(".")
            if part:
                parts[part][key] = self._module(layer, inputs, layer.name in both)
            inputs = row.output[0] // 2
        self.features = FusedSequential(parts["features"])
        self.classifier = nn.Sequential(parts["classifier"])

    def _module(self, layer: LayerSpec, inputs: int, both: bool) -> nn.Module:
        """Build this tower's part of one stage, which gets `inputs` channels or units."""
        last = layer == self.spec.layers[-1]
        if last and self.tower == 1:
            return _GivesAway(self.link, layer.name)
        if layer.kind == "dropout":
            return MaskDropout(layer.keep, layer.inverted, parts=2, part=self.tower)
        if layer.kind in shapes.WEIGHTED:
            half = replace(layer, channels=layer.channels // (1 if last else 2), groups=1)
            own = stage_module(half, (inputs,))
            if not both:
                return own
            other = stage_module(half, (inputs,))
            other.bias = None  # one bias for both parts
            return _ReadsBoth(own, other, self.link, layer.name, sends=not last)
        return stage_module(replace(layer, groups=1), (inputs,))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).flatten(1))

    def stage(self, name: str) -> nn.Module:
        """Return the module of a stage by the stage's name, such as "conv1"."""
        self.spec.layer(name)
        return self.get_submodule(self.stages[name])

    @torch.no_grad()
    def initialize(
        self, seed: int | None = None, biases: dict[str, float] | None = None, he: bool = False,
        weight_std: dict[str, float] | None = None,
    ) -> TowerNet:
        """Draw the weights that `Net.initialize` would draw, and keep this tower's part.

        One layer is drawn at a time, so that the whole network never lies here.
        """
        mine: dict[str, list[Piece]] = {}
        for piece in pieces(self.spec, self.tower):
            mine.setdefault(piece[0], []).append(piece)
        own = dict(self.named_parameters())
        for name, values in starting_values(self.spec, seed, biases, he, weight_std):
            for _, tower_name, index in mine.get(name, ()):
                own[tower_name].copy_(values[index])
        return self


def pieces(spec: NetworkSpec, tower: int) -> Iterator[Piece]:
    """Yield which part of which parameter of the whole network one tower holds.

    Each item: the name in the whole network, the name in TowerNet, and the slices that cut it.
    """
    paths, both = stage_paths(spec), set(shapes.reads_both(spec))
    before = (spec.input_channels,)
    for layer, row in zip(spec.layers, shapes.walk(spec), strict=True):
        if layer.kind not in shapes.WEIGHTED:
            before = row.output
            continue
        path, last = paths[layer.name], layer == spec.layers[-1]
        rows = slice(None) if last else _half(layer.channels, tower)
        if not (last and tower == 1):
            if layer.name not in both:
                columns = slice(None)  # all of the picture, or the group's own inputs
                yield f"{path}.weight", f"{path}.weight", (rows, columns)
                yield f"{path}.bias", f"{path}.bias", (rows,)
            else:
                own, other = _half(before[0], tower), _half(before[0], 1 - tower)
                yield f"{path}.weight", f"{path}.own.weight", (rows, own)
                yield f"{path}.weight", f"{path}.other.weight", (rows, other)
                yield f"{path}.bias", f"{path}.own.bias", (rows,)
        before = row.output


def _half(count: int, tower: int) -> slice:
    return slice(0, count // 2) if tower == 0 else slice(count // 2, count)


def split(
    whole: dict[str, torch.Tensor], spec: NetworkSpec, tower: int
) -> dict[str, torch.Tensor]:
    """Return one tower's part of the whole network's state dict (or of anything named like it).

    Raises ValueError where a parameter is missing or has another shape than the network says.
    """
    for name, empty in parameter_tensors(spec).items():
        if name not in whole or whole[name].shape != empty.shape:
            got = "nothing" if name not in whole else str(tuple(whole[name].shape))
            raise ValueError(
                f"the network {spec.name!r} needs {name} of shape {tuple(empty.shape)}; there is "
                f"{got}. Take a checkpoint of the same variant and classes."
            )
    return {inner: whole[name][index] for name, inner, index in pieces(spec, tower)}


def merge(
    towers: tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]], spec: NetworkSpec,
    only: Sequence[str] | None = None,
) -> dict[str, torch.Tensor]:
    """Put two towers' state dicts together to the whole network's; the opposite of `split`.

    only: the names, in the whole network, that are wanted; all by default.
    """
    kind = next(iter(towers[0].values())).dtype
    whole = {
        name: torch.empty_like(empty, dtype=kind, device="cpu")
        for name, empty in parameter_tensors(spec).items()
        if only is None or name in only
    }
    for tower, state in enumerate(towers):
        for name, inner, index in pieces(spec, tower):
            if name not in whole:
                continue
            whole[name][index] = state[inner].detach().to("cpu")
    return whole


def parameter_tensors(spec: NetworkSpec) -> dict[str, torch.Tensor]:
    """Return the whole network's parameters by name, shapes without memory."""
    return {name: p.detach() for name, p in blueprint(spec).named_parameters()}


# What crosses between the towers


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
