"""The measured results as Markdown, from the records, for the README and docs/scaling.md."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .. import records
from ..benchmarks import cluster_plan
from ..benchmarks import sliders as slider_benchmark
from ..paper import IMAGENET_IMAGES, PUBLISHED_RATES
from . import registry

__all__ = ["BEGIN", "END", "scaling", "table", "write"]

BEGIN = "<!-- results: written by `python -m alexnet_lib results --write`, from data/records -->"
END = "<!-- end of results -->"


def _hardware(record: dict[str, Any]) -> str:
    about = record["environment"]["hardware"]
    device = about["gpu"] or f"{about['processor']}, {about['cores']} cores"
    return f"{device}, torch {record['environment']['packages']['torch']}"


def _real_run(record: dict[str, Any]) -> list[str]:
    best, hours = record["best"], record["seconds"] / 3600
    views = record.get("ten_crop")
    ten = f", ten views {views['top1']:.1%} / {views['top5']:.1%}" if views else ""
    return [
        f"**The full network on real photos.** AlexNet as in the paper ({record['parameters']:,} "
        f"parameters with its {record['classes']} classes), recipe `{record['recipe']['name']}`, "
        f"{record['train_images']:,} photos ({record['data_note']}), "
        f"{len(record['epochs'])} epochs in {hours:.1f} hours on {_hardware(record)}: "
        f"**{best['val_top1']:.1%} top-1** and {best['val_top5']:.1%} top-5 right on "
        f"{record['val_images']:,} validation photos, centre crop{ten}. "
        f"Chance is {1 / record['classes']:.0%}.",
    ]


def _benchmark(record: dict[str, Any]) -> list[str]:
    """The ratios beside those wanted, then the times they come from."""
    lines = [
        f"**Speed**, `{record['command'].rpartition(' -m ')[2]}` on {_hardware(record)}; each row "
        "from one run, in turn, medians.",
    ]
    if any(row.get("figures") for row in record["rows"]):
        lines += ["", "| what | ratio | measured | wanted |", "|---|---|---|---|"]
    for row in record["rows"]:
        for said in row.get("figures", ()):
            missed = "" if said["met"] else ", not reached"
            cells = (row["what"], said["what"], f"{said['value']:.2f}", said["wanted"] + missed)
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| what | contestant | time | against ours |", "|---|---|---|---|"]
    for row in record["rows"]:
        for name, times in row["times"].items():
            time = f"{1000 * times['median']:.0f} ms"
            if "images_per_second" in times:
                time += f", {times['images_per_second']:.0f} images/s"
            lines.append(f"| {row['what']} | {name} | {time} | {times['ratio']:.2f} |")
        if "rates" in row:
            rates = row["rates"]
            lines += ["", (
                f"This machine's limits: {rates['matmul'] / 1e9:.0f} GFLOP/s in matrix products, "
                f"{rates['copy'] / 1e9:.1f} GB/s copying. At that rate the step's products, one by "
                f"one, would take {rates['share_of_matmul']:.0%} of its time."
            )]  # fmt: skip
        if "profile" in row:
            shares = ", ".join(f"{name} {share:.0%}" for name, share in row["profile"].items())
            lines += ["", f"Where our step's time goes, by torch's profiler: {shares}."]
    return lines


def _sliders(record: dict[str, Any]) -> list[str]:
    about, load = record["environment"]["hardware"], record["load_average"]["before"]
    wanted = ", ".join(
        f"{kind} {median} and {p95} ms" for kind, (median, p95) in record["limits_ms"].items()
    )
    lines = [
        f"**Sliders**, {about['processor']}, {about['cores']} cores, headless Chromium "
        f"{record['browser']}{f', load average {load[0]} before' if load else ''}: from an arrow "
        f"key to the first frame that shows the new drawing, {record['presses']} presses of each. "
        f"Wanted as median and 95th percentile (p95): {wanted}.",
        "",
        "| chapter | kind | sliders | median of the medians | worst p95 | meet both |",
        "|---|---|---|---|---|---|",
    ]
    for row in slider_benchmark.by_chapter(record["rows"]):
        times = [
            "none answered" if row[name] is None else f"{row[name]:.0f} ms"
            for name in ("median_ms", "worst_p95_ms")
        ]
        cells = [row["chapter"][:2], row["kind"], str(row["sliders"]), *times]
        lines.append(f"| {' | '.join(cells)} | {row['meet']} of {row['sliders']} |")
    return lines


def _towers(record: dict[str, Any]) -> list[str]:
    (row,) = record["rows"]
    lines = [
        f"**Two processes**, {_hardware(record)}, {row['what']}, in turn, medians.",
        "",
        "| | images/s | against one process |",
        "|---|---|---|",
    ]
    base = row["times"]["one process, 2 threads"]["images_per_second"]
    for name, times in row["times"].items():
        speed = times["images_per_second"]
        lines.append(f"| {name} | {speed:.1f} | {speed / base:.2f} |")
    lines += [
        "",
        "| rank, batch 128 | calculated | tensors | with what autograd keeps | process grew by |",
        "|---|---|---|---|---|",
    ]
    for rank in row["memory"]:
        trained = rank["weights"] + rank["momentum"] + rank["gradients"]
        sizes = (rank["calculated"], trained + rank["outputs"], trained + rank["kept"])
        cells = [f"{size / 2**20:.0f} MiB" for size in sizes]
        cells.append("not told" if rank["peak"] is None else f"{rank['peak'] / 2**20:.0f} MiB")
        lines.append(f"| {rank['rank']} | " + " | ".join(cells) + " |")
    return lines


ABLATIONS = {
    "lrn_ablation": "With and without LRN",
    "pooling": "Pooling windows apart and overlapping",
    "relu": "ReLU against tanh",
    "relu_wide": "ReLU against tanh, on a wider track",
    "overfitting": "Remedies against overfitting",
    "weight_decay": "With and without weight decay",
}


def _ablation(record: dict[str, Any]) -> list[str]:
    title = f"**{ABLATIONS[record['experiment']]}**, a small network on {_hardware(record)}."
    return [title, "", "```text", registry.summary(record), "```"]


SECTIONS = {
    "imagenette_paper": _real_run,
    **dict.fromkeys(ABLATIONS, _ablation),
    "bench_lrn": _benchmark,
    "bench_step": _benchmark,
    "bench_input": _benchmark,
    "bench_towers": _towers,
    "bench_sliders": _sliders,
}


def table() -> str:
    """Return the Markdown of every result whose record ships."""
    present = records.names()
    parts = [
        "\n".join(make(records.read(name))) for name, make in SECTIONS.items() if name in present
    ]
    return "\n\n".join(parts)


def scaling() -> str:
    """Return the Markdown of docs/scaling.md that comes from records and calculation."""
    read = records.read("bench_shards")["rows"][0]
    jpeg = read["times"]["JPEG shards"]["images_per_second"] / read["cores"]
    parts = [
        f"Measured on {_hardware(records.read('bench_shards'))}: packing takes one core "
        f"{1 / read['packing']['JPEG shards']['images_per_second'] * 1000:.1f} ms a picture into "
        f"JPEG shards and {1 / read['packing']['raw shards']['images_per_second'] * 1000:.1f} ms "
        f"into raw ones, so ImageNet's {IMAGENET_IMAGES:,} take "
        f"{_core_hours(read['packing']['JPEG shards']):.1f} and "
        f"{_core_hours(read['packing']['raw shards']):.1f} core hours. A core then reads "
        f"{jpeg:,.0f} pictures a second from JPEG shards; from raw ones "
        f"{read['times']['raw shards']['images_per_second'] / read['cores']:,.0f}.",
    ]
    for name, (rate, source) in PUBLISHED_RATES.items():
        site = cluster_plan.Site(rate=rate, decode=round(jpeg))
        parts.append(
            f"**{name}**: {rate:,} images/s a GPU ({source}).\n\n{cluster_plan.table(site)}"
        )
    return "\n\n".join(parts)


def _core_hours(packing: dict[str, float]) -> float:
    return IMAGENET_IMAGES / packing["images_per_second"] / 3600


def write(path: str | Path, text: str | None = None) -> bool:
    """Put text between a file's markers, by default the table; returns whether anything changed.

    Raises ValueError for a file without the markers.
    """
    path = Path(path)
    before = path.read_text(encoding="utf-8")
    if BEGIN not in before or END not in before:
        raise ValueError(
            f"{path} has no markers for the results; put these two lines in:\n{BEGIN}\n{END}"
        )
    head, rest = before.split(BEGIN, 1)
    inner = table() if text is None else text
    fresh = f"{head}{BEGIN}\n\n{inner}\n\n{END}{rest.split(END, 1)[1]}"
    if fresh == before:
        return False
    partial = path.with_suffix(".partial")
    partial.write_text(fresh, encoding="utf-8")
    os.replace(partial, path)
    return True
