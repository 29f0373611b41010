"""The claims ledger: claims of the paper that can be checked, and what this course's records say.

`judge_all()` reads the records and gives one Finding a claim; the rule is in
`significance`, the claims in `paper_claims.CLAIMS`. A claim whose record is missing is "not
tested", with the command that makes it.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import architectures, pretrained, records, shapes
from ..analysis import units
from ..paper import EPOCHS_2012, IMAGENET_IMAGES
from . import figure1, significance
from .paper_claims import CLAIMS, Claim, by_key

__all__ = ["Finding", "Ledger", "judge_all", "judge_one"]

Record = Mapping[str, Any]
Read = Callable[[str], Record]


@dataclass(frozen=True)
class Finding:
    """One line of the ledger. claim: of the paper. paper: its numbers in short. ours: our number
    with its spread, empty for none. scale: on what. verdict: a key of `significance.VERDICTS`.
    command: what makes the record, where that is missing."""

    claim: Claim
    paper: str
    ours: str
    scale: str
    verdict: str
    command: str = ""


@dataclass(frozen=True)
class _Seen:
    """What a record says of one claim: our number in words, on what, and the verdict."""

    ours: str
    scale: str
    verdict: str


def _seeds(count: int) -> str:
    return f"{count} seed" + "s" * (count != 1)


def _setting(record: Record) -> str:
    count, data = record["train_images"], record["data_note"].partition(";")[0]
    data = data.partition(",")[0].removesuffix(" subset")
    return f"small network, {count:,} images of {data}, {_seeds(len(record['seeds']))}"


def _off(each: Sequence[float]) -> str:
    return f" ± {significance.margin(each):.1f}" if len(each) > 1 else ""


def _signed(points: Sequence[float]) -> str:
    return f"{round(statistics.fmean(points), 1) + 0.0:+.1f}"  # + 0.0: no -0.0


def _points(record: Record, each: Iterable[float], paper: float | None, what: str) -> _Seen:
    """Judge points of error gained, from shares of 1; nothing small is the paper's own setting."""
    gains = [100 * float(gain) for gain in each]
    ours = f"{_signed(gains)}{_off(gains)} points{what}"
    return _Seen(ours, _setting(record), significance.of_effect(gains, paper, same_setting=False))


def _errors(record: Record, arm: str, measure: str) -> np.ndarray:
    """Return one number a seed of one arm: "test" or "train" error, or the "gap" between."""
    runs = record["arms"][arm]["runs"]
    if measure == "gap":
        return _errors(record, arm, "test") - _errors(record, arm, "train")
    if measure == "train":
        if "train_error_after" in runs[0]:
            return np.array([run["train_error_after"] for run in runs])
        return np.array([run["train_error"][-1] for run in runs])
    return np.array([run["test_error"][-1] for run in runs])


def _gain(record: Record, without: str, arm: str, measure: str = "test") -> np.ndarray:
    """Return how much lower an arm's error is than another's, seed by seed: (S,)."""
    return _errors(record, without, measure) - _errors(record, arm, measure)


def _printed(key: str, name: str) -> float:
    return by_key(key).values[name]


# What the paper's tables say of ten views and of five networks, in points of top-1
TEN_VIEWS = round(_printed("ten_views", "top1_error_percent")
                  - _printed("ilsvrc2010", "top1_error_percent"), 1)  # fmt: skip
FIVE_VOTE = round(_printed("ilsvrc2012", "top1_error_percent")
                  - _printed("ensemble", "five_top1_error_percent"), 1)  # fmt: skip


# One function a claim: from the claim and a reader of records to what was seen


def _size(claim: Claim, read: Read) -> _Seen:
    totals = shapes.totals(architectures.network("paper"))
    pairs = [(totals.parameters, claim.values["parameters"]),
             (totals.neurons, claim.values["neurons"])]
    worst = max(pairs, key=lambda pair: abs(pair[0] / pair[1] - 1))
    ours = f"{totals.parameters:,} parameters, {totals.neurons:,} neurons"
    return _Seen(ours, "counted, the whole network", significance.of_count(*worst))


