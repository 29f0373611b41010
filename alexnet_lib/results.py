"""The measured results as Markdown, from the records, for the README."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from . import experiments, records, slider_times

__all__ = ["BEGIN", "END", "table", "write"]

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
    lines = [
        f"**Speed**, {_hardware(record)}; each row from one run, in turn, medians; ratios are "
        "times divided by ours.",
        "",
        "| what | " + " | ".join(record["rows"][0]["times"]) + " |",
        "|---|" + "---|" * len(record["rows"][0]["times"]),
    ]
    for row in record["rows"]:
        cells = [
            f"{times['ratio']:.2f}x ({1000 * times['median']:.0f} ms)"
            for times in row["times"].values()
        ]
        lines.append(f"| {row['what']} | " + " | ".join(cells) + " |")
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
    for row in slider_times.by_chapter(record["rows"]):
        times = [
            "none answered" if row[name] is None else f"{row[name]:.0f} ms"
            for name in ("median_ms", "worst_p95_ms")
        ]
        cells = [row["chapter"][:2], row["kind"], str(row["sliders"]), *times]
        lines.append(f"| {' | '.join(cells)} | {row['meet']} of {row['sliders']} |")
    return lines


def _ablation(record: dict[str, Any]) -> list[str]:
    title = f"**With and without LRN**, a small network on {_hardware(record)}."
    return [title, "", "```text", experiments.summary(record), "```"]


SECTIONS = {
    "imagenette_paper": _real_run,
    "lrn_ablation": _ablation,
    "bench_lrn": _benchmark,
    "bench_step": _benchmark,
    "bench_sliders": _sliders,
}


def table() -> str:
    """Return the Markdown of every result whose record ships."""
    present = records.names()
    parts = [
        "\n".join(make(records.read(name))) for name, make in SECTIONS.items() if name in present
    ]
    return "\n\n".join(parts)


def write(readme: str | Path) -> bool:
    """Put the table between the README's markers; returns whether anything changed.

    Raises ValueError for a README without the markers.
    """
    path = Path(readme)
    text = path.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(
            f"{path} has no markers for the results; put these two lines in:\n{BEGIN}\n{END}"
        )
    head, rest = text.split(BEGIN, 1)
    fresh = f"{head}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END, 1)[1]}"
    if fresh == text:
        return False
    partial = path.with_suffix(".partial")
    partial.write_text(fresh, encoding="utf-8")
    os.replace(partial, path)
    return True
