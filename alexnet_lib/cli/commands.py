"""The command line: python -m alexnet_lib COMMAND; --help lists the commands."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..parallel import Team
    from ..runs import Run

__all__ = ["main", "tell"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m alexnet_lib", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    train = commands.add_parser("train", help="train AlexNet by a recipe, resumably")
    train.add_argument("--data", default="shapes", help="a data set's name or an image folder")
    train.add_argument("--variant", default="paper", help="which AlexNet, see networks.VARIANTS")
    train.add_argument("--recipe", default="paper2012_small_data", help="see paper.RECIPES")
    train.add_argument("--epochs", type=int, help="cycles through the training set")
    train.add_argument("--batch-size", type=int, help="images a step, over all ranks")
    train.add_argument("--rate", type=float, help="override the rate from here on; see the diary")
    train.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--limit", type=int, help="use at most this many training images")
    train.add_argument("--size", type=int, help="side at which pictures are loaded, then cropped")
    train.add_argument("--threads", type=int, help="threads of torch on the CPU")
    train.add_argument("--out", default="runs/latest", help="folder of checkpoint, record and log")
    train.add_argument("--resume", action="store_true", help="go on with the run in --out")
    train.add_argument("--filter-moments", type=int, default=0, help="pictures of conv1 to keep")
    train.add_argument("--checkpoint-seconds", type=float, default=600.0,
                       help="keep the run this often, besides after each epoch")
    train.add_argument("--towers", type=int, default=1, choices=(1, 2),
                       help="2: half the channels of each layer on each of two ranks (torchrun)")
    train.add_argument("--compress-gradients", action="store_true",
                       help="send gradients between the ranks as bfloat16")
    train.set_defaults(run=_train)

    evaluate = commands.add_parser("evaluate", help="measure a run on its validation pictures")
    evaluate.add_argument("folder", help="a run's folder or a checkpoint")
    evaluate.add_argument("--data", help="the run's own data by default")
    evaluate.add_argument("--ten-crop", action="store_true", help="average ten views, as in 2012")
    evaluate.add_argument("--device", default="auto")
    evaluate.add_argument("--limit", type=int, help="use at most this many images")
    evaluate.set_defaults(run=_evaluate)

    verify = commands.add_parser("verify", help="hold the models against the paper's facts")
    verify.set_defaults(run=_verify)
    doctor = commands.add_parser("doctor", help="check that this machine is ready")
    doctor.set_defaults(run=_doctor)
    data = commands.add_parser("data", help="list data sets, download one, or pack a folder")
    data.add_argument(
        "name", nargs="?", help="cifar10 or imagenette; none lists what is there; see also pack"
    )
    data.add_argument("--folder", help="where to put it, runs/data by default")
    data.set_defaults(run=_data)
    pack = data.add_argument_group("data pack FOLDER: pictures into shards, for a million of them")
    pack.add_argument("pictures", nargs="?", metavar="FOLDER", help="one folder a class")
    pack.add_argument("--out", help="folder of the shards, runs/data/NAME-SIZEpx by default")
    pack.add_argument("--size", type=int, help="side in pixels, 256 by default")
    pack.add_argument("--split", choices=("train", "val", "test"), help="train and val by default")
    pack.add_argument("--jpeg", dest="quality", type=int, nargs="?", const=90, metavar="QUALITY",
                      help="a tenth of the bytes, quality 90 if not given; raw pixels by default")
    pack.add_argument("--workers", type=int, help="processes, one a core by default")
    pack.add_argument("--shard-size", type=int, metavar="IMAGES", help="pictures a shard")
    pack.add_argument("--skip-broken", type=float, metavar="SHARE",
                      help="share of pictures that may be unreadable, 0 to 1")
    pack.add_argument("--verify", action="store_true", default=None,
                      help="check the shards that are there, write damaged ones anew")
    bench = commands.add_parser("bench", help="time ours and the usual way side by side")
    bench.add_argument("name", nargs="?", default="all",
                       help="lrn, step, input, shards, towers, layers, sliders or all")
    bench.add_argument("chapters", nargs="*", metavar="CHAPTER",
                       help="of sliders: such as 05; every chapter by default")
    bench.add_argument("--device", default="auto")
    bench.add_argument("--rounds", type=int, help="counted rounds; of sliders: presses of each")
    bench.add_argument("--batch-size", type=int, help="images a batch")
    bench.add_argument("--out", default="runs/bench", help="folder of the record, or a .json file")
    bench.add_argument("--where-possible", action="store_true",
                       help="leave the sliders out, in a sentence, where there is no browser")
    bench.set_defaults(run=_bench)
    export = commands.add_parser("export", help="take the learned filters out of a run")
    export.add_argument("folder", help="a run's folder")
    export.add_argument("--name", default="mine", help="name of the files in data/filters")
    export.set_defaults(run=_export)
    results = commands.add_parser("results", help="print the measured results from the records")
    results.add_argument("--write", action="store_true", help="put them into README.md and docs/")
    results.set_defaults(run=_results)
    plan = commands.add_parser("plan", help="what ImageNet would take on many GPUs")
    plan.add_argument("--rate", type=float, required=True, help="images/s of one GPU")
    plan.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 64])
    plan.add_argument("--epochs", type=int, default=90)
    plan.add_argument("--per-gpu", type=int, default=128, help="images of a step on each GPU")
    plan.add_argument("--kind", choices=("raw", "jpeg"), default="jpeg", help="of shards")
    plan.add_argument("--node-gpus", type=int, default=8, help="GPUs in a machine")
    plan.add_argument("--bus", type=float, default=10.0, help="GB/s between them")
    plan.add_argument("--network", type=float, default=12.5, help="GB/s between machines")
    plan.add_argument("--cores", type=int, default=64, help="of a machine")
    plan.add_argument("--decode", type=float, default=2000, help="JPEGs a core reads a second")
    plan.add_argument("--price", type=float, default=2.0, help="of a GPU for an hour")
    plan.add_argument("--compress-gradients", action="store_true")
    plan.set_defaults(run=_plan)
    ledger = commands.add_parser("claims", help="what the paper claims, and what was measured here")
    ledger.set_defaults(run=_claims)
    day = commands.add_parser("gpu-day", help="all that a GPU lent for some minutes should do")
    day.add_argument("--minutes", type=float, default=8.0, help="for all steps together")
    day.add_argument("--out", default="runs/gpu-day", help="folder of the records")
    day.add_argument("--only", default="", metavar="STEP,...", help="these steps alone")
    day.add_argument("--dry-run", action="store_true", help="print the plan, do nothing")
    day.add_argument("--small", action="store_true", help="made-up pictures, to see that it runs")
    day.add_argument("--step", help=argparse.SUPPRESS)  # one step, in this process
    day.add_argument("--until", type=float, default=0.0, help=argparse.SUPPRESS)
    day.set_defaults(run=_gpu_day)
    experiment = commands.add_parser("experiment", help="run a named experiment, write its record")
    experiment.add_argument("name")
    experiment.set_defaults(run=_experiment)
    return parser


def _train(options: argparse.Namespace) -> int:
    import torch

    from .. import parallel, training
    from ..distributed import process_group

    if options.threads:
        torch.set_num_threads(options.threads)
    with process_group.join(training.choose_device(options.device)) as here:
        team = parallel.form(here, options.towers, options.compress_gradients)
        run = _fit(options, team)
    if team.first:
        print(f"{run.status}; the record is {Path(options.out) / 'record.json'}")
    return 0


def _fit(options: argparse.Namespace, team: Team) -> Run:
    """Train as the options say, on all ranks of the team."""
    from .. import architectures, checkpoints, datasets, training
    from ..distributed import process_group

    # torchrun starts failed ranks anew with the command that they had the first time
    again = process_group.restarts() > 0 and checkpoints.find(options.out).exists()
    resume = options.resume or again
    with process_group.together():
        recipe = training.recipe_of(options.recipe)
        spec = architectures.network(options.variant)
        if not resume:
            training.check_folder(options.out)
        size = options.size or max(256 if spec.input_size > 200 else 0, spec.input_size)
        show = {"size": size, "limit": options.limit, "progress": team.first}
        train = datasets.load(options.data, "train", **show)
        val = datasets.load(options.data, "val", **show)
        model = team.build(architectures.network(options.variant, len(train.classes)), options.seed)
    bar = sys.stderr.isatty()
    report = _Report(None if bar else 20)
    if team.first:
        spread = f", {team.ranks.count} ranks, {team.towers} tower(s)" * (team.ranks.count > 1)
        what = f"{options.variant} AlexNet, {recipe.name}, {train!r}, {len(val):,} for validation"
        print(what + spread, flush=True)
    return training.fit(
        model, train, val, recipe, epochs=options.epochs, batch_size=options.batch_size,
        out=options.out, resume=resume, lr=options.rate, seed=options.seed,
        device=options.device, filter_moments=options.filter_moments,
        about={"command": options.given, "data_from": options.data}, progress=bar, team=team,
        checkpoint_seconds=options.checkpoint_seconds, on_step=report.step,
        on_epoch=report.epoch,
    )


class _Report:
    """Lines about a run, for a terminal or a log file. every: steps between two; None for none."""

    def __init__(self, every: int | None) -> None:
        self.every, self.started, self.before = every, time.monotonic(), None

    def step(self, run: Run) -> None:
        if self.before is None:
            self.before, self.started = len(run.losses) - 1, time.monotonic()
        if self.every and (run.step == 1 or run.step % self.every == 0):
            images = (len(run.losses) - self.before - 1) * run.about["batch_size"]
            seconds = time.monotonic() - self.started
            rate = f" {images / seconds:.1f} images/s" if images else ""
            print(
                f"epoch {run.epoch + 1} step {run.step} loss {run.losses[-1]:.3f}{rate}", flush=True
            )

    def epoch(self, run: Run) -> None:
        row = run.epochs[-1]
        print(
            f"epoch {row['epoch']}: loss {row['train_loss']:.3f}, validation top-1 "
            f"{row['val_top1']:.1%}, top-5 {row['val_top5']:.1%}, rate {row['rate']:g}, "
            f"{row['seconds']:.0f} s", flush=True,
        )


def _evaluate(options: argparse.Namespace) -> int:
    from .. import checkpoints, datasets, training

    device = training.choose_device(options.device)
    model, state = checkpoints.load_model(options.folder, device)
    mean = state["input"]["mean"]  # as large as the pictures were loaded in training
    val = datasets.load(options.data or state["data"], "val", len(mean), options.limit)
    training.check_fit(model, val, state["classes"])
    result = training.evaluate(model, val, mean, options.ten_crop, device=device,
                               progress=sys.stderr.isatty())
    views = "ten views" if options.ten_crop else "centre crop"
    print(
        f"{views}: top-1 {result['top1']:.2%}, top-5 {result['top5']:.2%} on "
        f"{result['count']:,} images"
    )
    return 0


def _verify(options: argparse.Namespace) -> int:
    from ..experiments import verify as verify_experiment

    return verify_experiment.report()


def _doctor(options: argparse.Namespace) -> int:
    from . import doctor

    return doctor.report()


def _data(options: argparse.Namespace) -> int:
    from .. import datasets

    names = ("out", "size", "split", "quality", "workers", "shard_size", "skip_broken", "verify")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.name == "pack":
        if options.pictures is None:
            raise ValueError("which folder? Give one: python -m alexnet_lib data pack FOLDER")
        return _pack(options.pictures, given)
    if given or options.pictures is not None:
        raise ValueError("FOLDER and its options are for: python -m alexnet_lib data pack FOLDER")
    if options.name is None:
        print(datasets.overview())
    else:
        print(datasets.download(options.name, options.folder))
    return 0


def _pack(pictures: str, given: dict) -> int:
    from ..datasets import shards, write_shards

    for folder in write_shards.pack(pictures, **given):
        manifest = shards.read_manifest(folder)
        total = sum(shard["bytes"] for shard in manifest["shards"])
        left_out = len(manifest["skipped"])
        print(
            f"{folder}: {manifest['count']:,} images in {len(manifest['shards'])} shards, "
            f"{total / 1e9:.2f} GB; {left_out} left out"
            + (f", see {folder / 'manifest.json'}" if left_out else "")
        )
    return 0


def _bench(options: argparse.Namespace) -> int:
    out, name = Path(options.out), options.name
    if options.chapters and name != "sliders":
        raise ValueError("chapters are for: python -m alexnet_lib bench sliders CHAPTER ...")
    if name != "sliders":
        from .. import training
        from ..benchmarks import run as run_benchmarks

        device = training.choose_device(options.device).type
        chosen = {"rounds": options.rounds, "batch_size": options.batch_size}
        given = {name: value for name, value in chosen.items() if value is not None}
        print(f"the record is {run_benchmarks.run(name, device, out, **given)}")
        if name != "all":
            return 0
    return _bench_sliders(options, out)


def _bench_sliders(options: argparse.Namespace, out: Path) -> int:
    """Measure how soon the demos answer; among all benchmarks only where there is a browser."""
    from ..benchmarks import sliders as slider_benchmark

    presses = slider_benchmark.PRESSES if options.rounds is None else options.rounds
    if options.name == "sliders" and out.suffix == ".json":
        file = out
    else:
        file = (out.parent if out.suffix == ".json" else out) / "sliders.json"
    try:
        return slider_benchmark.measure(options.chapters, file, presses)
    except slider_benchmark.NoBrowserError as error:
        if options.name == "sliders" and not options.where_possible:
            raise
        print(f"the sliders are not measured: {error}")
        return 0


def _export(options: argparse.Namespace) -> int:
    from .. import pretrained

    for path in pretrained.export_filters(options.folder, options.name):
        print(path)
    return 0


def _results(options: argparse.Namespace) -> int:
    from .. import records
    from . import report

    if options.write:
        root = records.root()
        fresh = [name for name, make in report.PAGES.items() if report.write(root / name, make())]
        print(f"new: {', '.join(fresh)}" if fresh else "nothing changed")
    else:
        print(report.results())
    return 0


def _plan(options: argparse.Namespace) -> int:
    from ..benchmarks import cluster_plan

    names = ("node_gpus", "bus", "network", "cores", "decode", "price")
    given = {name: getattr(options, name) for name in names}
    site = cluster_plan.Site(throughput=options.rate, **given)
    print(cluster_plan.table(
        site, tuple(options.gpus), epochs=options.epochs, per_gpu=options.per_gpu,
        kind=options.kind, bytes_a_weight=2 if options.compress_gradients else 4,
    ))
    return 0


def _claims(options: argparse.Namespace) -> int:
    from ..experiments import reproduction

    print(reproduction.judge_all())
    return 0


def _gpu_day(options: argparse.Namespace) -> int:
    from . import gpu_day

    out = Path(options.out)
    if options.step:
        return gpu_day.step(options.step, out, options.until, options.small)
    only = [name for name in options.only.split(",") if name]
    gpu_day.run(options.minutes, out, only=only, dry_run=options.dry_run, small=options.small)
    return 0


def _experiment(options: argparse.Namespace) -> int:
    from .. import experiments

    print(experiments.summary(experiments.run(options.name)))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command; errors that a user can mend come out as one line, with status 1."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    options.given = "python -m alexnet_lib " + shlex.join(arguments)
    try:
        return options.run(options)
    except (ValueError, OSError) as error:
        tell(error)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def tell(error: Exception) -> None:
    """Print an error in one line; what all ranks raise is told by the first alone."""
    from ..distributed.process_group import EveryRankError, is_first

    if isinstance(error, EveryRankError) and not is_first():
        return
    words = isinstance(error, OSError) and error.filename is None and error.strerror
    rank = "" if is_first() else f"rank {os.environ['RANK']}: "
    print(f"{rank}error:", " ".join((words or str(error)).split()), file=sys.stderr)