def _conv_share(claim: Claim, read: Read) -> _Seen:
    rows = shapes.walk(architectures.network("paper"))
    total = sum(row.parameters for row in rows)
    shares = {row.name: 100 * row.parameters / total for row in rows if row.kind == "conv"}
    name = max(shares, key=lambda conv: shares[conv])
    verdict = significance.of_bound(shares[name], claim.values["most_percent"])
    return _Seen(f"{name} holds {shares[name]:.2f}%", "counted, the whole network", verdict)


def _crops(claim: Claim, read: Read) -> _Seen:
    a_side = 256 - 224 + 1
    ours = a_side * a_side * 2
    scale = "counted in the code of 2012; 2,048 = 32 x 32 x 2"
    return _Seen(f"{ours:,} = {a_side} x {a_side} x 2", scale,
                 significance.of_count(ours, claim.values["times"]))  # fmt: skip


def _ilsvrc2012(claim: Claim, read: Read) -> _Seen:
    best = read("imagenet_paper")["best"]
    ours = {"top1_error_percent": 100 - 100 * best["val_top1"],
            "top5_error_percent": 100 - 100 * best["val_top5"]}  # fmt: skip
    worst = max(ours, key=lambda name: abs(ours[name] / claim.values[name] - 1))
    said = " / ".join(f"{value:.1f}%" for value in ours.values())
    return _Seen(
        said, "ImageNet, centre crop", significance.of_count(ours[worst], claim.values[worst])
    )


def _other_set(claim: Claim, read: Read) -> _Seen:
    real = read("imagenette_paper")
    scale = f"{real['data_note'].partition(',')[0]}, {real['classes']} classes: another question"
    return _Seen("", scale, significance.NOT_TESTED)  # its errors beside the paper's would mislead


def _nowhere(claim: Claim, read: Read) -> _Seen:
    return _Seen("", "SIFT and Fisher vectors aren't built here", significance.NOT_TESTED)


def _training_time(claim: Claim, read: Read) -> _Seen:
    real = read("imagenette_paper")
    pace = len(real["epochs"]) * real["train_images"] / real["seconds"]
    days = IMAGENET_IMAGES * EPOCHS_2012 / pace / 86_400
    hardware = real["environment"]["hardware"]
    where = hardware["gpu"] or f"{hardware['cores']} CPU cores"
    return _Seen(f"{days:.0f} days", f"at our run's pace, {where}: another machine",
                 significance.NOT_TESTED)  # fmt: skip


def _ten_views(claim: Claim, read: Read) -> _Seen:
    record = read("ensemble")
    return _points(record, -np.array(record["ten_views"]["each"]), TEN_VIEWS, "")


def _ensemble(claim: Claim, read: Read) -> _Seen:
    record = read("ensemble")
    gains = -np.array(record["averaging"]["each"])
    one_vote = _points(record, [gains.mean()], FIVE_VOTE, f", one ensemble of {len(gains)}")
    return replace(one_vote, scale=_setting(record) + ", but voting once")


def _relu(claim: Claim, read: Read) -> _Seen:
    record = read("figure1")
    each = figure1.paired_ratios(record)
    scale = f"cuda-convnet's network, CIFAR-10, {record['train_images']:,} images, raw pixels"
    if len(each) < 2:
        return _Seen("", scale, significance.NOT_TESTED)
    times = f"{statistics.fmean(each):.2f} ± {significance.margin(each):.2f} times"
    divided = figure1.ratios(record).get("divided, fan-in, ReLU")
    if divided is not None:
        times += f"; {divided[0]:.2f} once the pixels are divided by their spread"
    verdict = significance.of_effect(  # the data are re-encoded, the network is the likely one
        [ratio - 1 for ratio in each], claim.values["times_faster"] - 1, same_setting=False
    )
    return _Seen(times, f"{scale}, {_seeds(len(each))}", verdict)


def _arms(name: str, without: str, arm: str) -> Callable[[Claim, Read], _Seen]:
    """Return how a claim of so many points is measured: an arm of a record against another."""

    def measure(claim: Claim, read: Read) -> _Seen:
        record = read(name)
        return _points(record, _gain(record, without, arm), claim.values["top1_points"], "")

    return measure


_two_gpus = _arms("two_towers", "one tower", "two towers")
_lrn = _arms("lrn_ablation", "without LRN", "with LRN")
_pooling = _arms("pooling", "z=2, s=2", "z=3, s=2")
_colour_gain = _arms("overfitting", "plain", "colour noise")


