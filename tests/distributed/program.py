"""What the tests run under torchrun: a small network with two towers, trained in many ways.

    torchrun ... program.py fit OUT [options]      one run by training.fit
    torchrun ... program.py checks OUT             what ranks can find out about each other
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch

from alexnet_lib import architectures, parallel, training
from alexnet_lib.architectures import LayerSpec, NetworkSpec
from alexnet_lib.cli.commands import tell
from alexnet_lib.datasets import ImageSet
from alexnet_lib.distributed import process_group
from alexnet_lib.paper import Recipe

CLASSES = ["red", "green", "blue"]
RECIPE = Recipe(
    "toy", epochs=2, batch_size=8, lr=1e-3, schedule="step", milestones=(0.7,), bias_lr=2.0
)


def images(count: int, split: str) -> ImageSet:
    """Noise whose class is its brightest colour."""
    rng = np.random.default_rng([7, split == "val"])
    labels = np.arange(count, dtype=np.int64) % len(CLASSES)
    pixels = rng.integers(0, 100, (count, 14, 14, 3)).astype(np.uint8)
    pixels[np.arange(count), :, :, labels] += 60
    return ImageSet(pixels, labels, CLASSES, "toy", split)


def spec() -> NetworkSpec:
    """Everything that two towers have: groups, LRN per tower, layers that read both, dropout."""
    lrn = LayerSpec(
        "lrn", "lrn", size=3, alpha=1e-3, beta=0.75, k=2.0, convention="paper", groups=2
    )
    small = architectures.small_network(12, 3, len(CLASSES), (8, 8, 12), lrn=lrn, pool_kernel=2)
    stages = []
    for layer in small.layers[:-1]:
        if layer.kind == "conv":
            groups = 2 if layer.name == "conv2" else 1
            layer = replace(layer, weight_std=0.05, groups=groups)
        stages.append(layer)
    stages += [
        LayerSpec("fc4", "fc", channels=20, weight_std=0.1),
        LayerSpec("relu4", "relu"),
        LayerSpec("drop4", "dropout", keep=0.5),
        LayerSpec("fc5", "fc", channels=len(CLASSES), weight_std=0.1),
    ]
    return replace(small, name="toy", layers=tuple(stages))


def fit(options: argparse.Namespace) -> None:
    """Train, and do on the way what the options ask for."""
    torch.set_num_threads(1)
    with process_group.join(torch.device("cpu"), options.seconds) as here:
        team = parallel.form(here, options.towers, options.compress)
        resume = options.resume or (
            process_group.restarts() > 0 and any(options.out.glob("checkpoint.*"))
        )

        def on_step(run: training.Run) -> bool:
            done = len(run.losses)
            time.sleep(options.slow)
            if options.ready and done == 2:
                options.ready.write_text("")
            return done == options.stop_after

        recipe = replace(RECIPE, mixed_precision=False)
        model = team.build(spec())
        if options.die and not process_group.restarts():
            _arm(options, here, model)
        run = training.fit(
            model, images(options.images, "train"), images(11, "val"), recipe, out=options.out,
            resume=resume, team=team, epochs=options.epochs, on_step=on_step,
            checkpoint_seconds=options.checkpoint_seconds, filter_moments=5, device="cpu",
            batch_size=options.batch_size,
        )
    if team.first:
        print(run.status)


def _arm(options: argparse.Namespace, here: process_group.Ranks, model: torch.nn.Module) -> None:
    """Let one rank end in its `options.step`-th forward pass, as options.die says."""
    rank, count = options.rank, [0]

    def end(*_: object) -> None:
        count[0] += 1
        if here.rank != rank or count[0] < options.step:
            return
        if options.die == "raise":
            raise ValueError("this rank has had enough")
        os.kill(os.getpid(), signal.SIGKILL)

    if options.step == 0 and here.rank == rank:
        os.kill(os.getpid(), signal.SIGKILL)
    model.register_forward_pre_hook(end)
    if options.die == "in the collective":  # halfway through the gradients
        model.register_full_backward_hook(end)


def checks(options: argparse.Namespace) -> None:
    """Provoke what only several ranks can show, and write what each said."""
    found: dict[str, str] = {}
    with process_group.join(torch.device("cpu")) as here:

        def error(name: str, function) -> None:
            try:
                function()
                found[name] = "nothing"
            except process_group.EveryRankError as caught:
                found[name] = str(caught)

        def fails_on_one() -> None:
            with process_group.together():
                if here.rank == 1:
                    raise FileNotFoundError("no such folder")

        def fails_on_all() -> None:
            with process_group.together():
                raise ValueError("a bad number")

        def fails_nowhere() -> None:
            with process_group.together():
                found["inside"] = "yes"

        def other_versions() -> None:
            process_group.versions = lambda: {"torch": "2.11.0" if here.rank else "2.14.1"}
            process_group.check_versions()

        error("one", fails_on_one)
        error("all", fails_on_all)
        error("none", fails_nowhere)
        error("versions", other_versions)
        team = parallel.form(here)
        error("same", lambda: team.check_same("the step", 5))
        error("differs", lambda: team.check_same("the step", 5 + here.rank))
        error("three towers", lambda: parallel.form(here, 3))
        found["sum"] = str(team.add_up(1, torch.tensor(0.5)))
        everyone = process_group.everyone(found)
    if here.first:
        options.out.write_text(json.dumps(everyone))


def main() -> int:
    """Run one command as the course's own command line does, with its errors in one line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=("fit", "checks"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--towers", type=int, default=1)
    parser.add_argument("--compress", action="store_true")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--images", type=int, default=36)
    parser.add_argument("--stop-after", type=int)
    parser.add_argument("--checkpoint-seconds", type=float, default=600)
    parser.add_argument("--die", choices=("kill", "raise", "in the collective"))
    parser.add_argument("--rank", type=int, default=1, help="the one that dies")
    parser.add_argument("--step", type=int, default=4, help="when; 0: before the first")
    parser.add_argument("--slow", type=float, default=0, help="seconds to rest after each step")
    parser.add_argument("--ready", type=Path, help="written after two steps")
    parser.add_argument("--seconds", type=float, default=60, help="to wait for another rank")
    options = parser.parse_args()
    try:
        {"fit": fit, "checks": checks}[options.command](options)
    except (ValueError, OSError) as error:
        tell(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
