"""Reading shards: as an array, from threads and processes, through datasets and training."""

from __future__ import annotations

import json
import multiprocessing
import operator
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from alexnet_lib import architectures, augment, datasets, paper
from alexnet_lib.cli import commands as cli
from alexnet_lib.datasets import catalogue, shards, write_shards

SIZE = 12
COUNTS = {f"train/{name}": count for name, count in (("ant", 17), ("bee", 9), ("cat", 14))}
COUNTS |= {f"val/{name}": 4 for name in ("ant", "bee", "cat")}


@pytest.fixture(scope="module")
def packed(tmp_path_factory, save_pictures):
    """The folders of two sets of the same pictures, raw and JPEG, in shards of 7 pictures."""
    place = tmp_path_factory.mktemp("shards")
    root = save_pictures(place / "mine", COUNTS)
    for kind, quality in (("raw", None), ("jpeg", 90)):
        write_shards.pack(
            root, place / kind, SIZE, quality=quality, shard_size=7, workers=2, progress=False
        )
    return place


@pytest.fixture(params=["raw", "jpeg"])
def both(request, packed):
    """The training pictures as shards, and as the array that they stand for."""
    images = shards.read(packed / request.param / "train")[0]
    return images, np.stack([images[i] for i in range(len(images))])


KEYS = [
    0, 39, -1, -40, np.int64(8), slice(None), slice(3, 20), slice(None, None, 3),
    slice(30, 2, -5), slice(-4, None), slice(5, 5), slice(50, 90), [], [3], [20, 3, 3, -1],
    np.array([39, 0, 13]), np.array([6, 7, 8], np.uint8), np.arange(40) % 3 == 1,
    np.zeros(40, bool),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=lambda key: repr(key)[:30])
def test_every_index_gives_what_numpy_gives(both, key):
    images, array = both
    expected = array[np.asarray(key, int) if isinstance(key, list) else key]
    np.testing.assert_array_equal(images[key], expected, strict=True)


def test_it_says_of_itself_what_an_array_says(both):
    images, array = both
    assert images.shape == (40, SIZE, SIZE, 3) and len(images) == 40 and images.ndim == 4
    assert images.dtype == array.dtype and images.nbytes == array.nbytes
    np.testing.assert_array_equal(np.asarray(images), array)
    np.testing.assert_array_equal(np.array(images, np.float32), array.astype(np.float32))
    np.testing.assert_array_equal(np.stack(list(images)), array)
    assert "40 x 12 x 12 x 3" in repr(images)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (40, "no picture 40; there are 40"), (-41, "no picture -41"), ([3, 99], "no picture 99"),
        (np.zeros((2, 2), int), "give an integer"), ((0, 1), "give an integer"),
        (np.ones(39, bool), "40 booleans"),
        (slice(None, None, 0), None), ("a", "give an integer"), (0.5, "give an integer"),
        ((slice(None), 3), "index the array that comes back"),
    ],
)  # fmt: skip
def test_what_cannot_be_an_index_is_refused(both, key, words):
    images, _ = both
    with pytest.raises((IndexError, ValueError), match=words):
        images[key]


def test_few_files_are_open_however_many_shards_there_are(both, monkeypatch):
    images, array = both
    monkeypatch.setattr(shards, "OPEN_FILES", 2)
    images = pickle.loads(pickle.dumps(images))
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_array_equal(images[order], array[order])
    assert len(images._open) == 2


