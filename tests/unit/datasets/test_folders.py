"""Image folders: listing them, and turning every kind of picture into a square of RGB bytes."""

from __future__ import annotations

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from alexnet_lib import datasets
from alexnet_lib.datasets import folders
from alexnet_lib.datasets.folders import balanced_indices, decode_all, read_image, scan


def save(path, array_or_image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = array_or_image
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(path, **options)
    return path


def plain(path, colour=(200, 30, 60), size=(12, 9)):
    return save(path, Image.new("RGB", size, colour))


@pytest.fixture
def divided(tmp_path):
    for split, count in (("train", 3), ("val", 2)):
        for name in ("cat", "ant", "bee"):
            for i in range(count):
                plain(tmp_path / split / name / f"{i}.png")
    return tmp_path


def test_classes_are_sorted_and_labels_follow_them(divided):
    folder = scan(divided, "train")
    assert folder.classes == ["ant", "bee", "cat"] and folder.split == "train"
    assert folder.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [path.parent.name for path in folder.paths[::3]] == ["ant", "bee", "cat"]
    assert len(scan(divided, "val").paths) == 6


def test_val_and_test_stand_in_for_each_other(divided):
    assert scan(divided, "test").split == "val"
    (divided / "val").rename(divided / "Testing")
    assert scan(divided, "val").split == "test"


def test_a_class_that_val_lacks_keeps_its_number(divided):
    for path in (divided / "val" / "bee").iterdir():
        path.unlink()
    (divided / "val" / "bee").rmdir()
    assert scan(divided, "val").labels.tolist() == [0, 0, 2, 2]


def test_a_class_that_train_lacks_is_an_error(divided):
    plain(divided / "val" / "dog" / "0.png")
    with pytest.raises(ValueError, match="has classes that .*train lacks: dog"):
        scan(divided, "val")


def test_without_split_folders_every_fifth_image_is_held_out(tmp_path):
    for name in ("a", "b"):
        for i in range(11):
            plain(tmp_path / name / f"{i:02}.png")
    train, val, everything = (scan(tmp_path, split) for split in ("train", "val", "all"))
    assert len(train.paths) == 18 and len(val.paths) == 4
    assert not set(train.paths) & set(val.paths)
    assert set(train.paths) | set(val.paths) == set(everything.paths)
    assert val.labels.tolist() == [0, 0, 1, 1]


def test_folders_below_a_class_count_when_it_has_no_images_itself(tmp_path):
    plain(tmp_path / "a" / "images" / "0.png")
    plain(tmp_path / "b" / "0.png")
    assert len(scan(tmp_path, "all").paths) == 2


def test_hidden_and_foreign_files_are_passed_over(divided):
    (divided / "train" / "ant" / "notes.txt").write_text("x")
    (divided / "train" / "ant" / "._0.png").write_bytes(b"x")
    (divided / "train" / ".cache").mkdir()
    assert len(scan(divided, "train").paths) == 9


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda t: t / "nowhere", FileNotFoundError, "is not a folder"),
        (lambda t: t, ValueError, "has no folders of kinds; a classifier needs two or more"),
        (lambda t: plain(t / "0.png").parent, ValueError, "kinds, and 1 picture outside; "),
        (lambda t: plain(t / "a" / "0.png").parents[1], ValueError, "one folder of a kind, 'a'; "),
        (
            lambda t: plain(plain(t / "p" / "a" / "0.png").parents[1] / "b" / "0.png").parents[2],
            ValueError, r"'p', and that one holds 2 folders \(a, b\).* give .*p\.",
        ),
        (lambda t: plain(t / "val" / "a" / "0.png").parents[2], FileNotFoundError, "it has val"),
    ],
)
def test_folders_that_will_not_do_are_explained(tmp_path, make, error, message):
    with pytest.raises(error, match=message):
        scan(make(tmp_path), "train")


def test_a_class_folder_without_images_is_named(divided):
    (divided / "train" / "dog").mkdir()
    with pytest.raises(ValueError, match="folder .*dog holds no pictures"):
        scan(divided, "train")


def test_too_few_images_to_hold_some_out(tmp_path):
    plain(tmp_path / "a" / "0.png"), plain(tmp_path / "b" / "0.png")
    with pytest.raises(ValueError, match="too few pictures to keep some apart for 'val'"):
        scan(tmp_path, "val")


