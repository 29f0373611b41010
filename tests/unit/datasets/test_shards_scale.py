"""Packing 50,000 pictures needs no more memory than packing a few."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from alexnet_lib import augment
from alexnet_lib.datasets import folders, shards

ROOT = Path(__file__).resolve().parents[3]
COUNT, CONTENTS, SIZE = 50_000, 250, 48
PROGRAM = """
import resource, sys
from alexnet_lib.datasets import write_shards
write_shards.pack(sys.argv[1], sys.argv[2], {size}, "train", workers=2, progress=False)
print(*(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF,
                                                      resource.RUSAGE_CHILDREN)))
"""
# a process starts with the peak of the one that started it: so by a small one, not by the tests
STARTER = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"


def save_many(root: Path) -> None:
    """50,000 pictures of 16 x 16 in 50 classes, with 250 distinct contents."""
    rng = np.random.default_rng(0)
    contents = []
    for i in range(CONTENTS):
        contents.append(root / "contents" / f"{i}.ppm")
        contents[-1].parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(contents[-1])
    for i in range(COUNT):
        folder = root / "train" / f"class{i % 50:02}"
        if i < 50:
            folder.mkdir(parents=True)
        os.link(contents[i % CONTENTS], folder / f"{i:05}.ppm")


def test_fifty_thousand_pictures_in_constant_memory(tmp_path):
    save_many(tmp_path / "many")
    done = subprocess.run(
        [sys.executable, "-c", STARTER, sys.executable, "-c", PROGRAM.format(size=SIZE),
         tmp_path / "many", tmp_path / "out"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    unit = 1 if sys.platform == "darwin" else 1024
    peaks = [int(word) * unit for word in done.stdout.split()]  # the program, its processes
    decoded = COUNT * SIZE * SIZE * 3
    assert decoded > 345e6
    assert max(peaks) < 180e6, f"{[peak // 10**6 for peak in peaks]} MB"

    images, labels, manifest = shards.read(tmp_path / "out" / "train", verify=True)
    assert images.shape == (COUNT, SIZE, SIZE, 3) and len(manifest["shards"]) == 25
    assert np.bincount(labels).tolist() == [COUNT // 50] * 50
    whole = folders.scan(tmp_path / "many", "train")
    for place in np.random.default_rng(1).integers(0, COUNT, 50):
        expected = folders.read_image(whole.paths[place], SIZE)
        np.testing.assert_array_equal(images[int(place)], expected)
    firsts = [folders.read_image(tmp_path / "many" / "contents" / f"{i}.ppm", SIZE)
              for i in range(CONTENTS)]  # fmt: skip
    expected = np.mean(firsts, axis=0, dtype=np.float64).astype(np.float32)
    np.testing.assert_allclose(augment.mean_image(images), expected, rtol=1e-6)