def test_threads_decode_large_requests_and_read_side_by_side(both, monkeypatch):
    images, array = both
    monkeypatch.setattr(shards, "LEAST_BYTES", 1)
    monkeypatch.setattr(shards, "cores", lambda: 3)
    monkeypatch.setattr(shards, "OPEN_FILES", 3)
    order = np.random.default_rng(1).integers(0, 40, (16, 30))
    with ThreadPoolExecutor(8) as pool:
        for chosen, pictures in zip(order, pool.map(images.__getitem__, order), strict=True):
            np.testing.assert_array_equal(pictures, array[chosen])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_read_disjoint_parts_at_once(packed, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system can't {method}")
    for kind in ("raw", "jpeg"):
        images = shards.read(packed / kind / "train")[0]
        array = images[:]  # files are open by now
        with multiprocessing.get_context(method).Pool(3) as pool:
            asked = [(images, np.arange(rank, 40, 3)) for rank in range(3)]
            parts = pool.starmap(operator.getitem, asked, chunksize=1)
        for rank, part in enumerate(parts):
            np.testing.assert_array_equal(part, array[rank::3])


def test_subsets_stay_on_disk_and_hold_the_same_pictures(packed):
    images = catalogue.load(packed / "raw", "train")
    array = datasets.ImageSet(
        np.asarray(images.images), images.labels, images.classes, images.name, images.split
    )
    for subset in (
        lambda s: s.subset([5, 2, 39]), lambda s: s.subset(s.labels == 1), lambda s: s.subset([]),
        lambda s: s.only(["cat", "ant"]), lambda s: s.only(["cat", "ant"]).subset(range(3, 20, 2)),
    ):  # fmt: skip
        chosen, expected = subset(images), subset(array)
        assert isinstance(chosen.images, shards.ShardedImages)
        np.testing.assert_array_equal(chosen.images[:], expected.images)
        np.testing.assert_array_equal(chosen.labels, expected.labels)
        assert chosen.classes == expected.classes
    limited = catalogue.load(packed / "raw", "train", limit=5, classes=["bee", "cat"])
    assert limited.labels.tolist() == [0, 0, 0, 1, 1]
    assert isinstance(limited.images, shards.ShardedImages)
    folder = datasets.write_packed(packed / "one file", images)
    np.testing.assert_array_equal(datasets.read_packed(folder).images, array.images)


class Watched(shards.ShardedImages):
    """Notes how many pictures each request asks for."""

    def _fetch(self, rows):
        self.requests = [*getattr(self, "requests", []), len(rows)]
        return super()._fetch(rows)


def test_the_mean_and_the_colours_are_read_in_chunks(both, monkeypatch):
    images, array = both
    images.__class__ = Watched
    exact = torch.from_numpy(array.mean(axis=0).astype(np.float32))
    torch.testing.assert_close(augment.mean_image(images, chunk=16), exact)
    assert images.requests == [16, 16, 8]
    images.requests = []
    part = torch.from_numpy(array[5:15].sum(axis=0, dtype=np.int64))
    assert torch.equal(augment.pixel_sum(images, 5, 15, chunk=4), part)
    assert images.requests == [4, 4, 2]
    images.requests = []
    monkeypatch.setattr(augment, "CHUNK", 3)
    values, vectors = augment.colour_components(images, limit=20)
    assert images.requests == [3, 3, 3, 3, 3, 3, 2]
    covariance = np.cov(array[::2].reshape(-1, 3).T.astype(float), bias=True)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(covariance)[::-1], rtol=1e-5)
    rebuilt = (vectors * values) @ vectors.T
    torch.testing.assert_close(rebuilt, torch.from_numpy(covariance).float(), rtol=1e-4, atol=1e-2)


def test_training_from_shards_is_training_from_memory(packed, fit, toy_recipe, tmp_path):
    train, val = (catalogue.load(packed / "raw", split) for split in ("train", "val"))
    in_memory = datasets.ImageSet(
        np.asarray(train.images), train.labels, train.classes, train.name, train.split
    )
    _, ours = fit(recipe=toy_recipe, train=train, val=val)
    _, theirs = fit(recipe=toy_recipe, train=in_memory, val=val)
    assert ours.losses == theirs.losses and len(ours.losses) == 15


def test_the_command_trains_from_shards(
    packed, toy_spec, toy_recipe, monkeypatch, tmp_path, capsys
):
    monkeypatch.setitem(architectures.VARIANTS, "toy", lambda n: toy_spec)
    monkeypatch.setitem(paper.RECIPES, "toy", toy_recipe)
    asked = ["train", "--variant", "toy", "--recipe", "toy", "--epochs", "1", "--device", "cpu",
             "--data", str(packed / "jpeg"), "--out", str(tmp_path / "run")]  # fmt: skip
    assert cli.main([*asked, "--size", "12"]) == 0
    assert "mine/train: 40 images" in capsys.readouterr().out
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert (record["train_images"], record["val_images"]) == (40, 12)
    assert cli.main([*asked[:-1], str(tmp_path / "other")]) == 1  # the network's own size is 10
    assert "packed at 12 x 12 pixels, not at 10. Ask for size 12" in capsys.readouterr().err


def test_a_set_of_shards_is_found_by_name_at_its_size_only(packed, monkeypatch, tmp_path):
    monkeypatch.setattr(catalogue, "_REPOSITORY", tmp_path)
    monkeypatch.setenv("ALEXNET_DATA", str(packed))
    os.symlink(packed / "raw", packed / f"imagenet-{SIZE}px")
    assert isinstance(catalogue.load("imagenet", size=SIZE).images, shards.ShardedImages)
    assert catalogue.load("imagenet", "val", SIZE).split == "val"
    assert len(catalogue.load("raw", "val")) == 12
    with pytest.raises(FileNotFoundError, match="'imagenet' was not found"):
        catalogue.load("imagenet")
    monkeypatch.setenv("ALEXNET_CACHE", str(tmp_path / "cache"))
    os.symlink(packed / "mine", packed / "imagenet")
    assert isinstance(catalogue.load("imagenet", size=8, progress=False).images, np.memmap)


def test_a_split_is_found_from_above_and_by_its_own_folder(packed):
    assert catalogue.load(packed / "raw" / "val").split == "val"
    assert catalogue.load(packed / "raw", "test").split == "val"
    assert catalogue.load(packed / "raw", "validation").name == "mine"
    with pytest.raises(FileNotFoundError, match="split train, val, but no 'all'"):
        catalogue.load(packed / "raw", "all")
    assert shards.find(packed / "mine", "train") is None
