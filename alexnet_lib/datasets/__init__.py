"""Images to learn from: found, downloaded, packed, rendered and loaded by one name."""

from __future__ import annotations

from . import ilsvrc_history
from .catalogue import (
    IMAGENETTE_CLASSES,
    NAMES,
    PHOTOS,
    ImageSet,
    cache_folder,
    data_folders,
    describe,
    download,
    find,
    found,
    history,
    load,
    overview,
    photo,
    read_packed,
    resolve,
    split_name,
    write_packed,
)
from .packed import FORMAT_VERSION, HEADER_BYTES, is_packed, pack, read_manifest, write_header

__all__ = [
    "FORMAT_VERSION",
    "HEADER_BYTES",
    "IMAGENETTE_CLASSES",
    "ImageSet",
    "NAMES",
    "PHOTOS",
    "cache_folder",
    "data_folders",
    "describe",
    "download",
    "find",
    "found",
    "history",
    "ilsvrc_history",
    "is_packed",
    "load",
    "overview",
    "pack",
    "photo",
    "read_manifest",
    "read_packed",
    "resolve",
    "split_name",
    "write_header",
    "write_packed",
]
