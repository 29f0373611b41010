"""Image sets by name or path: find, pack once, and load."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from .._errors import unknown_name
from .._files import ROOT
from . import builtin, cifar, downloads, packed, rendered, shards
from . import folders as folders_dataset
from .builtin import PHOTOS, photo
from .ilsvrc_history import history
from .packed import ImageSet, read_packed, write_packed

__all__ = [
    "IMAGENETTE_CLASSES",
    "NAMES",
    "PHOTOS",
    "ImageSet",
    "cache_folder",
    "data_folders",
    "describe",
    "download",
    "find",
    "found",
    "history",
    "load",
    "overview",
    "photo",
    "read_packed",
    "resolve",
    "split_name",
    "write_packed",
]

#: The sets that `load` knows, with the side in pixels that each gets when no size is asked for.
NAMES = {
    "shapes": 64, "plain_shapes": 64, "fashion_mnist": 28, "cifar10": 32, "imagenette": 256,
    "imagenet": 256,
}  # fmt: skip
FOLDER_SIZE = 256
#: The folder names under which each set is found, the first match counts.
FOLDERS = {
    "cifar10": ("cifar-10-batches-bin", "cifar-10-batches-py", "cifar10", "cifar10-jpeg"),
    "imagenette": ("imagenette2", "imagenette2-320", "imagenette2-160", "imagenette",
                   "imagenette160"),
    "imagenet": ("imagenet", "ILSVRC2012", "imagenet2012", "ILSVRC/Data/CLS-LOC"),
}  # fmt: skip
#: Imagenette's ten ImageNet classes.
IMAGENETTE_CLASSES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
SKIPPED_SHARE = 0.01  # the share of broken images that a set may have and still load

_REPOSITORY = ROOT


def cache_folder() -> Path:
    """Where packed sets are kept: `ALEXNET_CACHE`, else `runs/cache` beside the library."""
    return Path(os.environ.get("ALEXNET_CACHE") or _REPOSITORY / "runs" / "cache").expanduser()


def data_folders() -> list[Path]:
    """Where named sets are looked for: `ALEXNET_DATA` first, then `runs/data` (downloads)."""
    named = os.environ.get("ALEXNET_DATA")
    own = [Path(named).expanduser()] if named else []
    return [*own, _REPOSITORY / "runs" / "data"]


def find(name: str, size: int | None = None) -> Path:
    """The folder of `cifar10`, `imagenette` or `imagenet`; FileNotFoundError says where it looked.

    size: a finished sharded set of this size, such as imagenet-256px, comes first.
    `ALEXNET_DATA` may name the set's own folder or the one above it.
    """
    for folder in data_folders() if size else ():
        sharded = folder / f"{name}-{size}px"
        if any((sharded / split / "manifest.json").is_file() for split in folders_dataset.SPLITS):
            return sharded
    for folder in data_folders():
        for candidate in FOLDERS[name]:
            if (folder / candidate).is_dir():
                return folder / candidate
        if folder.name in FOLDERS[name] and folder.is_dir():
            return folder
    places = ", ".join(str(folder) for folder in data_folders())
    raise FileNotFoundError(
        f"data set {name!r} was not found in {places} (as {', '.join(FOLDERS[name])}). "
        + _how_to_get(name)
    )


def found() -> dict[str, str | None]:
    """For every name in `NAMES`, where the set comes from, or None if it is not on this machine."""
    places: dict[str, str | None] = dict.fromkeys(("shapes", "plain_shapes"), "rendered")
    places["fashion_mnist"] = "ships in data/"
    for name in FOLDERS:
        try:
            places[name] = str(find(name, NAMES[name]))
        except FileNotFoundError:
            places[name] = None
    return places


def overview() -> str:
    """A table for the terminal: each known set, and where it is or how to get it."""
    lines = [f"{name:14} {place or _how_to_get(name)}" for name, place in found().items()]
    return "\n".join([*lines, "Any folder with one folder of pictures a class works as well."])


def download(name: str, folder: str | Path | None = None, progress: bool = True) -> Path:
    """Download, check and unpack a set into `folder`, by default where `load` will find it.

    Resumable. Names and errors: see `downloads.download`.
    """
    return downloads.download(name, folder or data_folders()[-1], progress)


def _how_to_get(name: str) -> str:
    point = "If you have it, let the environment variable ALEXNET_DATA name the folder above it."
    if name == "imagenet":
        return (
            "ImageNet asks every user to register at https://image-net.org and may not be passed "
            "on, so nothing can download it for you. " + point
        )
    return f"Get it with: python -m alexnet_lib data {name}. {point}"


def load(
    name_or_path: str | Path,
    split: str = "train",
    size: int | None = None,
    limit: int | None = None,
    *,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    skip_broken: bool | float = SKIPPED_SHARE,
    verify: bool = False,
    progress: bool = True,
) -> ImageSet:
    """Load one split of an image set.

    name_or_path: one of `NAMES`, a packed folder (of one split, or a sharded one of several), or
        a folder with one folder of pictures a class, perhaps below train, val or test; also a
        folder's name inside `data_folders()`.
    split: "train", "val" or "test" (or an alias such as "validation"). A set with only one of
        val and test gives that one for both names; the result's `split` says which.
    size: height and width in pixels; None for the set's own (see `NAMES`, folders 256).
    limit: at most this many images, taken evenly from all classes; None for all. Of rendered
        sets exactly this many, as there is no end to them; None for `rendered.COUNTS`.
    classes: only these, in this order; None for all.
    seed: for rendered sets, which pictures are drawn.
    skip_broken: the share of pictures (0 to 1, True for any, False for none) that may be
        unreadable; they are left out with a warning that names them. More is a ValueError.
    verify: compare a packed set's checksums.
    progress: show a progress bar on stderr while packing.
    Folders are packed on first use into `cache_folder()` and memory-mapped from then on.
    Errors: ValueError for an unknown name or split, FileNotFoundError for a set that is not here.
    """
    split = split_name(split)
    if size is not None and not 1 <= size <= 4096:
        raise ValueError(f"size is {size}; give the side in pixels, 1 to 4096.")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; give 1 or more, or None for all images.")
    if classes is not None and (len(classes) == 0 or len(set(classes)) < len(classes)):
        raise ValueError(f"classes is {classes!r}; name at least one class, and none twice.")
    if name_or_path in ("shapes", "plain_shapes"):
        return _load_shapes(str(name_or_path), split, size, limit, classes, seed)
    if classes is not None:
        options = {"skip_broken": skip_broken, "verify": verify, "progress": progress}
        return _limited(load(name_or_path, split, size, **options).only(classes), limit)
    if name_or_path == "fashion_mnist":
        return _load_fashion_mnist(split, size, limit, verify)
    path, name = resolve(name_or_path, size or NAMES.get(str(name_or_path)))
    if cifar.has_batches(path):
        return _load_cifar10(path, split, size, limit)
    if (sharded := shards.find(path, split)) is not None:
        images, labels, about = shards.read(sharded, verify, progress)
        described = [about[key] for key in ("classes", "name", "split", "note")]
        return _limited(_of_size(ImageSet(images, labels, *described), path, size), limit)
    if packed.is_packed(path):
        return _limited(_of_size(read_packed(path, verify), path, size), limit)
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is not a folder. Give a folder with one folder a class.")
    folder = folders_dataset.scan(path, split)
    size = size or NAMES.get(name, FOLDER_SIZE)
    return _load_folder(folder, name, size, limit, skip_broken, verify, progress)


def split_name(split: str) -> str:
    """The name of a split given by it or an alias; ValueError for an unknown one."""
    for name, aliases in folders_dataset.SPLITS.items():
        if split.lower() in aliases:
            return name
    if split == "all":
        return split
    raise unknown_name("split", split, list(folders_dataset.SPLITS))


def resolve(name_or_path: str | Path, size: int | None = None) -> tuple[Path, str]:
    """The folder and the name of what `load` is asked for; errors as `load` has them.

    size: see `find`.
    """
    given = str(name_or_path)
    if given in FOLDERS:
        return find(given, size), given
    path = Path(name_or_path).expanduser()
    if not path.exists():
        below = [folder / path for folder in data_folders() if (folder / path).is_dir()]
        path = below[0] if below else path
    if path.exists() or len(path.parts) > 1:
        for name, folders in FOLDERS.items():
            if path.name in folders:
                return path, name
        return path, path.resolve().name
    raise unknown_name("data set or folder", given, list(NAMES))


def _load_shapes(
    name: str, split: str, size: int | None, limit: int | None, classes: Sequence[str] | None,
    seed: int,
) -> ImageSet:  # fmt: skip
    """Rendered shapes; any number of them, so a limit may also be more than the usual count."""
    _refuse_all(split)
    chosen = list(rendered.CLASSES if classes is None else classes)
    if unknown := [given for given in chosen if given not in rendered.CLASSES]:
        raise unknown_name(f"class of {name}", unknown[0], rendered.CLASSES)
    count, size = limit or rendered.COUNTS[split], size or NAMES[name]
    wanted = [rendered.CLASSES.index(given) for given in chosen]
    images = rendered.render_many(count, size, split, seed, name == "plain_shapes", wanted)
    labels = np.arange(count, dtype=np.int64) % len(chosen)
    note = f"{name.replace('_', ' ')}, rendered at {size} px, seed {seed}"
    return ImageSet(images, labels, chosen, name, split, note)


def _load_fashion_mnist(split: str, size: int | None, limit: int | None, verify: bool) -> ImageSet:
    _refuse_all(split)
    images = read_packed(builtin.fashion_mnist(split), verify)
    return _resized(_limited(images, limit), size)


def _load_cifar10(path: Path, split: str, size: int | None, limit: int | None) -> ImageSet:
    _refuse_all(split)
    split = "train" if split == "train" else "test"
    images, labels = cifar.read_batches(path, split)
    loaded = ImageSet(images, labels, list(cifar.CLASSES), "cifar10", split, "CIFAR-10")
    return _resized(_limited(loaded, limit), size)


def _refuse_all(split: str) -> None:
    if split == "all":
        raise ValueError("split 'all' is only for image folders; ask for train, val or test.")


def _resized(images: ImageSet, size: int | None) -> ImageSet:
    """Square images scaled to size x size (PIL bicubic, antialiased)."""
    if size is None or images.images.shape[1:3] == (size, size):
        return images
    scaled = np.stack([_scaled(image, size) for image in images.images])
    note = f"{images.note}, scaled to {size} px"
    return replace(images, images=scaled.reshape(len(images), size, size, -1), note=note)


def _scaled(image: np.ndarray, size: int) -> np.ndarray:
    picture = Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image)
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC))


def _of_size(images: ImageSet, path: Path, size: int | None) -> ImageSet:
    """The same images, if they have the size that was asked for."""
    H, W = images.images.shape[1:3]
    if size is not None and (H, W) != (size, size):
        raise ValueError(
            f"{path} is packed at {H} x {W} pixels, not at {size}. Ask for size {H} or for none, "
            "or load the folder that it was packed from."
        )
    return images


def _limited(images: ImageSet, limit: int | None) -> ImageSet:
    if limit is None or limit >= len(images):
        return images
    return images.subset(folders_dataset.balanced_indices(images.labels, limit))


def _load_folder(
    folder: folders_dataset.ImageFolder, name: str, size: int, limit: int | None,
    skip_broken: bool | float, verify: bool, progress: bool,
) -> ImageSet:  # fmt: skip
    """The packed form of an image folder, made now if it is not there yet."""
    share = float(skip_broken)
    whole = cache_folder() / _packed_name(folder, name, size)
    if limit is not None and packed.is_packed(whole):
        return _limited(_checked(whole, share, verify), limit)
    chosen = folder.limited(limit)
    target = cache_folder() / _packed_name(chosen, name, size)
    if not packed.is_packed(target):
        packed.pack(
            target,
            lambda start: folders_dataset.decode_all(chosen, size, start),
            total=len(chosen.paths),
            shape=(size, size, 3),
            about=describe(chosen, name, size),
            max_skipped=min(int(share * len(chosen.paths)), len(chosen.paths) - 1),
            progress=progress,
        )
    return _checked(target, share, verify)


def describe(folder: folders_dataset.ImageFolder, name: str, size: int) -> dict:
    """What a packed set of these pictures says about itself in its manifest."""
    return {
        "name": name,
        "split": folder.split,
        "classes": [IMAGENETTE_CLASSES.get(given, given) for given in folder.classes],
        "source": str(folder.root),
        "note": _note(folder, name),
        "resize": f"{size} px: {folders_dataset.RESIZE_RULE}",
        "fingerprint": folder.fingerprint,
    }


def _packed_name(folder: folders_dataset.ImageFolder, name: str, size: int) -> str:
    return f"{name}-{folder.split}-{size}px-{folder.fingerprint}"


def _note(folder: folders_dataset.ImageFolder, name: str) -> str:
    """One sentence on what the pictures are, for the results measured on them."""
    kinds = {path.suffix.lower().replace(".jpeg", ".jpg") for path in folder.paths}
    kind = kinds.pop() if len(kinds) == 1 else "mixed"
    place = folder.root.parent.name
    if name == "imagenette":
        if kind == ".avif":
            return f"Imagenette, re-encoded {_side(folder)} px AVIF"
        return f"Imagenette, {place}"
    if name == "cifar10":
        return "CIFAR-10, re-encoded JPEG" if kind == ".jpg" else f"CIFAR-10 as {kind[1:]} files"
    return "ImageNet, ILSVRC 2012" if name == "imagenet" else f"image folder {name}"


def _side(folder: folders_dataset.ImageFolder) -> int:
    try:
        with Image.open(folder.paths[0]) as image:
            return min(image.size)
    except OSError:
        return 0


def _checked(target: Path, share: float, verify: bool) -> ImageSet:
    """Open a packed cache; what it left out must be within what the caller allows."""
    images = read_packed(target, verify)
    skipped = packed.read_manifest(target)["skipped"]
    if skipped:
        total = len(images) + len(skipped)
        listed = "\n  ".join(skipped[:5])
        if len(skipped) > share * total:
            raise ValueError(
                f"{len(skipped)} of {total} images cannot be read, more than skip_broken={share:g} "
                f"allows:\n  {listed}\nReplace or delete them, or load with skip_broken=True."
            )
        warnings.warn(
            f"left out {len(skipped)} of {total} images that cannot be read:\n  {listed}",
            stacklevel=4,
        )
    return images