def test_the_fingerprint_follows_names_and_bytes(divided):
    first = scan(divided, "train").fingerprint
    assert scan(divided, "train").fingerprint == first
    plain(divided / "train" / "ant" / "0.png", size=(50, 40))
    second = scan(divided, "train").fingerprint
    plain(divided / "train" / "ant" / "9.png")
    assert len({first, second, scan(divided, "train").fingerprint}) == 3


def test_a_limit_takes_evenly_from_all_classes():
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    assert balanced_indices(labels, 3).tolist() == [0, 4, 6]
    assert balanced_indices(labels, 5).tolist() == [0, 1, 4, 5, 6]
    assert balanced_indices(labels, 100).tolist() == list(range(7))


# Pictures


def test_a_picture_in_its_own_size_is_what_pillow_reads(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 11, 3), np.uint8)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", pixels)), pixels)


@pytest.mark.parametrize("shape", [(64, 96), (96, 64), (64, 64), (20, 30)])
def test_one_step_equals_resizing_the_shorter_side_and_cropping_the_centre(tmp_path, shape):
    smooth = np.random.default_rng(1).integers(0, 256, (6, 6, 3), np.uint8)
    image = Image.fromarray(smooth).resize(shape[::-1], Image.Resampling.BICUBIC)
    path = save(tmp_path / "a.png", image)
    width, height = (32 * side // min(image.size) for side in image.size)
    left, top = (width - 32) // 2, (height - 32) // 2
    whole = image.resize((width, height), Image.Resampling.BICUBIC)
    expected = np.asarray(whole.crop((left, top, left + 32, top + 32))).astype(int)
    assert np.abs(read_image(path, 32) - expected).max() <= 4


def test_shrinking_averages_instead_of_picking(tmp_path):
    fine = np.indices((128, 128)).sum(0) % 2 * np.uint8(255)
    shrunk = read_image(save(tmp_path / "a.png", fine.astype(np.uint8)), 16)
    assert np.abs(shrunk.astype(int) - 127).max() < 8


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "avif", "bmp", "gif", "tif"])
def test_every_format_gives_the_same_picture(tmp_path, ending):
    path = plain(tmp_path / f"a.{ending}", colour=(200, 30, 60), size=(40, 30))
    assert f".{ending}" in folders.EXTENSIONS
    pixels = read_image(path, 8)
    assert pixels.shape == (8, 8, 3) and pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - (200, 30, 60)).max() <= 6


@pytest.mark.parametrize(
    ("mode", "colour", "ending", "expected"),
    [
        ("L", 100, "png", (100, 100, 100)),
        ("1", 1, "png", (255, 255, 255)),
        ("P", 0, "png", (0, 0, 0)),
        ("CMYK", (0, 255, 255, 0), "jpg", (255, 0, 0)),
        ("RGBA", (10, 20, 30, 255), "png", (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), "png", (255, 255, 255)),
        ("LA", (10, 0), "png", (255, 255, 255)),
        ("I;16", 100 * 256, "png", (100, 100, 100)),
        ("I", 100, "tif", (100, 100, 100)),
    ],
)
def test_every_kind_of_pixel_becomes_rgb(tmp_path, mode, colour, ending, expected):
    path = save(tmp_path / f"a.{ending}", Image.new(mode, (9, 9), colour))
    assert np.abs(read_image(path, 4).astype(int) - expected).max() <= 3


def test_a_transparent_palette_colour_becomes_white(tmp_path):
    image = Image.new("P", (8, 8), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    path = save(tmp_path / "a.png", image, transparency=0)
    assert (read_image(path, 4) == 255).all()


def test_the_orientation_a_camera_notes_is_applied(tmp_path):
    image = Image.new("RGB", (8, 8), "black")
    image.paste("white", (0, 0, 8, 4))
    notes = image.getexif()
    notes[0x0112] = 6  # to be turned by a quarter clockwise
    turned = read_image(save(tmp_path / "a.png", image, exif=notes), 8)
    assert turned[:, 5:].min() == 255 and turned[:, :3].max() == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (4000, 3000)])
def test_tiny_long_and_huge_pictures_work(tmp_path, size):
    path = plain(tmp_path / "a.jpg", colour=(90, 90, 90), size=size)
    assert (np.abs(read_image(path, 16).astype(int) - 90) <= 2).all()


