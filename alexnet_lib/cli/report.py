"""The measured results as Markdown, from the records: what README and docs/ show of them.

`PAGES` names each page with the function that writes what stands between its markers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from .. import _files, records
from ..benchmarks import cluster_plan, layer_costs
from ..benchmarks import sliders as slider_benchmark
from ..experiments import registry, reproduction
from ..paper import IMAGENET_IMAGES, PUBLISHED_THROUGHPUT

__all__ = ["BEGIN", "END", "PAGES", "findings", "results", "scaling", "write"]

BEGIN = "<!-- results: written by `python -m alexnet_lib results --write`, from data/records -->"
END = "<!-- end of results -->"


def _hardware(record: dict[str, Any]) -> str:
    about = record["environment"]["hardware"]
    device = about["gpu"] or f"{about['processor']}, {about['cores']} cores"
    return f"{device}, torch {record['environment']['packages']['torch']}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _real_run(record: dict[str, Any]) -> list[str]:
    best, hours = record["best"], record["seconds"] / 3600
    views = record.get("ten_crop")
    ten = f", ten views {views['top1']:.1%} / {views['top5']:.1%}" if views else ""
    return [
        f"AlexNet as in the paper ({record['parameters']:,} parameters with its "
        f"{record['classes']} classes), recipe `{record['recipe']['name']}`, "
        f"{record['train_images']:,} photos ({record['data_note']}), "
        f"{len(record['epochs'])} epochs in {hours:.1f} hours on {_hardware(record)}: "
        f"**{best['val_top1']:.1%} top-1** and {best['val_top5']:.1%} top-5 accuracy on "
        f"{record['val_images']:,} validation photos, centre crop{ten}. "
        f"Chance is {1 / record['classes']:.0%}.",
    ]


def _time(times: dict[str, float] | None) -> str:
    if times is None:
        return "–"
    rate = times.get("images_per_second")
    return f"{1000 * times['median']:.0f} ms" + (f", {rate:.0f} images/s" if rate else "")


def _ratio(row: dict[str, Any], name: str) -> str:
    """A ratio as measured, in bold where it isn't what was wanted; a dash where there is none."""
    for said in row.get("figures", ()):
        if said["what"] == name:
            return f"{said['value']:.2f}" if said["met"] else f"**{said['value']:.2f}**"
    return "–"


def _benchmark(record: dict[str, Any]) -> list[str]:
    """A column for each setting: the times, then their ratios beside those wanted."""
    rows = record["rows"]
    settings = [row["what"] for row in rows]
    contestants = dict.fromkeys(name for row in rows for name in row["times"])
    lines = [
        f"`{record['command'].rpartition(' -m ')[2]}` on {_hardware(record)}; medians, each "
        "column from one run, all in turn.",
        "",
        *_table(
            ["time", *settings],
            [[name, *(_time(row["times"].get(name)) for row in rows)] for name in contestants],
        ),
    ]
    wanted = {said["what"]: said["wanted"] for row in rows for said in row.get("figures", ())}
    if wanted:
        ratios = [[name, goal, *(_ratio(row, name) for row in rows)]
                  for name, goal in wanted.items()]  # fmt: skip
        lines += ["", *_table(["ratio", "wanted", *settings], ratios)]
    for row in rows:
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
    rows = []
    for row in slider_benchmark.by_chapter(record["rows"]):
        times = [
            "none answered" if row[name] is None else f"{row[name]:.0f} ms"
            for name in ("median_ms", "worst_p95_ms")
        ]
        rows.append([row["chapter"][:2], row["kind"], str(row["sliders"]), *times,
                     f"{row['meet']} of {row['sliders']}"])  # fmt: skip
    return [
        f"{about['processor']}, {about['cores']} cores, headless Chromium "
        f"{record['browser']}{f', load average {load[0]} before' if load else ''}: from an arrow "
        f"key to the first frame that shows the new drawing, {record['presses']} presses of each. "
        f"Wanted as median and 95th percentile (p95): {wanted}.",
        "",
        *_table(["chapter", "kind", "sliders", "median of the medians", "worst p95", "meet both"],
                rows),
    ]  # fmt: skip


