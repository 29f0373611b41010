"""A picture followed through the network, and a learner's files of every kind on the map."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from alexnet_lib import architectures, datasets, shapes
from alexnet_lib.analysis import forward_trace
from alexnet_lib.course import widgets


@pytest.fixture
def small_map():
    """A map of one photo, and no more."""
    return widgets.NetworkMap(photos={"cat": datasets.photo("cat")})


# A journey


def test_a_journey_is_the_networks_own_forward_pass():
    import torch

    net, classes, mean = forward_trace.trained()
    journey = forward_trace.follow(datasets.photo("coffee"))
    x = torch.from_numpy(journey.maps["input"])[None]
    with torch.no_grad():
        logits = net(x)[0]
    np.testing.assert_allclose(journey.maps["fc8"], logits.numpy(), atol=1e-4)
    assert sum(chance for _, chance in journey.answers) == pytest.approx(1, abs=1e-5)
    assert {name for name, _ in journey.answers} == set(classes) and len(classes) == 10
    spec = {row.name: row.output for row in shapes.walk(architectures.network("paper", 10))}
    for stage in forward_trace.STAGES[1:]:
        assert journey.maps[stage].shape == spec[stage]
        if stage != "fc8":
            assert journey.maps[stage].min() >= 0
    back = journey.maps["input"].transpose(1, 2, 0) + mean.numpy()
    np.testing.assert_allclose(back, journey.picture, atol=1e-3)


@pytest.mark.parametrize(
    "photo", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 4, 3), np.uint8),
              np.zeros((8, 8, 4), np.uint8)],
)  # fmt: skip
def test_a_journey_needs_a_photo(photo):
    with pytest.raises(ValueError, match="give uint8"):
        forward_trace.follow(photo)


# Files of every kind


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
def test_pictures_of_any_size_and_colour_go_through(small_map, name):
    small_map.take(GOOD[name], f"{name}.png")
    assert small_map.trouble["text"] == ""
    assert small_map.own["label"] == small_map.photo == f"your picture, {name}.png"
    assert len(small_map.own["maps"]) == len(small_map.pictures[0]["maps"])
    assert forward_trace.decode(GOOD[name]).dtype == np.uint8


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
def test_what_is_no_picture_is_refused_and_nothing_is_lost(small_map, name):
    data, said = BAD[name]
    small_map.take(GOOD["grey"], "mine.png")
    before = (dict(small_map.own), small_map.photo, small_map.stage)
    count = small_map.trouble["number"]
    small_map.take(data, "file.jpg")
    text = small_map.trouble["text"]
    assert text.startswith("file.jpg ") and said in text and "stays as it was" in text
    assert len(text) < 300 and "BytesIO" not in text
    assert small_map.trouble["number"] == count + 1  # the page hears it again
    assert (dict(small_map.own), small_map.photo, small_map.stage) == before


def test_files_come_as_messages(small_map):
    strange = (({}, []), ("x", [b"y"]), ({"kind": "picture"}, []), ({"kind": 1}, [b"y"]))
    for content, buffers in strange:
        small_map._on_file(small_map, content, buffers)
    assert small_map.trouble == {}
    message = {"kind": "picture", "name": "a.png"}
    small_map._on_file(small_map, message, [memoryview(GOOD["grey"])])
    assert small_map.photo == "your picture, a.png"