def _lrn_cifar10(claim: Claim, read: Read) -> _Seen:
    record = read("lrn_cifar10")
    paper = claim.values["without_error_percent"] - claim.values["with_error_percent"]
    return _points(record, _gain(record, "without LRN", "with LRN"), paper, "")


def _dropout(claim: Claim, read: Read) -> _Seen:
    record = read("overfitting")
    gaps = _gain(record, "plain", "dropout", "gap")
    seen = _points(record, gaps, None, " less between test and training error")
    ratios = record["iterations"]["dropout_over_plain"].values()
    slower = statistics.fmean(ratio["ratio_mean"] for ratio in ratios)
    return replace(seen, ours=f"{slower:.1f} times the steps, {seen.ours}")


def _weight_decay(claim: Claim, read: Read) -> _Seen:
    record = read("weight_decay")
    without = next(arm for arm in record["arms"] if arm.startswith(("without", "no ")))
    arm = next(arm for arm in record["arms"] if arm != without)
    return _points(record, _gain(record, without, arm, "train"), None, " of training error")


def _depth(claim: Claim, read: Read) -> _Seen:
    record = read("depth")
    whole, *fewer = record["arms"]
    each = [_points(record, _gain(record, arm, whole), claim.values["top1_points"],
                    f" {arm}") for arm in fewer]  # fmt: skip
    ours = ", ".join(seen.ours for seen in each)
    verdict = significance.of_all([seen.verdict for seen in each])
    return _Seen(ours, f"{_setting(record)}; each at its own rate", verdict)


def _specialization(claim: Claim, read: Read) -> _Seen:
    colour = units.colourfulness(pretrained.learned_filters()["conv1.weight"])
    half = len(colour) // 2
    gap = colour[half:].mean() - colour[:half].mean()
    by_chance = float((np.abs(units.shuffled_gaps(colour)) >= abs(gap)).mean())
    ours = f"colour {colour[:half].mean():.0%} / {colour[half:].mean():.0%}"
    scale = f"one run on Imagenette; chance makes such a gap in {by_chance:.0%} of dealings"
    return _Seen(ours, scale, significance.of_chance(by_chance))


@dataclass(frozen=True)
class _Source:
    """How a claim is judged. paper: its numbers in short, with the claim's values filled in.
    see: what does it. record: the one it needs, None for none."""

    paper: str
    see: Callable[[Claim, Read], _Seen]
    record: str | None = None


TWO = "{top1_points:.1f} / {top5_points:.1f} points"
TWO_ERRORS = "{top1_error_percent:.1f}% / {top5_error_percent:.1f}%"
SOURCES: dict[str, _Source] = {
    "size": _Source("{parameters:,.0f} parameters, {neurons:,.0f} neurons", _size),
    "ilsvrc2010": _Source(TWO_ERRORS, _other_set, "imagenette_paper"),
    "earlier_best": _Source(TWO_ERRORS, _nowhere),
    "ten_views": _Source(f"{TEN_VIEWS:.1f} points", _ten_views, "ensemble"),
    "ilsvrc2012": _Source(TWO_ERRORS, _ilsvrc2012, "imagenet_paper"),
    "ensemble": _Source(f"{FIVE_VOTE:.1f} points", _ensemble, "ensemble"),
    "relu": _Source("{times_faster:.0f} times", _relu, "figure1"),
    "two_gpus": _Source(TWO, _two_gpus, "two_towers"),
    "lrn": _Source(TWO, _lrn, "lrn_ablation"),
    "lrn_cifar10": _Source("from {without_error_percent:.0f}% to {with_error_percent:.0f}%",
                           _lrn_cifar10, "lrn_cifar10"),
    "overlapping_pooling": _Source(TWO, _pooling, "pooling"),
    "crops": _Source("{times:,.0f} times", _crops),
    "colour_gain": _Source("over {top1_points:.0f} point", _colour_gain, "overfitting"),
    "dropout": _Source("{times_iterations:.0f} times the steps, less overfitting", _dropout,
                       "overfitting"),
    "weight_decay": _Source("lower training error", _weight_decay, "weight_decay"),
    "training_time": _Source("{days_least:.0f} to {days_most:.0f} days", _training_time,
                             "imagenette_paper"),
    "conv_share": _Source("at most {most_percent:.0f}% each", _conv_share),
    "depth": _Source("about {top1_points:.0f} points", _depth, "depth"),
    "specialization": _Source("one tower grey, one in colour", _specialization),
}  # fmt: skip