def _towers(record: dict[str, Any]) -> list[str]:
    (row,) = record["rows"]
    base = row["times"]["one process, 2 threads"]["images_per_second"]
    speeds = {name: times["images_per_second"] for name, times in row["times"].items()}
    memory = []
    for rank in row["memory"]:
        trained = rank["weights"] + rank["momentum"] + rank["gradients"]
        sizes = (rank["calculated"], trained + rank["outputs"], trained + rank["kept"])
        cells = [f"{size / 2**20:.0f} MiB" for size in sizes]
        cells.append("not told" if rank["peak"] is None else f"{rank['peak'] / 2**20:.0f} MiB")
        memory.append([str(rank["rank"]), *cells])
    return [
        f"{_hardware(record)}, {row['what']}, in turn, medians.",
        "",
        *_table(["", "images/s", "against one process"],
                [[name, f"{speed:.1f}", f"{speed / base:.2f}"] for name, speed in speeds.items()]),
        "",
        *_table(["rank, batch 128", "calculated", "tensors", "with what autograd keeps",
                 "process grew by"], memory),
    ]  # fmt: skip


def _experiment(
    record: dict[str, Any], summary: Callable[[dict[str, Any]], str] = registry.summary
) -> list[str]:
    machines = [{"environment": each} for each in record.get("earlier_environments", ())]
    on = " and ".join(dict.fromkeys(map(_hardware, [*machines, record])))
    return ["```text", summary(record), "```", "", f"On {on}."]


def _accuracy(found: dict[str, float]) -> str:
    return f"{1 - found['error']:.1%} / {1 - found['top5_error']:.1%}"


def _long_run(record: dict[str, Any]) -> list[str]:
    run, views, stored = record["run"], record["evaluation"], record["shipped"]
    return [
        f"{record['train_images']:,} photos ({record['data_note']}), {run['epochs']} epochs in "
        f"{run['seconds']:.0f} s on {_hardware(record)}, rate and decay chosen on a split of the "
        f"training set: **{1 - views['centre']['error']:.1%} top-1** on {record['val_images']:,} "
        "validation photos.",
        "",
        *_table(["accuracy, top-1 / top-5", ""], [
            ["centre crop", _accuracy(views["centre"])],
            ["ten views", _accuracy(views["ten_views"])],
            [
                f"as it ships: {stored['stored_bytes'] / 1e6:.1f} MB, centre crop",
                f"{stored['top1']:.1%} / {stored['top5']:.1%}",
            ],
        ]),
    ]  # fmt: skip


def _variants(record: dict[str, Any]) -> list[str]:
    rows = []
    for name, run in record["runs"].items():
        views = [_accuracy(run["evaluation"][key]) for key in ("centre", "ten_views")]
        rows.append([name, str(run["epochs"]), f"{run['seconds']:.0f} s", *views])
    return [
        f"{record['data_note']}, batch {record['batch_size']}, on {_hardware(record)}; accuracy, "
        "top-1 / top-5.",
        "",
        *_table(["", "epochs", "time", "centre crop", "ten views"], rows),
    ]


def _gpu(record: dict[str, Any]) -> list[str]:
    """A table for LRN, one for the step: the graph's median, and the eager one in brackets."""
    lines = [
        f"`{record['command'].rpartition(' -m ')[2]}` on {_hardware(record)}; medians in ms as one "
        "CUDA graph, in brackets as launched from Python.",
    ]
    for rows in (record["lrn"], record["steps"]):
        names = dict.fromkeys(name for row in rows for name in row["milliseconds"])
        cells = []
        for row in rows:
            times = [row["milliseconds"].get(name, {}) for name in names]
            cells.append([row["what"], *(
                f"{each['graph'][0]:.2f} ({each['eager'][0]:.2f})" if "graph" in each else "–"
                for each in times
            )])  # fmt: skip
        lines += ["", *_table(["", *names], cells)]
    speeds = [[row["what"], f"{row['images_per_second']:,}"] for row in record["loops"]]
    return [*lines, "", *_table(["whole loop, pictures on the GPU", "images/s"], speeds)]


