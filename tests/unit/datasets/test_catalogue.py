"""Loading by name or path: what is found where, packed once, and how bad input is answered."""

from __future__ import annotations

import errno
import os
import pickle
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from alexnet_lib.datasets import builtin, catalogue, cifar, folders, packed, rendered


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """An empty cache and an empty data folder, whatever this machine has."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("ALEXNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(catalogue, "_REPOSITORY", tmp_path / "repository")
    return tmp_path


def make_folder(root, counts, size=(20, 16), ending="png"):
    """counts: {"train/cat": 3}; every picture has its own grey: its place in the sorted list."""
    shade = 0
    for name in sorted(counts):
        (root / name).mkdir(parents=True)
        for i in range(counts[name]):
            Image.new("RGB", size, (shade, shade, shade)).save(root / name / f"{i:03}.{ending}")
            shade += 1
    return root


def load(*arguments, **options):
    return catalogue.load(*arguments, progress=False, **options)


# Folders


def test_a_folder_is_packed_once_and_then_mapped(places, monkeypatch):
    root = make_folder(places / "mine", {"train/b": 3, "train/a": 2, "val/a": 1, "val/b": 1})
    images = load(root, "train", size=8)
    assert images.images.shape == (5, 8, 8, 3) and isinstance(images.images, np.memmap)
    assert images.images[:, 4, 4, 0].tolist() == [0, 1, 2, 3, 4]
    assert images.labels.tolist() == [0, 0, 1, 1, 1] and images.classes == ["a", "b"]
    assert (images.name, images.split, images.note) == ("mine", "train", "image folder mine")
    monkeypatch.setattr(folders, "decode_all", None)  # a second decoding would fail
    again = load(str(root), "training", size=8)
    np.testing.assert_array_equal(again.images, images.images)
    manifest = packed.read_manifest(next((places / "cache").iterdir()))
    assert manifest["source"] == str(root / "train") and "bicubic" in manifest["resize"]


def test_splits_and_sizes_are_packed_apart(places):
    root = make_folder(places / "mine", {"train/a": 1, "train/b": 1, "val/a": 1, "val/b": 1})
    load(root, "train", size=8), load(root, "val", size=8), load(root, "train", size=10)
    assert load(root).images.shape[1:] == (256, 256, 3)
    assert len(list((places / "cache").iterdir())) == 4


def test_a_changed_folder_is_packed_again(places):
    root = make_folder(places / "mine", {"train/a": 2, "train/b": 1})
    assert len(load(root, size=8)) == 3
    Image.new("RGB", (9, 9), "red").save(root / "train/a/new.png")
    assert len(load(root, size=8)) == 4


@pytest.mark.parametrize("whole_first", [False, True])
def test_a_limit_gives_the_same_images_packed_before_or_not(places, whole_first):
    root = make_folder(places / "mine", {"train/a": 5, "train/b": 3, "train/c": 1})
    if whole_first:
        load(root, size=8)
    few = load(root, size=8, limit=5)
    assert few.images[:, 0, 0, 0].tolist() == [0, 1, 5, 6, 8]
    assert few.labels.tolist() == [0, 0, 1, 1, 2]
    assert len(load(root, size=8, limit=99)) == 9


def test_a_packed_folder_loads_by_its_path(places):
    made = packed.write_packed(places / "packed", load("shapes", size=16, limit=20))
    images = load(made, verify=True)
    assert len(images) == 20 and len(load(made, size=16, limit=10)) == 10
    with pytest.raises(ValueError, match="packed at 16 x 16 pixels, not at 32"):
        load(made, size=32)


def test_a_damaged_cache_is_told_with_the_next_step(places):
    root = make_folder(places / "mine", {"train/a": 2, "train/b": 1})
    load(root, size=8)
    cached = next((places / "cache").iterdir())
    content = bytearray((cached / "images.npy").read_bytes())
    content[-1] ^= 255
    (cached / "images.npy").write_bytes(content)
    load(root, size=8)
    with pytest.raises(ValueError, match="wrong checksum. Delete .*load the set again"):
        load(root, size=8, verify=True)


def test_broken_images_are_an_error_unless_they_are_few_enough(places):
    root = make_folder(places / "mine", {"train/a": 6, "train/b": 4})
    (root / "train/b/001.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"(?s)at most 0 may be skipped.*001\.png is not a read"):
        load(root, size=8)
    for allowed in (0.1, True):
        with pytest.warns(UserWarning, match=r"(?s)left out 1 of 10 .*b.001\.png"):
            images = load(root, size=8, skip_broken=allowed)
        assert images.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9]
        assert images.labels.tolist() == [0] * 6 + [1] * 3
    with pytest.raises(ValueError, match="1 of 10 images cannot be read, more than skip_broken=0 "):
        load(root, size=8, skip_broken=False)  # also when it is packed already


def test_a_folder_of_nothing_but_broken_images_is_an_error(places):
    root = make_folder(places / "mine", {"train/a": 2, "train/b": 1})
    for path in root.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="3 of the first 3 images"):
        load(root, size=8, skip_broken=True)


def test_grey_alpha_and_palette_images_load_together(places):
    root = make_folder(places / "mine", {"train/a": 1, "train/b": 1})
    for i, mode in enumerate(("L", "RGBA", "P", "1", "CMYK")):
        Image.new(mode, (30, 10 + i)).save(root / "train/a" / f"{mode}.tif")
    assert load(root, size=8).images.shape == (7, 8, 8, 3)


def test_a_full_disk_is_told_in_words(places, monkeypatch):
    root = make_folder(places / "mine", {"train/a": 1, "train/b": 1})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(packed, "_append", full)
    with pytest.raises(OSError, match="no space left while writing .*ALEXNET_CACHE"):
        load(root, size=8)


def test_a_cache_that_cannot_be_made_is_told_in_words(places, monkeypatch):
    root = make_folder(places / "mine", {"train/a": 1, "train/b": 1})
    (places / "file").write_text("")
    monkeypatch.setenv("ALEXNET_CACHE", str(places / "file"))
    with pytest.raises(OSError):
        load(root, size=8)

    def closed(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", "somewhere")

    monkeypatch.setattr(packed.Path, "mkdir", closed)
    with pytest.raises(PermissionError, match="no permission to read or write somewhere.*CACHE"):
        load(root, size=8)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("imagenete",), ValueError, "unknown data set or folder 'imagenete'.*'imagenette'"),
        (("shapes", "trian"), ValueError, "unknown split 'trian'; did you mean 'train'"),
        (("no/such/folder",), FileNotFoundError, "folder is not a folder. Give a folder with"),
        (("imagenette",), FileNotFoundError, "python -m alexnet_lib data imagenette"),
        (("cifar10",), FileNotFoundError, "python -m alexnet_lib data cifar10"),
        (("imagenet",), FileNotFoundError, "register at https://image-net.org"),
        (("shapes", "all"), ValueError, "only for image folders"),
        (("shapes", "train", 0), ValueError, "size is 0"),
        (("shapes", "train", 8, 0), ValueError, "limit is 0"),
    ],
)
def test_what_cannot_be_loaded_is_explained(arguments, error, message):
    with pytest.raises(error, match=message):
        load(*arguments)


def test_not_found_names_every_place_it_looked(places):
    with pytest.raises(FileNotFoundError) as caught:
        catalogue.find("imagenette")
    assert str(places / "data") in str(caught.value)
    assert str(places / "repository" / "runs" / "data") in str(caught.value)


# Sets by name


@pytest.mark.parametrize("place", ["above", "itself", "downloads"])
def test_imagenette_is_found_and_its_classes_get_their_names(places, monkeypatch, place):
    wnids = ("n03445777", "n01440764")
    names = {f"{split}/{wnid}": 1 for split in ("train", "val") for wnid in wnids}
    parent = places / "repository/runs/data" if place == "downloads" else places / "data"
    root = make_folder(parent / "imagenette160", names, size=(160, 160), ending="avif")
    if place == "itself":
        monkeypatch.setenv("ALEXNET_DATA", str(root))
    images = load("imagenette", "val", size=16)
    assert images.classes == ["tench", "golf ball"] and images.name == "imagenette"
    assert images.note == "Imagenette, re-encoded 160 px AVIF"
    assert catalogue.found()["imagenette"] == str(root)
    assert load(root, "val", size=16).name == "imagenette"


def test_a_folder_of_ones_own_is_found_by_name_too(places):
    make_folder(places / "data" / "birds", {"train/a": 1, "train/b": 1})
    assert load("birds", size=8).name == "birds"


def test_shapes_are_rendered_at_any_size_and_in_any_number():
    images = load("shapes", "val", size=8, limit=1005, seed=5)
    assert images.images.shape == (1005, 8, 8, 3) and images.classes == rendered.CLASSES
    assert images.labels[:12].tolist() == [*range(10), 0, 1]
    np.testing.assert_array_equal(images.images[3], rendered.render(3, 8, "val", 5))
    assert "8 px" in images.note and "seed 5" in images.note


def test_rendered_sets_draw_the_classes_asked_for_and_no_others():
    images = load("plain_shapes", "val", size=16, limit=7, classes=["ring", "circle"])
    assert images.name == "plain_shapes" and "plain shapes" in images.note
    assert images.classes == ["ring", "circle"] and images.labels.tolist() == [0, 1, 0, 1, 0, 1, 0]
    expected = rendered.render(10, 16, "val", plain=True)  # the second circle
    np.testing.assert_array_equal(images.images[3], expected)
    assert load("plain_shapes", limit=1).images.shape == (1, 64, 64, 3)


def test_other_sets_can_be_cut_down_to_some_classes():
    images = load("fashion_mnist", "val", limit=6, classes=["Bag", "Trouser"])
    assert images.classes == ["Bag", "Trouser"]
    assert sorted(images.labels.tolist()) == [0, 0, 0, 1, 1, 1]
    whole = load("fashion_mnist", "val")
    bag = whole.images[whole.labels == whole.classes.index("Bag")][0]
    np.testing.assert_array_equal(images.images[images.labels == 0][0], bag)


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (["circel"], "unknown class of shapes 'circel'; did you mean 'circle'"),
        ([], r"classes is \[\]; name at least one"),
        (["ring", "ring"], "none twice"),
    ],
)
def test_classes_that_make_no_sense(classes, words):
    with pytest.raises(ValueError, match=words):
        load("shapes", limit=4, classes=classes)


def test_fashion_mnist_ships_balanced_and_whole():
    train, test = load("fashion_mnist", verify=True), load("fashion_mnist", "val", verify=True)
    assert train.images.shape == (8000, 28, 28, 1) and test.images.shape == (2000, 28, 28, 1)
    assert set(Counter(train.labels.tolist()).values()) == {800}
    assert set(Counter(test.labels.tolist()).values()) == {200}
    assert test.split == "test" and train.classes[9] == "Ankle boot"
    known, asked = (images.images[:1000, ::4, ::4] / 255 for images in (train, test))
    distances = ((known[:, None] - asked[None, :100]) ** 2).sum((2, 3, 4))
    nearest = distances.argmin(0)
    assert (train.labels[nearest] == test.labels[:100]).mean() > 0.5  # the labels belong to them


def test_a_size_scales_small_images_in_memory():
    scaled = load("fashion_mnist", "test", size=32, limit=10)
    assert scaled.images.shape == (10, 32, 32, 1) and scaled.note.endswith("scaled to 32 px")
    assert sorted(scaled.labels.tolist()) == list(range(10))


def write_cifar10(folder, python):
    random = np.random.default_rng(0)
    folder.mkdir()
    names = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
    batches = {}
    for name in names:
        pixels = random.integers(0, 256, (4, 3, 32, 32), np.uint8)
        labels = random.integers(0, 10, 4)
        batches[name] = pixels, labels
        if python:
            content = {b"data": pixels.reshape(4, -1), b"labels": labels.tolist()}
            (folder / name).write_bytes(pickle.dumps(content, protocol=2))
        else:
            rows = np.concatenate([labels[:, None].astype(np.uint8), pixels.reshape(4, -1)], 1)
            rows.tofile(folder / f"{name}.bin")
    return batches


@pytest.mark.parametrize("python", [False, True])
def test_cifar10_loads_from_either_published_version(places, python):
    version = "py" if python else "bin"
    batches = write_cifar10(places / "data" / f"cifar-10-batches-{version}", python)
    train, test = load("cifar10"), load("cifar10", "val")
    assert train.images.shape == (20, 32, 32, 3) and test.split == "test" and len(test) == 4
    pixels, labels = batches["data_batch_2"]
    np.testing.assert_array_equal(train.images[4:8], pixels.transpose(0, 2, 3, 1))
    assert train.labels[4:8].tolist() == labels.tolist()
    assert train.classes == cifar.CLASSES and load("cifar10", size=8).images.shape[1] == 8


class Evil:
    def __reduce__(self):
        return os.getcwd, ()


def test_a_pickle_that_would_run_code_is_refused(places):
    folder = places / "data" / "cifar-10-batches-py"
    write_cifar10(folder, python=True)
    (folder / "test_batch").write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(ValueError, match="test_batch is damaged .*no array"):
        load("cifar10", "test")


@pytest.mark.parametrize("harm", ["cut", "label", "missing"])
def test_damaged_cifar10_batches_are_named(places, harm):
    folder = places / "data" / "cifar-10-batches-bin"
    write_cifar10(folder, python=False)
    batch = folder / "data_batch_3.bin"
    if harm == "cut":
        os.truncate(batch, 5000)
    elif harm == "label":
        batch.write_bytes(b"\xff" + batch.read_bytes()[1:])
    else:
        batch.unlink()
    with pytest.raises((ValueError, FileNotFoundError), match="data_batch_3.bin is .*data cifar10"):
        load("cifar10")


def test_cifar10_as_an_image_folder_says_so(places):
    counts = {f"{split}/{name}": 1 for split in ("train", "test") for name in ("cat", "dog")}
    make_folder(places / "data" / "cifar10-jpeg", counts, size=(32, 32), ending="jpg")
    images = load("cifar10", "val")
    assert images.images.shape == (2, 32, 32, 3) and images.split == "test"
    assert images.note == "CIFAR-10, re-encoded JPEG"


def test_the_overview_names_every_set_and_how_to_get_it(places):
    text = catalogue.overview()
    assert all(name in text for name in catalogue.NAMES)
    assert "python -m alexnet_lib data cifar10" in text and "image-net.org" in text


# What ships


def test_every_photo_is_there_small_and_in_colour():
    assert len(catalogue.PHOTOS) >= 4
    for name in catalogue.PHOTOS:
        pixels = catalogue.photo(name)
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
        assert max(pixels.shape) <= 512 and pixels.std() > 20
        assert f"`{name}.jpg`" in (builtin.FOLDER / "photos" / "SOURCES.md").read_text("utf-8")
    files = {path.stem for path in (builtin.FOLDER / "photos").glob("*.jpg")}
    assert files == set(catalogue.PHOTOS)
    with pytest.raises(ValueError, match="unknown photo 'kat'; did you mean 'cat'"):
        catalogue.photo("kat")


def test_the_history_is_complete_and_every_value_has_its_source():
    rows = catalogue.history()
    assert [(row.year, row.place) for row in rows] == [
        (year, place) for year in range(2010, 2018) for place in (1, 2)
    ]
    for row in rows:
        assert row.method in ("hand-made features", "convolutional network")
        assert row.error_source
        assert bool(row.depth_source) == (row.depth is not None)
        assert bool(row.parameters_source) == (row.parameters is not None)
    winners = {row.year: row for row in rows if row.place == 1}
    errors = [winners[year].error for year in sorted(winners)]
    assert errors == sorted(errors, reverse=True)
    for year in winners:
        assert winners[year].error < next(r.error for r in rows if (r.year, r.place) == (year, 2))
    alexnet = winners[2012]
    assert (alexnet.network, alexnet.depth, alexnet.parameters) == ("AlexNet", 8, 60)
    assert round(alexnet.error, 1) == 15.3 and "16.422" in alexnet.note


def test_a_missing_shipped_file_says_how_to_get_it_back(tmp_path, monkeypatch):
    monkeypatch.setattr(builtin, "FOLDER", tmp_path)
    for read in (lambda: builtin.photo("cat"), lambda: load("fashion_mnist")):
        with pytest.raises(FileNotFoundError, match="git checkout -- data"):
            read()


def test_what_ships_stays_small():
    sizes = [path.stat().st_size for path in builtin.FOLDER.rglob("*") if path.is_file()]
    assert sum(sizes) < 12e6
    fashion = (builtin.FOLDER / "fashion_mnist").rglob("*")
    assert sum(path.stat().st_size for path in fashion if path.is_file()) < 4e6
