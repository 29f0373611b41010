"""What a learner asks a network to be trained on: pictures, recipe, device, as plain data.

An `Assignment` counts its pictures before anything is loaded, loads them, and says what is wrong
with them in words for someone who never saw the library.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from ... import architectures, datasets, records
from ..._errors import unknown_name
from ...architectures import LayerSpec, NetworkSpec
from ...datasets import ImageSet, folders, rendered, shards
from ...paper import CONVENTIONS, IMAGENET_IMAGES, RECIPES

__all__ = ["CHOICES", "RECIPE_CHOICES", "Assignment", "Survey", "from_record"]

#: What can be trained on, and how the desk calls it.
CHOICES: dict[str, str] = {
    "plain_shapes": "plain shapes, drawn on the spot",
    "shapes": "shapes and textures, drawn on the spot",
    "clothes": "clothes of 28 pixels, for a small network",
    "imagenette": "Imagenette, ten kinds of photos",
    "imagenet": "ImageNet, a thousand kinds",
    "folder": "a folder of my own",
}
#: The recipes, and how the desk calls them: which are the paper's and which are not.
RECIPE_CHOICES: dict[str, str] = {
    "quick_look": "quick look (not 2012): for half a minute",
    "paper2012_small_data": "the paper's, for thousands of pictures",
    "paper2012": "the paper's, as printed, for a million",
    "modern": "modern (not 2012)",
}
#: Pictures for training, for measuring, and kinds, of what may not be on this machine yet.
KNOWN = {"imagenette": (9_469, 3_925, 10), "imagenet": (IMAGENET_IMAGES, 50_000, 1_000)}
SIDE, SMALL_SIDE, SMALL_CROP = 256, 28, 24
#: First weights of the small network, so that it learns by each of the recipes.
SMALL_STD = {"conv1": 0.002, "conv2": 0.05, "conv3": 0.05, "fc": 0.01}


@dataclass(frozen=True)
class Survey:
    """How many pictures there are, before any is read.

    train, val, classes: counts. packed: whether none is still to be packed onto the disk.
    missing: how to get them where they aren't on this machine.
    """

    train: int
    val: int
    classes: int
    packed: bool
    missing: str = ""


@dataclass(frozen=True)
class Assignment:
    """One run, as a learner chooses it.

    data: a key of CHOICES. folder: for data="folder", one folder of pictures for each kind.
    recipe: a key of RECIPES. device: auto, cpu, cuda or mps. epochs, batch_size: 1 or more.
    pictures: at most so many to train on, and as many to measure by; 0 for all.
    """

    data: str = "plain_shapes"
    folder: str = ""
    recipe: str = "quick_look"
    device: str = "auto"
    epochs: int = 1
    batch_size: int = 12
    pictures: int = 240

    def __post_init__(self) -> None:
        if self.data not in CHOICES:
            raise unknown_name("data", self.data, CHOICES)
        if self.recipe not in RECIPES:
            raise unknown_name("recipe", self.recipe, RECIPES)
        for name, least in (("epochs", 1), ("batch_size", 1), ("pictures", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; give {least} or more.")

    @property
    def source(self) -> str:
        """What `datasets.load` is asked for; ValueError where no folder is named yet,
        FileNotFoundError where it isn't there. A relative one may also be below the course's."""
        if self.data != "folder":
            return {"clothes": "fashion_mnist"}.get(self.data, self.data)
        if not self.folder.strip():
            raise ValueError(
                "Name your folder first. It holds one folder for each kind of thing, such as "
                "pets/cats and pets/dogs, and in each of them the pictures of that kind."
            )
        given = Path(self.folder.strip()).expanduser()
        places = [given, records.root() / given, *(f / given for f in datasets.data_folders())]
        for place in places:
            if place.is_dir():
                return str(place)
        kind = "a file" if given.exists() else "no folder"
        beside = "" if given.is_absolute() else f" Looked for in {Path.cwd()} and {records.root()}."
        raise FileNotFoundError(
            f"{given} is {kind}; name one that holds a folder of pictures for each kind.{beside}"
        )

    @property
    def side(self) -> int:
        """The side of the pictures as they are kept, in pixels; training takes crops of them."""
        return SMALL_SIDE if self.data == "clothes" else SIDE

    def network(self, classes: int) -> NetworkSpec:
        """Return what is trained: the paper's network, or for clothes a small one."""
        if self.data != "clothes":
            return architectures.network("paper", classes)
        norm = CONVENTIONS["paper"]
        lrn = LayerSpec("lrn", "lrn", size=norm.size, alpha=norm.alpha, beta=norm.beta, k=norm.k,
                        convention="paper")
        spec = architectures.small_network(SMALL_CROP, 1, classes, (16, 16, 32), lrn=lrn)
        stages = (replace(s, weight_std=SMALL_STD.get(s.name, s.weight_std)) for s in spec.layers)
        return replace(spec, layers=tuple(stages))

    def survey(self) -> Survey:
        """Count the pictures without reading them; errors as `datasets.load` has them."""
        name = self.source
        if self.data in ("shapes", "plain_shapes"):
            counts = rendered.COUNTS
            train, val = counts["train"], counts["val"]
            if self.pictures:  # rendered sets have no end
                return Survey(self.pictures, self.pictures, len(rendered.CLASSES), True)
            return Survey(train, val, len(rendered.CLASSES), True)
        if self.data == "clothes":
            sets = [datasets.load(name, split) for split in ("train", "val")]
            return self._limited(*map(len, sets), len(sets[0].classes), True)
        try:
            path, _ = datasets.resolve(name, self.side)
        except FileNotFoundError as error:
            if name not in KNOWN:
                raise
            how = str(error).partition("). ")[2]
            words = f"{CHOICES[name].split(',')[0]} isn't on this machine yet. {how}"
            return self._limited(*KNOWN[name], False, words)
        if (found := shards.find(path, "train")) is not None:
            train = shards.read_manifest(found)
            val = shards.read_manifest(shards.find(path, "val"))
            return self._limited(train["count"], val["count"], len(train["classes"]), True)
        if datasets.is_packed(path):
            raise ValueError(f"{path} is one packed split; give the folder of pictures it is from.")
        if self.data == "imagenet":  # a million names take their time: not at every choice
            return self._limited(*KNOWN[name], False)
        train, val = (folders.scan(path, split) for split in ("train", "val"))
        return self._limited(len(train.paths), len(val.paths), len(train.classes), False)

    def _limited(
        self, train: int, val: int, classes: int, packed: bool, missing: str = ""
    ) -> Survey:
        most = self.pictures or max(train, val)
        return Survey(min(train, most), min(val, most), classes, packed, missing)

    def load(self) -> tuple[ImageSet, ImageSet, list[str]]:
        """Load training and validation pictures, and say which files were left out, one a line.

        Pictures that can't be read are left out, however many; ValueError where none of a kind is
        left, and all that `datasets.load` raises.
        """
        loaded, left_out = [], []
        for split in ("train", "val"):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                loaded.append(datasets.load(
                    self.source, split, self.side, self.pictures or None, skip_broken=True,
                    progress=False,
                ))  # fmt: skip
            for warning in caught:
                _, *lines = str(warning.message).splitlines()
                left_out += [line.strip() for line in lines]
        train, val = loaded
        there = np.bincount(train.labels, minlength=len(train.classes))
        if empty := [name for name, count in zip(train.classes, there, strict=True) if not count]:
            raise ValueError(
                f"No picture of {', '.join(map(repr, empty[:5]))} is left to train on"
                + (f": {left_out[0]}" if left_out else "; choose more pictures")
                + ". Every kind needs at least one."
            )
        return train, val, left_out

    def as_dict(self) -> dict[str, Any]:
        """Return it as a run's record keeps it."""
        return asdict(self)


def from_record(record: dict[str, Any], otherwise: Assignment) -> Assignment:
    """Return the assignment that a run's record tells of, also of one started in a terminal.

    What the record doesn't say, as those of older versions, is taken from `otherwise`.
    """
    known = {field.name for field in fields(Assignment)}
    kept = {name: value for name, value in (record.get("desk") or {}).items() if name in known}
    if not kept:
        kept = {"recipe": record.get("recipe", {}).get("name"), "pictures": 0}
        kept |= {"epochs": record.get("total_epochs"), "batch_size": record.get("batch_size")}
        names = {"fashion_mnist": "clothes"} | {name: name for name in CHOICES if name != "folder"}
        if data := record.get("data_from"):
            kept |= {"data": names[data]} if data in names else {"data": "folder", "folder": data}
    kept = {name: value for name, value in kept.items() if value is not None}
    if kept.get("recipe", otherwise.recipe) not in RECIPES:
        raise ValueError(
            f"that run follows the recipe {kept['recipe']!r}, which this version of the course "
            f"doesn't know; it knows {', '.join(RECIPES)}. Update the course (git pull)."
        )
    return replace(otherwise, **kept)