#: group -> record -> (title, what to see, what writes it)
SECTIONS: dict[str, dict[str, tuple[str, str, Callable[[dict[str, Any]], list[str]]]]] = {
    "The whole network on real photos": {
        "imagenette_paper": (
            "Trained from scratch on two cores",
            "The network of the paper learns ten classes of photos on an ordinary processor, "
            "in an afternoon.",
            _real_run,
        ),
        "imagenette_long": (
            "Trained long",
            "The same network and recipe on a GPU: with more passes over the photos it reaches "
            "its plateau.",
            _long_run,
        ),
        "imagenette_modern": (
            "Trained by a recipe of today",
            "The same network with a cosine schedule, label smoothing and He's first weights: "
            "minutes on a large GPU.",
            _variants,
        ),
        "shipped_network": (
            "The network that ships",
            "Its fully connected layers are stored as low-rank products, which saves space and "
            "costs no accuracy.",
            _experiment,
        ),
    },
    "With and without each idea": {
        "lrn_ablation": (
            "Local response normalization",
            "Compare *with LRN* to *rescaled only*: LRN's constant factor alone explains little "
            "of the gain.",
            _experiment,
        ),
        "lrn_cifar10": (
            "Local response normalization on CIFAR-10",
            "The gain is about the size that the paper reports for CIFAR-10, at a far higher "
            "error.",
            _experiment,
        ),
        "pooling": (
            "Overlapping pooling",
            "A window of 3 only pays off when its windows overlap (stride 2); the gap between "
            "training and test error narrows with it.",
            _experiment,
        ),
        "relu": (
            "ReLU against tanh",
            "In a network this small tanh needs *fewer* epochs, each at its own best learning "
            "rate; the paper's factor of six is not a law.",
            _experiment,
        ),
        "relu_wide": (
            "ReLU against tanh, a wider network",
            "Twice the kernels and three times the images: tanh is still ahead.",
            _experiment,
        ),
        "figure1": (
            "ReLU against tanh, with the network and the input of 2011",
            "With raw pixels and the first weights of 2011 tanh takes several times ReLU's epochs; "
            "with first weights by fan-in ReLU has no such lead. Divide the pixels by their "
            "spread, and less than a factor of two is left.",
            _experiment,
        ),
        "cifar_claims": (
            "The paper's ideas on CIFAR-10",
            "An interval that leaves out zero is beyond chance for one claim, not for all of them "
            "together.",
            _experiment,
        ),
        "overfitting": (
            "Remedies against overfitting",
            "Crops and flips help most, dropout comes next, colour noise makes no difference that "
            "can be told from chance; together they help more than any one alone.",
            _experiment,
        ),
        "weight_decay": (
            "Weight decay",
            "The paper saw the training error fall; over this few epochs decay changes nothing.",
            _experiment,
        ),
        "depth": (
            "Without a middle layer",
            "Removing conv3 or conv4 costs two points in the paper; this small network does as "
            "well or better without one.",
            _experiment,
        ),
        "two_towers": (
            "One tower or two",
            "Two towers come out ahead, but three seeds differ too much to be sure.",
            _experiment,
        ),
        "ensemble": (
            "Ten views, and five networks that vote",
            "Ten views help a single network; once five networks vote, the views add nothing.",
            _experiment,
        ),
        "features": (
            "Features made by hand against learned ones",
            "On these small images hand-made features win at every size of the training set, and "
            "learned ones gain on them as it grows.",
            _experiment,
        ),
    },
    "Speed": {
        "bench_lrn": (
            "Local response normalization",
            "Our kernel (`alexnet_lib`) against PyTorch's own module, eager and compiled.",
            _benchmark,
        ),
        "bench_step": (
            "A training step",
            "One step of the whole network against the same network in torch's own modules, and "
            "against torchvision's AlexNet, which has no LRN and fewer channels.",
            _benchmark,
        ),
        "bench_gpu": (
            "On a GPU",
            "Our LRN beats PyTorch's own module, eager and compiled, but is far from the five "
            "passes over memory that any LRN needs; torchvision's network has no LRN and fewer "
            "channels.",
            _gpu,
        ),
        "layer_costs": (
            "Where the time goes, layer by layer",
            "The MACs say where the arithmetic is, not where the time goes: fc6 dominates a "
            "single image, pooling costs far more than it computes.",
            lambda record: _experiment(record, layer_costs.sentence),
        ),
        "bench_input": (
            "Reading images",
            "Packed pixels and JPEG shards against torchvision's `ImageFolder`.",
            _benchmark,
        ),
        "bench_towers": (
            "Two processes",
            "The two towers as two processes beat one process with two threads; data parallelism "
            "on one machine doesn't.",
            _towers,
        ),
        "bench_sliders": (
            "Sliders",
            "How soon each demo answers to a key, measured in a browser.",
            _sliders,
        ),
    },
}
#: The claims in README's short table, by key
SHORT = (
    "size", "lrn", "overlapping_pooling", "dropout", "colour_gain", "relu", "depth", "conv_share",
)  # fmt: skip


