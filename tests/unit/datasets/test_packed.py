"""The packed format: round trips, interruptions, damage, and two processes at once."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
import time

import numpy as np
import pytest

from alexnet_lib import _files
from alexnet_lib.datasets import ImageSet, packed

SHAPE = (5, 6, 3)


def some_images(count: int = 12, seed: int = 0) -> ImageSet:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, *SHAPE), np.uint8)
    return ImageSet(images, np.arange(count) % 3, ["a", "b", "c"], "mine", "train", "a note")


def about(**changes) -> dict:
    keys = ("name", "split", "source", "note", "resize", "fingerprint")
    return {**{key: key for key in keys}, "classes": ["a", "b", "c"], **changes}


def test_what_is_written_is_read_back(tmp_path):
    images = some_images()
    folder = packed.write_packed(tmp_path / "set", images, source="a source", resize="none")
    back = packed.read_packed(folder, verify=True)
    assert isinstance(back.images, np.memmap) and not back.images.flags.writeable
    np.testing.assert_array_equal(back.images, images.images)
    np.testing.assert_array_equal(back.labels, images.labels)
    assert back.labels.dtype == np.int64 and len(back) == 12
    assert (back.classes, back.name, back.split, back.note) == (
        ["a", "b", "c"], "mine", "train", "a note",
    )  # fmt: skip


def test_the_files_are_plain_numpy_and_json_with_honest_checksums(tmp_path):
    images = some_images()
    folder = packed.write_packed(tmp_path / "set", images)
    assert sorted(path.name for path in folder.iterdir()) == [
        "images.npy", "labels.npy", "manifest.json",
    ]  # fmt: skip
    np.testing.assert_array_equal(np.load(folder / "images.npy"), images.images)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["count"] == 12 and manifest["shape"] == [12, 5, 6, 3]
    assert manifest["sha256"]["images"] == hashlib.sha256(images.images.tobytes()).hexdigest()
    assert manifest["sha256"]["labels"] == hashlib.sha256(images.labels.tobytes()).hexdigest()


def test_nothing_is_overwritten(tmp_path):
    packed.write_packed(tmp_path / "set", some_images())
    with pytest.raises(FileExistsError, match="Delete it first"):
        packed.write_packed(tmp_path / "set", some_images())


@pytest.mark.parametrize("stop_at", [0, 1, 7, 11])
def test_an_interrupted_pack_goes_on_where_it_stopped(tmp_path, stop_at):
    images, asked_from = some_images(), []

    def items_from(start):
        asked_from.append(start)
        for index in range(start, 12):
            if index == stop_at and len(asked_from) == 1:
                raise KeyboardInterrupt
            yield images.images[index], int(images.labels[index])

    target = tmp_path / "set"
    with pytest.raises(KeyboardInterrupt):
        packed.pack(target, items_from, 12, SHAPE, about(), progress=False)
    assert not target.exists() and not packed.is_packed(target)
    packed.pack(target, items_from, 12, SHAPE, about(), progress=False)
    assert asked_from == [0, stop_at]
    np.testing.assert_array_equal(packed.read_packed(target, verify=True).images, images.images)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("harm", ["other set", "cut short", "garbage"])
def test_leftovers_that_do_not_fit_are_not_used(tmp_path, harm):
    images, asked_from = some_images(), []

    def items_from(start):
        asked_from.append(start)
        for index in range(start, 12):
            if index == 6 and len(asked_from) == 1:
                raise KeyboardInterrupt
            yield images.images[index], int(images.labels[index])

    target, partial = tmp_path / "set", tmp_path / "set.partial"
    with pytest.raises(KeyboardInterrupt):
        packed.pack(target, items_from, 12, SHAPE, about(), progress=False)
    if harm == "cut short":
        os.truncate(partial / "images.npy", 200)
    if harm == "garbage":
        (partial / "progress.json").write_text("{")
    changed = about(fingerprint="another") if harm == "other set" else about()
    packed.pack(target, items_from, 12, SHAPE, changed, progress=False)
    assert asked_from == [0, 0]
    np.testing.assert_array_equal(packed.read_packed(target, verify=True).images, images.images)


def test_items_without_an_image_are_left_out_up_to_a_number(tmp_path):
    images = some_images()
    items = [(images.images[i], int(images.labels[i])) for i in range(12)]
    items[4] = ("cat.jpg is not a readable image", 1)
    with pytest.raises(ValueError, match="(?s)cat.jpg is not .*skip_broken=True") as e:
        packed.pack(tmp_path / "set", lambda s: items[s:], 12, SHAPE, about(), progress=False)
    assert "at most 0" in str(e.value)
    packed.pack(tmp_path / "set", lambda s: items[s:], 12, SHAPE, about(), 1, progress=False)
    kept = np.delete(np.arange(12), 4)
    back = packed.read_packed(tmp_path / "set", verify=True)
    np.testing.assert_array_equal(back.images, images.images[kept])
    np.testing.assert_array_equal(back.labels, images.labels[kept])
    skipped = packed.read_manifest(tmp_path / "set")["skipped"]
    assert skipped == ["cat.jpg is not a readable image"]


def test_images_of_another_shape_are_refused(tmp_path):
    items = [(np.zeros((4, 6, 3), np.uint8), 0)]
    with pytest.raises(ValueError, match=r"uint8 \(4, 6, 3\).*uint8 \(5, 6, 3\)"):
        packed.pack(tmp_path / "set", lambda s: items[s:], 1, SHAPE, about(), progress=False)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "cut short": lambda f: os.truncate(f / "images.npy", (f / "images.npy").stat().st_size - 1),
    "too long": lambda f: open(f / "images.npy", "ab").write(b"x"),
    "missing": lambda f: (f / "labels.npy").unlink(),
    "no array": lambda f: (f / "images.npy").write_bytes(b"nonsense"),
    "empty": lambda f: (f / "images.npy").write_bytes(b""),
    "other array": lambda f: np.save(f / "labels.npy", np.arange(11)),
    "manifest cut": lambda f: (f / "manifest.json").write_text('{"format_version": 1, "na'),
    "manifest bare": lambda f: (f / "manifest.json").write_text('{"format_version": 1}'),
    "manifest a list": lambda f: (f / "manifest.json").write_text("[1]"),
    "labels beyond": lambda f: np.save(f / "labels.npy", np.full(12, 3)),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_set_is_refused_without_verifying(tmp_path, name):
    folder = packed.write_packed(tmp_path / "set", some_images())
    DAMAGE[name](folder)
    with pytest.raises(ValueError, match="damaged|missing|must lie in 0..2"):
        packed.read_packed(folder)


@pytest.mark.parametrize("array", ["images", "labels"])
def test_a_flipped_bit_is_found_by_verifying(tmp_path, array):
    folder = packed.write_packed(tmp_path / "set", some_images())
    labels = packed.read_packed(folder).labels
    if array == "labels":
        np.save(folder / "labels.npy", labels[::-1].copy())
    else:
        flip_a_bit(folder / "images.npy")
    packed.read_packed(folder)
    with pytest.raises(ValueError, match=f"{array}.npy is damaged: wrong checksum. Delete"):
        packed.read_packed(folder, verify=True)


def test_another_format_version_is_named(tmp_path):
    folder = packed.write_packed(tmp_path / "set", some_images())
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format_version": 7}))
    with pytest.raises(ValueError, match="packed format 7, this library reads 1.*packed anew"):
        packed.read_packed(folder)


def test_a_folder_that_is_not_packed_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no manifest.json"):
        packed.read_packed(tmp_path)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space left while writing .*ALEXNET_CACHE"),
        (errno.EACCES, "no permission to read or write .*ALEXNET_CACHE"),
        (errno.EROFS, "no permission to read or write .*ALEXNET_CACHE"),
    ],
)
def test_a_full_or_closed_disk_is_told_in_words(tmp_path, monkeypatch, number, words):
    def fail(*_):
        raise OSError(number, "as the system says it")

    monkeypatch.setattr(packed, "_append", fail)
    with pytest.raises(OSError, match=words) as caught:
        packed.write_packed(tmp_path / "set", some_images())
    assert caught.value.errno == number
    assert not (tmp_path / "set").exists()


def test_two_packing_at_once_do_the_work_once(tmp_path):
    images, started = some_images(), []

    def items_from(start):
        started.append(start)
        for index in range(start, 12):
            time.sleep(0.01)
            yield images.images[index], int(images.labels[index])

    def work():
        packed.pack(tmp_path / "set", items_from, 12, SHAPE, about(), progress=False)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert started == [0]
    np.testing.assert_array_equal(packed.read_packed(tmp_path / "set").images, images.images)


def test_a_lock_left_behind_is_taken_over(tmp_path):
    left = tmp_path / "set.lock"
    left.touch()
    long_ago = time.time() - 2 * _files.STALE_SECONDS
    os.utime(left, (long_ago, long_ago))
    packed.write_packed(tmp_path / "set", some_images())
    assert not left.exists()


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int64), "needs .N, H, W, 1 or 3"),
        (np.zeros((2, 4, 4, 3), np.float32), np.zeros(2, np.int64), "float32"),
        (np.zeros((2, 4, 4, 3), np.uint8), np.zeros(3, np.int64), "one int64 label an image"),
        (np.zeros((2, 4, 4, 3), np.uint8), np.zeros(2, np.float64), "float64"),
        (np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 2]), "there are 2 classes"),
        (np.zeros((2, 4, 4, 3), np.uint8), np.array([-1, 0]), "from -1 to 0"),
    ],
)
def test_an_image_set_checks_its_parts(images, labels, message):
    with pytest.raises(ValueError, match=message):
        ImageSet(images, labels, ["a", "b"], "x", "train")


def test_an_image_set_has_length_subsets_and_a_short_repr():
    images = some_images()
    chosen = images.subset([5, 2])
    np.testing.assert_array_equal(chosen.images, images.images[[5, 2]])
    np.testing.assert_array_equal(chosen.labels, images.labels[[5, 2]])
    assert len(images.subset(images.labels == 0)) == 4 and len(images.subset([])) == 0
    assert repr(images) == "ImageSet(mine/train: 12 images, 5 x 6 x 3, 3 classes)"


def test_only_some_classes_are_kept_in_the_order_asked_for():
    images = some_images()
    chosen = images.only([images.classes[2], images.classes[0]])
    assert chosen.classes == [images.classes[2], images.classes[0]]
    assert (chosen.name, chosen.split, chosen.note) == (images.name, images.split, images.note)
    where = np.isin(images.labels, [0, 2])
    np.testing.assert_array_equal(chosen.images, images.images[where])
    np.testing.assert_array_equal(chosen.labels, (images.labels[where] == 0).astype(np.int64))
    with pytest.raises(ValueError, match=r"unknown class of mine 'cc'; did you mean"):
        images.only(["cc"])
