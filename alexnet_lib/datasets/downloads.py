"""Downloads that can be interrupted, are checked, and appear only when complete."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import shutil
import tarfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from .. import _files
from .._errors import unknown_name

__all__ = ["ARCHIVES", "Archive", "download", "fetch"]

CHUNK_BYTES = 1 << 18
TIMEOUT_SECONDS = 30
ATTEMPTS = 4
PAUSE_SECONDS = 0.5
_BROKEN_CONNECTION = (
    urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError,
)  # fmt: skip


@dataclass(frozen=True)
class Archive:
    """A published archive: its address, the digest that identifies it, and the folder in it."""

    url: str
    algorithm: str  # "md5" or "sha256"
    digest: str
    folder: str  # the one folder that the archive unpacks to
    megabytes: int


_FAST_AI = "https://s3.amazonaws.com/fast-ai-imageclas/"
#: What `download` can fetch. CIFAR-10's MD5 stands on its authors' page (cs.toronto.edu/~kriz;
#: the binary version, as it needs no pickles), Imagenette's in torchvision.datasets.
ARCHIVES = {
    "cifar10": Archive(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "md5", "c32a1d4ab5d03f1284b67883e8d87530", "cifar-10-batches-bin", 170,
    ),
    "imagenette": Archive(
        _FAST_AI + "imagenette2-320.tgz",
        "md5", "3df6f0d01a2c9592104656642f5e78a3", "imagenette2-320", 342,
    ),
    "imagenette160": Archive(
        _FAST_AI + "imagenette2-160.tgz",
        "md5", "e793b78cc4c9e9a4ccc0c1155377a412", "imagenette2-160", 99,
    ),
    "imagenette_full": Archive(
        _FAST_AI + "imagenette2.tgz",
        "md5", "fe2fc210e6bb7c5664d602c3cd71e612", "imagenette2", 1557,
    ),
}  # fmt: skip


def download(name: str, folder: str | Path, progress: bool = True) -> Path:
    """Fetch, check and unpack one of `ARCHIVES` into `folder`; return the unpacked folder.

    Nothing is fetched if it is there already. Interrupted, it goes on where it stopped.
    Errors: ValueError for an unknown name, "imagenet" included, or an archive with the wrong
    checksum; ConnectionError without a network; OSError without space or permission.
    """
    if name == "imagenet":
        raise ValueError(
            "ImageNet cannot be downloaded from here: register at https://image-net.org, fetch "
            "ILSVRC2012's training and validation images, sort each into one folder a class "
            "below imagenet/train and imagenet/val, and let ALEXNET_DATA name the folder above."
        )
    if name not in ARCHIVES:
        raise unknown_name("download", name, ARCHIVES)
    archive, folder = ARCHIVES[name], Path(folder)
    target = folder / archive.folder
    if target.is_dir():
        return target
    file = folder / archive.url.rsplit("/", 1)[1]
    fetch(archive.url, file, archive.algorithm, archive.digest, progress)
    with _files.errors_in_words(target, "Free some space, or choose another folder."):
        _unpack(file, archive.folder, folder)
        file.unlink()
    return target


def fetch(
    url: str, file: str | Path, algorithm: str, digest: str, progress: bool = True
) -> Path:
    """Download one file; it gets its name only once its digest is right.

    What has come so far is kept beside it as *.part, and a later call asks for the rest.
    Errors: ConnectionError after several attempts, ValueError for a wrong digest.
    """
    file = Path(file)
    part = file.with_name(file.name + ".part")
    if file.is_file() and _digest(file, algorithm) == digest:
        return file
    try:
        with _files.errors_in_words(part, "Free some space, or choose another folder."):
            file.parent.mkdir(parents=True, exist_ok=True)
            _fetch_stubbornly(url, part, progress)
    except urllib.error.HTTPError as error:
        raise ConnectionError(
            f"{url} answered {error.code} {error.reason}. Try later, or fetch the file by hand "
            f"and put it at {file}."
        ) from error
    except _BROKEN_CONNECTION as error:
        raise ConnectionError(
            f"cannot reach {url} ({getattr(error, 'reason', error)}). Check the network and run "
            "the same command again: it goes on where it stopped. Or fetch the file by hand and "
            f"put it at {file}."
        ) from error
    found = _digest(part, algorithm)
    if found != digest:
        part.unlink()
        raise ValueError(
            f"{url} has {algorithm} {found}, expected {digest}. What came was deleted; run the "
            "same command again. If it happens twice, the file was changed at its source."
        )
    os.replace(part, file)
    return file


def _fetch_stubbornly(url: str, part: Path, progress: bool) -> None:
    """Try again after a break, and give up after `ATTEMPTS` breaks in a row without progress."""
    attempts_left = ATTEMPTS
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            return _fetch_rest(url, part, progress)
        except urllib.error.HTTPError:
            raise
        except _BROKEN_CONNECTION:
            came = part.exists() and part.stat().st_size > before
            attempts_left = ATTEMPTS if came else attempts_left - 1
            if not attempts_left:
                raise
            time.sleep(PAUSE_SECONDS)


def _fetch_rest(url: str, part: Path, progress: bool) -> None:
    """Append what is still missing; ConnectionError if the connection ends too early."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "alexnet-course"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if have and error.code == 416:  # nothing is left to send; the digest will tell
            return
        raise
    with answer:
        if have and answer.status != 206:  # the server sends everything again
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        bar = tqdm(
            total=total, initial=have, unit="B", unit_scale=True, disable=not progress,
            desc=part.stem, delay=0.5,
        )  # fmt: skip
        with bar, open(part, "ab" if have else "wb") as file:
            while chunk := answer.read(CHUNK_BYTES):
                file.write(chunk)
                have += len(chunk)
                bar.update(len(chunk))
    if total is not None and have < total:
        raise ConnectionError(f"the connection ended after {have:,} of {total:,} bytes")


def _digest(path: Path, algorithm: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _unpack(file: Path, expected: str, folder: Path) -> None:
    """Unpack an archive beside its place, then move the expected folder there in one step."""
    temporary = folder / f"{expected}.unpacking"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with tarfile.open(file) as archive:
            safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            archive.extractall(temporary, **safely)  # Python before 3.11.4 knows no filters
        os.replace(temporary / expected, folder / expected)
    except FileNotFoundError as error:
        raise ValueError(f"{file} holds no folder {expected}; delete it and try again.") from error
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(temporary)