def findings() -> str:
    """Return README's short table: the paper's number beside ours, for a few of its claims."""
    ledger, rows = reproduction.judge_all(), []
    for found in (ledger[key] for key in SHORT):
        claim = f"{reproduction.NAMES[found.claim.key]} ({found.claim.section.split(',')[0]})"
        rows.append([claim, found.paper, found.ours, f"**{found.verdict}**"])
    return "\n".join(_table(["claim", "the paper", "this course", "verdict"], rows))


def results() -> str:
    """Return docs/results.md: the claims, then every result whose record ships, grouped."""
    present, ledger = records.names(), reproduction.judge_all()
    legend = reproduction.LEGEND.replace("\n", " ")
    parts = ["## The paper's claims", ledger._repr_markdown_(), legend]
    for group, sections in SECTIONS.items():
        there = {name: section for name, section in sections.items() if name in present}
        parts += [f"## {group}"] * bool(there)
        for name, (title, see, make) in there.items():
            parts += [f"### {title}", see, "\n".join(make(records.read(name)))]
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
    for name, (throughput, source) in PUBLISHED_THROUGHPUT.items():
        site = cluster_plan.Site(throughput=throughput, decode=round(jpeg))
        parts.append(
            f"**{name}**: {throughput:,} images/s a GPU ({source}).\n\n{cluster_plan.table(site)}"
        )
    return "\n\n".join(parts)


def _core_hours(packing: dict[str, float]) -> float:
    return IMAGENET_IMAGES / packing["images_per_second"] / 3600


#: file, seen from the repository's root -> what writes its part between the markers
PAGES = {"README.md": findings, "docs/results.md": results, "docs/scaling.md": scaling}


def write(path: str | Path, text: str) -> bool:
    """Put text between a file's markers; returns whether anything changed.

    Raises ValueError for a file without the markers.
    """
    path = Path(path)
    before = path.read_text(encoding="utf-8")
    if BEGIN not in before or END not in before:
        raise ValueError(
            f"{path} has no markers for the results; put these two lines in:\n{BEGIN}\n{END}"
        )
    head, rest = before.split(BEGIN, 1)
    fresh = f"{head}{BEGIN}\n\n{text}\n\n{END}{rest.split(END, 1)[1]}"
    if fresh == before:
        return False
    _files.write_text(path, fresh)
    return True
