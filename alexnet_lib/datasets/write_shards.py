"""Packing a folder of pictures into shards: by several processes, resumable, mendable."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .. import _files
from . import catalogue, shard_writers, shards
from . import folders as folders_dataset
from .folders import ImageFolder
from .shard_writers import Task

__all__ = ["JPEG_QUALITY", "SHARD_SIZE", "pack"]

SHARD_SIZE = 2048  # pictures, the most that an interruption costs each process
JPEG_QUALITY = 90
SAMPLES = 32  # pictures encoded to estimate the bytes of JPEG shards
SETTINGS = ("format_version", "size", "quality", "shard_size")
LOCK_SECONDS = 5.0
ADVICE = "Free some space, change the permissions, or name another folder with --out."


def pack(
    root: str | Path,
    out: str | Path | None = None,
    size: int = 256,
    split: str | None = None,
    *,
    quality: int | None = None,
    workers: int | None = None,
    shard_size: int = SHARD_SIZE,
    skip_broken: float = catalogue.SKIPPED_SHARE,
    verify: bool = False,
    progress: bool = True,
) -> list[Path]:
    """Pack an image folder into shards, and go on where an earlier call was interrupted.

    root: a folder as `folders.scan` takes it. out: a folder that gets one folder a split;
    None for one named after `root` and `size`, where `datasets.load` finds it. size: side in
    pixels. split: "train", "val" or "test"; None for training and validation, as far as they are
    there. quality: of JPEG shards, 1 to 95; None for raw pixels. workers: processes, one a core
    by default. shard_size: pictures a shard. skip_broken: the share of pictures (0 to 1) that may
    be unreadable; they are left out and listed in the manifest. verify: compare the checksums of
    the shards that are there already, and write damaged ones anew. progress: show a bar.
    Returns the folders of the splits, each a set for `datasets.load`, as is `out`. What is
    written depends on the pictures and the settings only, not on `workers` or interruptions. The
    processes are spawned: a script calls this below `if __name__ == "__main__"`.
    Errors: ValueError for bad values, too many broken pictures, or an `out` packed otherwise;
    FileNotFoundError, FileExistsError; OSError with ENOSPC, before anything is written, if the
    disk is too small; ChildProcessError if a process dies. Whole shards are kept in every case.
    """
    workers = shards.cores() if workers is None else workers
    for what, value, least, most in (
        ("size", size, 1, 4096), ("shard size", shard_size, 1, 1 << 20),
        ("number of workers", workers, 1, 1024), ("share of broken pictures", skip_broken, 0, 1),
        ("JPEG quality", JPEG_QUALITY if quality is None else quality, 1, 95),
    ):  # fmt: skip
        if not least <= value <= most:
            raise ValueError(f"the {what} is {value}; give {least} to {most}.")
    root, name = catalogue.resolve(root)
    root = root.absolute()
    out = Path(out or catalogue.data_folders()[-1] / f"{name}-{size}px").absolute()
    command = ["pack", str(root), "--out", str(out), "--size", str(size)]
    command += [] if quality is None else ["--jpeg", str(quality)]
    command += [] if shard_size == SHARD_SIZE else ["--shard-size", str(shard_size)]
    command += [] if skip_broken == catalogue.SKIPPED_SHARE else ["--skip-broken", str(skip_broken)]
    settings = {
        "format_version": shards.FORMAT_VERSION, "size": size, "quality": quality,
        "shard_size": shard_size, "command": "python -m alexnet_lib data " + shlex.join(command),
    }  # fmt: skip
    splits = []
    for folder in _folders(root, split):
        plan = {**settings, "source": str(folder.root), "fingerprint": folder.fingerprint}
        _check_same(out / folder.split, plan)
        splits.append((folder, plan, _tasks(folder, out / folder.split, plan, verify)))
    _check_space(out, [task for *_, tasks in splits for task in tasks])
    for folder, plan, tasks in splits:
        target = out / folder.split
        with _files.errors_in_words(target, ADVICE):
            target.mkdir(parents=True, exist_ok=True)
            with _files.lock(out / f"{folder.split}.lock") as touch_lock:
                _claim(target, plan)
                what = f"packing {name}/{folder.split} at {size} px"
                tick = _every(LOCK_SECONDS, touch_lock)
                _write(tasks, workers, skip_broken, tick, what, progress)
                _finish(folder, target, plan, catalogue.describe(folder, name, size), tasks)
    return [out / folder.split for folder, *_ in splits]


def _folders(root: Path, split: str | None) -> list[ImageFolder]:
    if split:
        return [folders_dataset.scan(root, catalogue.split_name(split))]
    folders, missing = [], None
    for name in ("train", "val"):
        try:
            folders.append(folders_dataset.scan(root, name))
        except FileNotFoundError as error:
            missing = error
    if not folders:
        raise missing
    return folders


def _tasks(folder: ImageFolder, target: Path, plan: dict, verify: bool) -> list[Task]:
    step, tasks = plan["shard_size"], []
    settings = [*(plan[key] for key in SETTINGS), folders_dataset.RESIZE_RULE]
    for number, first in enumerate(range(0, len(folder.paths), step)):
        rows = slice(first, first + step)
        paths = [str(path) for path in folder.paths[rows]]
        labels, sizes = folder.labels[rows].tolist(), folder.sizes[rows].tolist()
        described = zip(labels, map(os.path.basename, paths), sizes, strict=True)
        lines = [f"{label}/{name}/{size}\n" for label, name, size in described]
        digest = hashlib.sha256("".join([repr(settings), *lines]).encode()).hexdigest()
        tasks.append(
            Task(str(target), number, first, paths, plan["size"], plan["quality"], digest, verify)
        )
    return tasks


def _planned(target: Path) -> dict | None:
    """The plan that a split was packed by; None without one, or if it is damaged."""
    with contextlib.suppress(OSError, ValueError):
        plan = json.loads((target / "plan.json").read_text(encoding="utf-8"))
        return plan if isinstance(plan, dict) else None
    return None


def _check_same(target: Path, plan: dict) -> None:
    """Raise an error if the folder of a split holds anything but a part of this set."""
    there = _planned(target)
    if there is None:
        if not shards.is_sharded(target) and target.is_dir() and any(target.iterdir()):
            raise FileExistsError(
                f"{target} holds something else than a sharded set. Choose another --out."
            )
        return  # if the plan is damaged, the shards' sidecars still say what they hold
    differing = [key for key in SETTINGS if there.get(key) != plan[key]]
    if there.get("fingerprint") != plan["fingerprint"] and there.get("source") != plan["source"]:
        differing.append("source")
    if differing:
        was = "; ".join(f"{key} {there.get(key)}, now {plan[key]}" for key in differing)
        raise ValueError(
            f"{target} was packed otherwise ({was}). Give the same values, choose another --out, "
            f"or delete {target}."
        )


def _claim(target: Path, plan: dict) -> None:
    """Note the plan. Where pictures came, went or changed, the set isn't whole until the end."""
    there = _planned(target)
    if there is not None and there.get("fingerprint") != plan["fingerprint"]:
        (target / "manifest.json").unlink(missing_ok=True)
    if there != plan:
        _files.write_json(target / "plan.json", plan)


