"""Damage to shards: found, told with a command, and mended by that command."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil

import numpy as np
import pytest

from alexnet_lib import datasets
from alexnet_lib.cli import commands as cli
from alexnet_lib.datasets import shards, write_shards

COUNTS = {"train/ant": 12, "train/bee": 9, "val/ant": 2, "val/bee": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory, save_pictures):
    place = tmp_path_factory.mktemp("damage")
    root = save_pictures(place / "mine", COUNTS)
    for kind, quality in (("raw", None), ("jpeg", 90)):
        write_shards.pack(
            root, place / kind, 16, quality=quality, shard_size=5, workers=1, progress=False
        )
    return place


@pytest.fixture(params=["raw", "jpeg"])
def whole(request, made):
    """A set at the place that its plan names, put back afterwards."""
    folder, spare = made / request.param, made / "spare"
    shutil.copytree(folder, spare)
    yield folder
    shutil.rmtree(folder)
    spare.rename(folder)


def shard(folder, number=2):
    return next(path for path in folder.glob(f"shard-{number:05}.*") if path.suffix != ".json")


def flip(path, place=-5):
    content = bytearray(path.read_bytes())
    content[place] ^= 64
    path.write_bytes(content)


def change_manifest(folder, **changes):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))


DAMAGE = {
    "cut short": lambda f: os.truncate(shard(f), shard(f).stat().st_size - 1),
    "too long": lambda f: shard(f).open("ab").write(b"x"),
    "missing": lambda f: shard(f).unlink(),
    "labels missing": lambda f: (f / "labels.npy").unlink(),
    "labels flipped": lambda f: flip(f / "labels.npy"),
    "labels of another set": lambda f: np.save(f / "labels.npy", np.arange(21) % 2),
    "manifest cut": lambda f: (f / "manifest.json").write_text('{"format_version": 2, "na'),
    "manifest bare": lambda f: (f / "manifest.json").write_text('{"format_version": 2}'),
    "manifest a list": lambda f: (f / "manifest.json").write_text("[1]"),
    "manifest missing": lambda f: (f / "manifest.json").unlink(),
    "manifest older": lambda f: change_manifest(f, shards=[]),
    "flipped": lambda f: flip(shard(f)),
    "flipped first": lambda f: flip(shard(f, 0), 0),
    "two flipped": lambda f: [flip(shard(f, number)) for number in (1, 3)],
}
HARMED = {"flipped first": [0], "two flipped": [1, 3], "flipped": [2], "cut short": [2],
          "too long": [2], "missing": [2]}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_and_its_command_mends_just_that(whole, name, capsys):
    before = {path.name: path.read_bytes() for path in (whole / "train").iterdir()}
    times = {n: shard(whole / "train", n).stat().st_mtime_ns for n in range(5)}
    DAMAGE[name](whole / "train")
    with pytest.raises(ValueError, match="Mend it with: python -m alexnet_lib data pack ") as told:
        datasets.load(whole, "train", verify="flipped" in name, progress=False)
    command = shlex.split(re.search(r"Mend it with: (.*?)  \(", str(told.value))[1])
    assert command[:3] == ["python", "-m", "alexnet_lib"]
    assert cli.main(command[3:]) == 0
    capsys.readouterr()
    assert {path.name: path.read_bytes() for path in (whole / "train").iterdir()} == before
    now = {n: shard(whole / "train", n).stat().st_mtime_ns for n in range(5)}
    assert [n for n in now if now[n] != times[n]] == HARMED.get(name, [])
    datasets.load(whole, "train", verify=True, progress=False)


@pytest.mark.parametrize("harm", ["sidecar cut", "sidecar missing", "plan cut", "plan a list"])
def test_notes_that_are_damaged_are_written_anew(whole, made, harm):
    train, quality = whole / "train", 90 if whole.name == "jpeg" else None
    before = {path.name: path.read_bytes() for path in train.iterdir()}
    path = train / ("plan.json" if "plan" in harm else "shard-00001.json")
    path.unlink() if "missing" in harm else path.write_text("[1]" if "list" in harm else '{"co')
    datasets.load(whole, "train", verify=True)  # reading needs none of them
    write_shards.pack(
        made / "mine", whole, 16, "train", quality=quality, shard_size=5, workers=1, progress=False
    )
    assert {path.name: path.read_bytes() for path in train.iterdir()} == before


def test_without_verifying_a_repeated_pack_reads_no_shard(whole, made, monkeypatch):
    monkeypatch.setattr(write_shards.shard_writers, "_start", None)  # starting a process would fail
    quality = 90 if whole.name == "jpeg" else None
    write_shards.pack(made / "mine", whole, 16, quality=quality, shard_size=5, progress=False)


def test_a_jpeg_that_is_damaged_is_told_when_it_is_read(made):
    images = shards.read(made / "jpeg" / "train")[0]
    path = shard(made / "jpeg" / "train")
    content = path.read_bytes()
    try:
        path.write_bytes(b"\0" * len(content))
        assert images[:10].shape == (10, 16, 16, 3)
        with pytest.raises(ValueError, match="picture 3 of .*-00002.jpegs is damaged .*verify"):
            images[13]
    finally:
        path.write_bytes(content)


def test_a_shard_that_vanishes_while_it_is_in_use_is_told(whole):
    images = datasets.load(whole, "train").images
    shard(whole / "train").unlink()
    with pytest.raises(ValueError, match="shard-00002.* can't be read .*Mend it with"):
        images[:]
    shard(whole / "train", 3).write_bytes(b"\x93NUMPY nonsense")
    with pytest.raises(ValueError, match="shard-00003.* (can't be read|is damaged).*Mend it with"):
        images[15]


def test_another_format_version_is_named(whole):
    change_manifest(whole / "train", format_version=7)
    with pytest.raises(ValueError, match="sharded format 7, this library reads 2. Delete"):
        datasets.load(whole, "train")


def test_a_set_of_one_file_and_a_set_of_shards_are_told_apart(made, tmp_path):
    assert shards.is_sharded(made / "raw" / "train") and not shards.is_sharded(made / "raw")
    folder = datasets.write_packed(tmp_path / "one", datasets.load(made / "raw", "val"))
    assert not shards.is_sharded(folder)
    with pytest.raises(ValueError, match="packed format 2, this library reads 1"):
        datasets.read_packed(made / "raw" / "train")


def test_a_split_that_is_not_there_is_named_with_the_command(made, tmp_path):
    write_shards.pack(made / "mine", tmp_path / "out", 16, "val", workers=1, progress=False)
    with pytest.raises(FileNotFoundError, match="split val, but no 'train'.*--split train"):
        datasets.load(tmp_path / "out", "train")
