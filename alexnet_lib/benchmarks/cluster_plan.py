"""What a run on many GPUs would take: time, traffic, storage, cost, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass

from .. import architectures, shapes
from ..paper import EPOCHS_2012, IMAGENET_IMAGES

__all__ = ["BYTES_AN_IMAGE", "Plan", "Site", "plan", "table"]

#: Bytes of a packed picture at 256 px: raw is exact, JPEG about what quality 90 gives.
BYTES_AN_IMAGE = {"raw": 3 * 256 * 256, "jpeg": 17_000}


@dataclass(frozen=True)
class Site:
    """A place to compute, each figure an assumption until it's measured there.

    throughput: images/s of one GPU that nothing keeps waiting (`bench step --device cuda`).
    node_gpus: GPUs in one machine. bus: GB/s between the GPUs of a machine. network: GB/s between
    machines, each. cores: of a machine. decode: JPEG pictures a core reads in a second. price: of
    a GPU for an hour, in any currency.
    """

    throughput: float
    node_gpus: int = 8
    bus: float = 10.0
    network: float = 12.5
    cores: int = 64
    decode: float = 2_000
    price: float = 2.0


@dataclass(frozen=True)
class Plan:
    """One run: see `plan`. Seconds are of one step; throughput is images/s of the whole run."""

    gpus: int
    batch_size: int
    step_compute: float
    step_network: float
    step_input: float
    throughput: float
    hours: float
    gpu_hours: float
    cost: float
    sent_a_step: float
    read_a_second: float
    waits_for: str


def plan(
    site: Site, gpus: int, images: int = IMAGENET_IMAGES, epochs: int = EPOCHS_2012,
    per_gpu: int = 128, kind: str = "jpeg", bytes_a_weight: int = 4,
) -> Plan:
    """Calculate a data-parallel run of the paper's network.

    gpus: in full machines of site.node_gpus, or fewer in one. per_gpu: images of a step on each.
    kind: "jpeg" or "raw" shards. bytes_a_weight: of a gradient on its way, 4 or, compressed, 2.

    A ring sends 2 (n - 1) / n of all gradients out of each GPU, and out of each machine. Compute,
    network and input overlap, so a step takes what the slowest of them takes: a lower bound.
    Raises ValueError for less than one GPU, image or epoch, and for an unknown kind.
    """
    given = {"gpus": gpus, "images": images, "epochs": epochs, "throughput": site.throughput}
    for name, value in given.items():
        if value <= 0:
            raise ValueError(f"{name} is {value}; it must be above 0.")
    if kind not in BYTES_AN_IMAGE:
        raise ValueError(f"kind is {kind!r}; choose {' or '.join(BYTES_AN_IMAGE)}.")
    gradients = bytes_a_weight * shapes.totals(architectures.network("paper")).parameters
    sent = 2 * (gpus - 1) / gpus * gradients
    wire = site.network if gpus > site.node_gpus else site.bus
    here = min(gpus, site.node_gpus)
    seconds = {
        "compute": per_gpu / site.throughput,
        "network": sent / (wire * 1e9),
        "input": here * per_gpu / (site.cores * site.decode) if kind == "jpeg" else 0.0,
    }
    step = max(seconds.values())
    throughput = gpus * per_gpu / step
    hours = images * epochs / throughput / 3600
    return Plan(
        gpus=gpus, batch_size=gpus * per_gpu, step_compute=seconds["compute"],
        step_network=seconds["network"], step_input=seconds["input"], throughput=throughput,
        hours=hours, gpu_hours=hours * gpus, cost=hours * gpus * site.price, sent_a_step=sent,
        read_a_second=throughput * BYTES_AN_IMAGE[kind], waits_for=max(seconds, key=seconds.get),
    )


def table(site: Site, gpus: tuple[int, ...] = (1, 8, 64), **options) -> str:
    """Return plans as a Markdown table, one row each; options as in `plan`."""
    lines = [
        "| GPUs | batch | compute, network, input (ms a step) | images/s | 90 epochs, hours "
        "| GPU-hours | cost | sent a step by each GPU | read a second | waits for |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for count in gpus:
        p = plan(site, count, **options)
        times = ", ".join(f"{1000 * t:.1f}" for t in (p.step_compute, p.step_network, p.step_input))
        lines.append(
            f"| {p.gpus} | {p.batch_size:,} | {times} | {p.throughput:,.0f} | {p.hours:,.2f} "
            f"| {p.gpu_hours:,.0f} | {p.cost:,.0f} | {p.sent_a_step / 1e6:,.0f} MB "
            f"| {p.read_a_second / 1e6:,.0f} MB | {p.waits_for} |"
        )
    return "\n".join(lines)