def _check_space(out: Path, tasks: list[Task]) -> None:
    """Raise OSError with ENOSPC if the shards that are still to be written don't fit."""
    paths = [path for task in tasks if shard_writers.noted(task) is None for path in task.paths]
    if not paths:
        return
    size, quality, pictures = tasks[0].size, tasks[0].quality, len(paths)
    picture_bytes = size * size * 3
    if quality is not None:
        lengths = []
        for index in np.linspace(0, pictures - 1, min(SAMPLES, pictures)).astype(int):
            with contextlib.suppress(ValueError):
                picture = folders_dataset.read_image(paths[index], size)
                lengths.append(len(shard_writers.encoded(picture, quality)))
        picture_bytes = 1.1 * float(np.mean(lengths or [picture_bytes]))
    existing = next(path for path in (out, *out.parents) if path.exists())
    needed, free = pictures * picture_bytes, shutil.disk_usage(existing).free
    if needed > free:
        smaller = " Or pack with --jpeg: about a tenth." if quality is None else ""
        raise OSError(
            errno.ENOSPC,
            f"no space: {pictures:,} pictures at {size} px need {_amount(needed)}, and "
            f"{_amount(free)} are free in {existing}. {ADVICE}{smaller}",
        )


def _amount(count: float) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count / 1e3:,.1f} kB"