def judge_one(claim: Claim, read: Read = records.read) -> Finding:
    """Judge one claim. read: gives a record by its name, FileNotFoundError where it is missing."""
    source = SOURCES[claim.key]
    paper = source.paper.format(**claim.values)
    try:
        seen = source.see(claim, read)
    except FileNotFoundError:
        missing = "the shipped filters" if source.record is None else f"record {source.record}"
        command = "" if source.record is None else records.command(source.record)
        return Finding(claim, paper, "", f"no {missing} yet", significance.NOT_TESTED, command)
    return Finding(claim, paper, seen.ours, seen.scale, seen.verdict)


def judge_all(read: Read = records.read) -> Ledger:
    """Judge every claim of `paper_claims.CLAIMS`, in the order of the verdicts."""
    order = list(significance.VERDICTS)
    found = [judge_one(claim, read) for claim in CLAIMS]
    return Ledger(tuple(sorted(found, key=lambda finding: order.index(finding.verdict))))


NAMES = {  # of the claims, short enough for a table
    "size": "size of the network", "ilsvrc2010": "error on ILSVRC-2010",
    "earlier_best": "best error before", "ten_views": "ten views help",
    "ilsvrc2012": "error on ILSVRC-2012", "ensemble": "five networks vote",
    "relu": "ReLU learns faster", "two_gpus": "two towers against one of them", "lrn": "LRN helps",
    "lrn_cifar10": "LRN helps on CIFAR-10", "overlapping_pooling": "overlapping pooling helps",
    "crops": "crops and mirror images", "colour_gain": "colour noise helps",
    "dropout": "dropout", "weight_decay": "weight decay", "training_time": "time on two GPUs",
    "conv_share": "a convolution's share", "depth": "removing a middle layer costs",
    "specialization": "towers specialize",
}  # fmt: skip


LEGEND = (
    "a / b: top-1 / top-5. a ± b: the mean, and how far it may be off: the margin of a one-sided "
    "test at 95%.\nPoints are points of error, + as the paper says."
)


@dataclass(frozen=True)
class Ledger:
    """All findings; prints as a table of text, and shows as one of Markdown in a notebook."""

    findings: tuple[Finding, ...]

    def __getitem__(self, key: str) -> Finding:
        return next(finding for finding in self.findings if finding.claim.key == key)

    def counts(self) -> dict[str, int]:
        """Return how many claims got each verdict, every verdict named."""
        counted = Counter(finding.verdict for finding in self.findings)
        return {verdict: counted[verdict] for verdict in significance.VERDICTS}

    def commands(self) -> list[str]:
        """Return the commands that would fill gaps, each once."""
        return sorted({finding.command for finding in self.findings if finding.command})

    def __str__(self) -> str:
        lines, before = [], None
        for finding in self.findings:
            if finding.verdict != before:
                lines += ["", finding.verdict.upper()]
                before = finding.verdict
            name = f"{NAMES[finding.claim.key]} ({finding.claim.section.split(',')[0]})"
            lines.append(f"  {name:<37} paper: {finding.paper}")
            if finding.ours:
                lines.append(f"  {'':<37} ours:  {finding.ours}")
            lines.append(f"  {'':<37}        {finding.command or finding.scale}")
        return "\n".join([*lines[1:], "", LEGEND])

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self.counts().items())
        return f"Ledger({len(self.findings)} claims: {counts})"

    def _repr_markdown_(self) -> str:
        lines = ["| claim | § | paper | ours | measured on | verdict |", "|" + "---|" * 6]
        for finding in self.findings:
            section = finding.claim.section.split(",")[0].lstrip("§")
            scale = f"`{finding.command}`" if finding.command else finding.scale
            cells = [NAMES[finding.claim.key], section, finding.paper, finding.ours or "–", scale,
                     f"**{finding.verdict}**"]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)
