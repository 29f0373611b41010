"""Packing into shards: the very pixels, whatever the processes, stops and broken pictures."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet_lib.cli import commands as cli
from alexnet_lib.datasets import catalogue, folders, shard_writers, shards, write_shards

ROOT = Path(__file__).resolve().parents[3]
COUNTS = {f"train/{name}": count for name, count in (("ant", 17), ("bee", 9), ("cat", 14))}
COUNTS |= {f"val/{name}": 4 for name in ("ant", "bee", "cat")}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, save_pictures):
    return save_pictures(tmp_path_factory.mktemp("pictures") / "mine", COUNTS)


@pytest.fixture
def own_pictures(tmp_path, save_pictures):
    return save_pictures(tmp_path / "own", COUNTS)


def pack(root, out, size=16, split=None, workers=1, shard_size=7, **options):
    return write_shards.pack(
        root, out, size, split, workers=workers, shard_size=shard_size, progress=False, **options
    )


def contents(folder) -> dict[str, bytes]:
    """Every file below a folder, without the plan: it names the folder itself."""
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files if path.name != "plan.json"
    }  # fmt: skip


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("quality", [None, 80])
def test_shards_hold_the_very_pictures_of_the_folder(pictures, tmp_path, split, quality):
    (folder,) = pack(pictures, tmp_path / "out", split=split, quality=quality)
    scanned = folders.scan(pictures, split)
    expected = [folders.read_image(path, 16) for path in scanned.paths]
    if quality is not None:
        for place, pixels in enumerate(expected):
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "JPEG", quality=quality)
            expected[place] = np.asarray(Image.open(file))
    images, labels, manifest = shards.read(folder, verify=True)
    np.testing.assert_array_equal(images[:], np.stack(expected))
    np.testing.assert_array_equal(labels, scanned.labels, strict=True)
    assert (manifest["classes"], manifest["split"], manifest["name"]) == (
        ["ant", "bee", "cat"], split, "mine",
    )  # fmt: skip
    assert (manifest["count"], manifest["skipped"]) == (len(expected), [])


def test_files_are_plain_and_checksums_are_those_of_the_files(pictures, tmp_path):
    train, val = pack(pictures, tmp_path / "out")
    assert (train, val) == (tmp_path / "out" / "train", tmp_path / "out" / "val")
    manifest = json.loads((train / "manifest.json").read_text())
    assert [shard["count"] for shard in manifest["shards"]] == [7, 7, 7, 7, 7, 5]
    for shard in manifest["shards"]:
        content = (train / shard["file"]).read_bytes()
        assert shard["sha256"] == hashlib.sha256(content).hexdigest()
        assert shard["bytes"] == len(content)
        assert np.load(train / shard["file"]).shape == (shard["count"], 16, 16, 3)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"train", "val"}
    (jpeg, _) = pack(pictures, tmp_path / "jpeg", quality=90)
    first = Image.open(io.BytesIO((jpeg / "shard-00000.jpegs").read_bytes()))
    assert first.size == (16, 16)


@pytest.mark.parametrize("quality", [None, 90])
def test_the_number_of_processes_changes_nothing(pictures, tmp_path, quality):
    for workers in (1, 4):
        pack(pictures, tmp_path / str(workers), workers=workers, quality=quality)
    assert contents(tmp_path / "1") == contents(tmp_path / "4")
    assert len(contents(tmp_path / "1")) > 14


def test_an_undivided_folder_holds_every_fifth_out(save_pictures, tmp_path):
    root = save_pictures(tmp_path / "flat", {"a": 10, "b": 10})
    train, val = pack(root, tmp_path / "out")
    assert [len(shards.read(folder)[1]) for folder in (train, val)] == [16, 4]
    only_train = save_pictures(tmp_path / "some", {"train/a": 3, "train/b": 3})
    assert [path.name for path in pack(only_train, tmp_path / "some out")] == ["train"]
    with pytest.raises(FileNotFoundError, match="no folder for split 'val'"):
        pack(only_train, tmp_path / "some out", split="val")


def test_without_out_it_goes_where_load_finds_it(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "_REPOSITORY", tmp_path)
    monkeypatch.delenv("ALEXNET_DATA", raising=False)
    os.symlink(pictures, tmp_path / "imagenette")
    train, _ = pack(tmp_path / "imagenette", None)
    assert train == tmp_path / "runs" / "data" / "imagenette-16px" / "train"
    assert isinstance(catalogue.load("imagenette", size=16).images, shards.ShardedImages)
    assert catalogue.found()["imagenette"] is None  # nothing of its usual size


# Stops


@pytest.fixture
def stuck(own_pictures):
    """A folder that nobody can pack to its end: a picture of the shards 2 and 5 never comes.

    Two processes get as far as to write the shards 0, 1, 3 and 4. Gives the folder, and a
    function that puts the pictures there.
    """
    paths = [folders.scan(own_pictures).paths[place] for place in (15, 38)]
    real = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
        os.mkfifo(path)

    def mend():
        for path, content in zip(paths, real, strict=True):
            path.unlink()
            path.write_bytes(content)

    return own_pictures, mend


def start(root, out) -> subprocess.Popen:
    """Start the command in a process group of its own; come back when it is stuck."""
    command = [sys.executable, "-m", "alexnet_lib", "data", "pack", str(root), "--out", str(out),
               "--size", "16", "--shard-size", "7", "--workers", "2"]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE,
                               text=True)  # fmt: skip
    wait_for(lambda: len(whole_shards(out)) == 4 and len(list(out.rglob("*.partial"))) == 2)
    assert process.poll() is None
    return process


def wait_for(condition) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(group: int) -> list[str]:
    """The processes of a group that still run."""
    asked = ["ps", "-eo", "pgid=,stat=,args="]
    lines = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    rows = [line.split(None, 2) for line in lines]
    return [row[2] for row in rows if int(row[0]) == group and not row[1].startswith("Z")]


def whole_shards(out) -> dict[Path, int]:
    return {path.with_suffix(".npy"): path.with_suffix(".npy").stat().st_mtime_ns
            for path in out.rglob("shard-*.json")}  # fmt: skip


unix = pytest.mark.skipif(not hasattr(os, "mkfifo") or not shutil.which("ps"), reason="needs Unix")


@unix
@pytest.mark.parametrize("stop", ["kill all", "kill the first", "Ctrl-C"])
def test_a_stop_loses_no_whole_shard_and_leaves_no_process(stuck, tmp_path, stop):
    (root, mend), out = stuck, tmp_path / "out"
    process = start(root, out)
    if stop == "kill the first":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL if stop == "kill all" else signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    wait_for(lambda: not alive(process.pid))
    mend()
    before = whole_shards(out)
    assert len(before) == 4 and not (out / "train" / "manifest.json").exists()
    with pytest.raises(ValueError, match="not packed to its end. Mend it with: python -m alexnet"):
        catalogue.load(out)
    if stop == "Ctrl-C":
        assert process.returncode == 130 and "Traceback" not in error and "stopped" in error
        assert not list(out.rglob("*.partial")) and not list(out.glob("*.lock"))
    else:
        os.utime(out / "train.lock", (0, 0))  # instead of waiting until it's taken over
    pack(root, out)
    after = whole_shards(out)
    assert {path: after[path] for path in before} == before
    pack(root, tmp_path / "undisturbed", workers=1)
    assert contents(out) == contents(tmp_path / "undisturbed")


@unix
def test_a_killed_process_is_told_and_the_others_end(stuck, tmp_path):
    def kill_one():
        if len(whole_shards(tmp_path)) == 4:
            active_children()[0].kill()

    paths, folder = [str(path) for path in folders.scan(stuck[0]).paths], str(tmp_path)
    tasks = [
        shard_writers.Task(folder, n, 7 * n, paths[7 * n : 7 * n + 7], 16, None, "")
        for n in range(6)
    ]
    with pytest.raises(ChildProcessError, match="exit code -9 while it wrote .*shard-0.*same comm"):
        list(shard_writers.run(tasks, 2, kill_one))
    assert not active_children() and len(whole_shards(tmp_path)) == 4


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_is_told_in_words(pictures, tmp_path):
    pack(pictures, tmp_path / "out", split="train")
    (tmp_path / "out" / "train" / "shard-00001.npy").unlink()
    os.symlink("/dev/full", tmp_path / "out" / "train" / "shard-00001.npy.partial")
    with pytest.raises(OSError, match="no space left while writing .*train. Free some.*--out"):
        pack(pictures, tmp_path / "out", split="train")
    pack(pictures, tmp_path / "out", split="train")
    assert len(catalogue.load(tmp_path / "out", verify=True)) == 40


@pytest.mark.parametrize("quality", [None, 90])
def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    pictures, tmp_path, monkeypatch, quality
):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 10**6 - 9000, 9000))
    words = "need 39.9 kB" if quality is None else "need "
    with pytest.raises(OSError, match="52 pictures at 16 px need .* and 9.0 kB are free") as caught:
        pack(pictures, tmp_path / "out", quality=quality)
    assert caught.value.errno == errno.ENOSPC and words in str(caught.value)
    assert ("--jpeg" in str(caught.value)) == (quality is None)
    assert not (tmp_path / "out").exists()


# Pictures that are broken, and folders that change


def test_broken_pictures_are_left_out_and_listed(own_pictures, tmp_path):
    names = ["train/ant/003.jpg", "train/bee/000.jpg", *(f"train/cat/{i:03}" for i in range(5, 12))]
    paths = [path for name in names for path in own_pictures.glob(name + "*")]
    assert len(paths) == 9  # the whole of the shard with pictures 28 to 34 of cats among them
    for path in paths:
        path.write_bytes(b"no picture")
    for quality in (None, 90):
        out = tmp_path / f"out {quality}"
        with pytest.raises(ValueError, match="(?s)of 40 pictures .* at most 0 may.*--skip-broken"):
            pack(own_pictures, out, quality=quality)
        (train, _) = pack(own_pictures, out, quality=quality, skip_broken=0.25)
        images, labels, manifest = shards.read(train, verify=True)
        assert [sentence.split(" is not a ")[0] for sentence in manifest["skipped"]] == [
            str(path) for path in sorted(paths)
        ]
        scanned = folders.scan(own_pictures)
        kept = [i for i, path in enumerate(scanned.paths) if path not in paths]
        np.testing.assert_array_equal(labels, scanned.labels[kept])
        if quality is None:
            expected = [folders.read_image(scanned.paths[i], 16) for i in kept]
            np.testing.assert_array_equal(images[:], np.stack(expected))
        assert len(images[::-1]) == 31
        with pytest.raises(ValueError, match="9 of 40 pictures"):
            pack(own_pictures, out, quality=quality, skip_broken=0.2)  # also when all is there


def test_a_changed_folder_is_brought_up_to_date(own_pictures, tmp_path):
    (train,) = pack(own_pictures, tmp_path / "out", split="train")
    before = whole_shards(tmp_path / "out")
    for path in sorted((own_pictures / "train/cat").iterdir())[4:12]:
        path.unlink()
    pack(own_pictures, tmp_path / "out", split="train")
    after = whole_shards(tmp_path / "out")
    assert len(before) == 6 and len(after) == 5
    assert [path for path in sorted(after) if after[path] == before[path]] == sorted(before)[:4]
    pack(own_pictures, tmp_path / "anew", split="train")
    assert contents(tmp_path / "out") == contents(tmp_path / "anew")
    assert len(catalogue.load(train, verify=True)) == 32
    (own_pictures / "train/cat/000.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="at most 0 may be left out"):
        pack(own_pictures, tmp_path / "out", split="train")
    with pytest.raises(ValueError, match="not packed to its end"):  # half old, half new
        catalogue.load(train)


def test_what_is_there_is_never_mixed_with_something_else(pictures, own_pictures, tmp_path):
    pack(pictures, tmp_path / "out", split="val")
    for options, words in (
        ({"size": 20}, "size 16, now 20"), ({"quality": 90}, "quality None, now 90"),
        ({"shard_size": 5}, "shard_size 7, now 5"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"packed otherwise .{words}"):
            pack(pictures, tmp_path / "out", split="val", **options)
    (own_pictures / "val/ant/000.jpg").unlink()
    with pytest.raises(ValueError, match="packed otherwise .source .*mine/val, now .*own/val"):
        pack(own_pictures, tmp_path / "out", split="val")
    with pytest.raises(FileExistsError, match="holds something else .* another --out"):
        pack(pictures, own_pictures)
    moved = shutil.copytree(pictures, tmp_path / "moved")
    pack(moved, tmp_path / "out", split="val")  # the same pictures elsewhere


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 0}, "the size is 0; give 1 to 4096"), ({"workers": 0}, "workers is 0; give 1"),
        ({"quality": 96}, "JPEG quality is 96; give 1 to 95"),
        ({"shard_size": 0}, "shard size is 0"), ({"split": "trian"}, "unknown split"),
        ({"skip_broken": 1.5}, "share of broken pictures is 1.5"),
    ],
)  # fmt: skip
def test_values_that_make_no_sense(pictures, tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        pack(pictures, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_the_command_packs_and_says_what_is_there(own_pictures, tmp_path, capsys):
    (own_pictures / "train/ant/003.jpg").write_bytes(b"")
    asked = ["data", "pack", str(own_pictures), "--out", str(tmp_path / "out"), "--size", "16"]
    assert cli.main([*asked, "--split", "train", "--jpeg"]) == 1
    assert "at most 0 may be left out" in capsys.readouterr().err
    assert cli.main([*asked, "--split", "train", "--jpeg", "--skip-broken", "0.1"]) == 0
    assert "train: 39 images in 1 shards, 0.00 GB; 1 left out, see " in capsys.readouterr().out
    assert shards.read_manifest(tmp_path / "out" / "train")["quality"] == write_shards.JPEG_QUALITY
    for wrong in (["pack"], ["cifar10", "x"], ["--size", "3"], ["cifar10", "--verify"]):
        assert cli.main(["data", *wrong]) == 1
        assert "python -m alexnet_lib data pack FOLDER" in capsys.readouterr().err