def _write(
    tasks: list[Task], workers: int, share: float, tick: Callable[[], None], what: str,
    progress: bool,
) -> None:  # fmt: skip
    """Write the shards that aren't there yet; with a verifying task, check those that are."""
    total, done, missing = sum(len(task.paths) for task in tasks), 0, []
    skipped: dict[int, list[str]] = {}  # of each shard that is whole
    for task in tasks:
        sidecar = None if task.verify else shard_writers.noted(task)
        if sidecar is None:
            missing.append(task)
        else:
            skipped[task.number] = [sentence for _, sentence in sidecar["skipped"]]
            done += len(task.paths)
    most = min(int(share * total), total - 1)
    _check_skipped(skipped, most, total)
    bar = tqdm(
        desc=what, total=total, initial=done, unit="image", disable=not progress, delay=0.5
    )
    try:
        with bar, contextlib.closing(shard_writers.run(missing, workers, tick)) as running:
            for news in running:
                if isinstance(news, int):
                    bar.update(news)
                else:
                    skipped[news[0]] = news[1]
                    _check_skipped(skipped, most, total)
    finally:
        for leftover in Path(tasks[0].folder).glob("*.partial"):
            leftover.unlink(missing_ok=True)


def _check_skipped(skipped: dict[int, list[str]], most: int, total: int) -> None:
    sentences = [sentence for number in sorted(skipped) for sentence in skipped[number]]
    if len(sentences) > most:
        listed = "\n  ".join(sentences[:5])
        raise ValueError(
            f"{len(sentences)} of {total} pictures cannot be read so far; at most {most} may be "
            f"left out:\n  {listed}\nReplace or delete them, or allow a larger share with "
            "--skip-broken. What is packed already is kept."
        )


def _finish(
    folder: ImageFolder, target: Path, plan: dict, about: dict, tasks: list[Task]
) -> None:
    """Write labels, ends and manifest from what the shards' sidecars say; drop what is stale."""
    listed, labels, ends, skipped, names = [], [], [], [], set()
    for task in tasks:
        sidecar = shard_writers.noted(task)
        if sidecar is None:
            raise ValueError(f"{task.path} was changed while packing. Run the same command again.")
        rows = slice(task.first, task.first + len(task.paths))
        left_out = np.array([index for index, _ in sidecar["skipped"]], np.int64)
        labels.append(np.delete(folder.labels[rows], left_out))
        ends.append(np.array(sidecar["ends"], np.int64))
        skipped += [sentence for _, sentence in sidecar["skipped"]]
        facts = {key: sidecar[key] for key in ("count", "bytes", "sha256")}
        listed.append({"file": task.path.name, **facts})
        names |= {task.path.name, task.path.with_suffix(".json").name}
    arrays = {"labels": np.concatenate(labels)}
    if plan["quality"] is not None:
        arrays["ends"] = np.concatenate(ends)
    sums = {}
    for name, array in arrays.items():
        with _files.replacing(target / f"{name}.npy") as partial, open(partial, "wb") as file:
            np.save(file, array)
        sums[name] = shards.hash_file(target / f"{name}.npy")
    count, size = len(arrays["labels"]), plan["size"]
    manifest = {
        "format_version": shards.FORMAT_VERSION, **about, "count": count,
        "shape": [count, size, size, 3], "quality": plan["quality"],
        "shard_size": plan["shard_size"], "shards": listed, "sha256": sums, "skipped": skipped,
    }  # fmt: skip
    _files.write_json(target / "manifest.json", manifest)
    for path in target.glob("shard-*"):
        if path.name not in names:
            path.unlink()


def _every(seconds: float, call: Callable[[], None]) -> Callable[[], None]:
    """A function to call as often as one likes, which calls `call` every so many seconds."""
    called_at = time.monotonic()

    def tick() -> None:
        nonlocal called_at
        if time.monotonic() - called_at > seconds:
            call()
            called_at = time.monotonic()

    return tick