def broken_files(folder):
    whole = plain(folder / "whole.jpg", size=(64, 64)).read_bytes()
    png = plain(folder / "whole.png", size=(64, 64)).read_bytes()
    contents = {
        "empty.jpg": b"", "text.png": b"no picture", "cut.jpg": whole[: len(whole) // 2],
        "cut.png": png[: len(png) // 2],
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    save(folder / "float.tif", Image.new("F", (5, 5), 0.5))
    return [*contents, "float.tif"]


def test_a_broken_picture_is_named(tmp_path):
    for name in broken_files(tmp_path):
        with pytest.raises(ValueError, match=f"{name} is not a readable image: "):
            read_image(tmp_path / name, 8)


def test_a_decompression_bomb_is_named(tmp_path, monkeypatch):
    path = plain(tmp_path / "bomb.png", size=(64, 64))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="bomb.png is too large to be read safely: .* pixels"):
        read_image(path, 8)


def test_decoding_keeps_the_order_and_goes_on_after_a_broken_picture(tmp_path):
    for name in ("a", "b"):
        for i in range(60):
            grey = i + 100 * (name == "b")
            plain(tmp_path / name / f"{i:02}.png", colour=(grey, grey, grey))
    (tmp_path / "b" / "07.png").write_bytes(b"")
    folder = scan(tmp_path, "all")
    decoded = list(decode_all(folder, 8, start=10, workers=2))
    assert [label for _, label in decoded] == [0] * 50 + [1] * 60
    assert decoded.pop(57)[0].startswith(str(tmp_path / "b" / "07.png"))
    shades = [int(image[0, 0, 0]) for image, _ in decoded]
    assert shades == [*range(10, 60), *range(100, 107), *range(108, 160)]


# A learner's files of every kind


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


GOOD = {
    "grey": encoded(Image.new("L", (40, 30), 90)),
    "16 bit grey": encoded(Image.fromarray(np.full((30, 40), 40_000, np.uint16))),
    "one pixel": encoded(Image.new("RGB", (1, 1), (200, 10, 30))),
    "a line": encoded(Image.new("RGB", (3000, 1), "red")),
    "palette": encoded(Image.new("P", (50, 60), 3), "GIF"),
    "transparent": encoded(Image.new("RGBA", (50, 50), (10, 20, 30, 0))),
    "CMYK": encoded(Image.new("CMYK", (80, 50)), "JPEG"),
    "large": encoded(Image.new("RGB", (6000, 4000), "navy"), "JPEG"),
}


@pytest.mark.parametrize("name", GOOD)
def test_uploads_of_any_size_and_colour_are_read(name):
    photo = folders.read_upload(GOOD[name])
    assert photo.dtype == np.uint8 and photo.shape[2] == 3 and max(photo.shape) <= 454


def huge_png() -> bytes:
    """A small file that claims 50,000 x 50,000 pixels."""
    data = bytearray(encoded(Image.new("RGB", (4, 4))))
    data[16:24] = struct.pack(">II", 50_000, 50_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def large_header() -> bytes:
    """A picture of 12,000 x 12,000, more than is decoded, less than Pillow refuses."""
    return encoded(Image.new("1", (12_000, 12_000)))


BAD = {
    "empty": (b"", "is empty: 0 bytes"),
    "text": (b"dear diary, " * 40, "is not a picture that can be read"),
    "cut off": (encoded(Image.fromarray(datasets.photo("cat")), "JPEG")[:4000], "can't be decoded"),
    "broken": (encoded(Image.fromarray(datasets.photo("cat")))[:9000], "can't be decoded"),
    "huge": (huge_png(), "more than 100 million pixels"),
    "too large": (large_header(), "more than 100 million pixels"),
    "floats": (encoded(Image.new("F", (9, 9), 0.5), "TIFF"), "can't be decoded"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_upload_that_is_no_picture_is_refused_in_words(name):
    data, said = BAD[name]
    with pytest.raises(ValueError, match=rf"^file\.jpg .*{re.escape(said)}") as error:
        folders.read_upload(data, "file.jpg")
    assert len(str(error.value)) < 260 and "BytesIO" not in str(error.value)
