"""Downloads against a server on this machine: cut connections, resumption, wrong files."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import socket
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from alexnet_lib import datasets
from alexnet_lib.datasets import downloads

BODY = np.random.default_rng(0).integers(0, 256, 300_000, np.uint8).tobytes()
SHA256 = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `body`; breaks off after `cut` bytes as often as `cuts` says."""

    def __init__(self, body: bytes = BODY, ranges: bool = True, cut: int = 0, cuts: int = 0):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.ranges, self.cut, self.cuts = body, ranges, cut, cuts
        self.asked: list[str | None] = []  # the Range header of each request
        self.sent = 0  # bytes of bodies

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/pictures.tgz"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        if self.path.endswith("missing.tgz"):
            return self.send_error(404)
        if start >= len(server.body):
            return self.send_error(416)
        content = server.body[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if server.cuts:
            server.cuts -= 1
            content = content[: server.cut]
        self.wfile.write(content)
        server.sent += len(content)

    def log_message(self, *_) -> None:
        pass


@contextlib.contextmanager
def serving(**options):
    server = Server(**options)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(downloads, "PAUSE_SECONDS", 0.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def fetch(server, file, digest=SHA256, algorithm="sha256"):
    return downloads.fetch(server.url, file, algorithm, digest, progress=False)


def test_a_file_comes_whole_and_is_not_fetched_twice(tmp_path):
    with serving() as server:
        file = fetch(server, tmp_path / "below" / "p.tgz")
        fetch(server, file)
    assert file.read_bytes() == BODY and server.asked == [None]
    assert [path.name for path in file.parent.iterdir()] == ["p.tgz"]


def test_cut_connections_are_resumed_within_one_call(tmp_path):
    with serving(cut=70_000, cuts=3) as server:
        file = fetch(server, tmp_path / "p.tgz")
    assert file.read_bytes() == BODY and server.sent == len(BODY)
    assert server.asked == [None, "bytes=70000-", "bytes=140000-", "bytes=210000-"]


def test_a_later_call_asks_only_for_the_rest(tmp_path):
    (tmp_path / "p.tgz.part").write_bytes(BODY[:100_000])
    with serving() as server:
        file = fetch(server, tmp_path / "p.tgz")
    assert file.read_bytes() == BODY
    assert server.asked == ["bytes=100000-"] and server.sent == 200_000


def test_a_server_without_ranges_sends_everything_again(tmp_path):
    (tmp_path / "p.tgz.part").write_bytes(b"x" * 100_000)
    with serving(ranges=False) as server:
        file = fetch(server, tmp_path / "p.tgz")
    assert file.read_bytes() == BODY and server.sent == len(BODY)


def test_a_part_that_is_already_whole_needs_nothing_more(tmp_path):
    (tmp_path / "p.tgz.part").write_bytes(BODY)
    with serving() as server:
        assert fetch(server, tmp_path / "p.tgz").read_bytes() == BODY
    assert server.sent == 0


def test_no_progress_in_several_attempts_gives_up_and_keeps_what_came(tmp_path):
    with (
        serving(cut=0, cuts=99) as server,
        pytest.raises(ConnectionError, match="connection ended after 0 of 300,000.*goes on where"),
    ):
        fetch(server, tmp_path / "p.tgz")
    assert len(server.asked) == downloads.ATTEMPTS
    assert not (tmp_path / "p.tgz").exists()


def test_a_wrong_checksum_leaves_nothing(tmp_path):
    with (
        serving() as server,
        pytest.raises(ValueError, match=f"has md5 .*, expected {'0' * 32}.*deleted; run the same"),
    ):
        fetch(server, tmp_path / "p.tgz", "0" * 32, "md5")
    assert not list(tmp_path.iterdir())


def test_a_damaged_part_is_found_out(tmp_path):
    (tmp_path / "p.tgz.part").write_bytes(b"x" * 100_000)
    with serving() as server:
        with pytest.raises(ValueError, match="What came was deleted"):
            fetch(server, tmp_path / "p.tgz")
        assert fetch(server, tmp_path / "p.tgz").read_bytes() == BODY


def test_a_missing_file_on_the_server_is_told(tmp_path):
    with serving() as server, pytest.raises(ConnectionError, match="answered 404 .*by hand"):
        downloads.fetch(
            f"http://127.0.0.1:{server.server_port}/missing.tgz", tmp_path / "p", "md5", "", False
        )


def test_no_network_is_told_with_the_next_step(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(ConnectionError, match="cannot reach http://127.0.0.1.*Check the network"):
        downloads.fetch(f"http://127.0.0.1:{port}/p.tgz", tmp_path / "p", "md5", "", False)


def test_a_folder_that_cannot_be_made_is_told(tmp_path, monkeypatch):
    def closed(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path / "closed"))

    monkeypatch.setattr(downloads.Path, "mkdir", closed)
    with pytest.raises(PermissionError, match="no permission .*closed.*another folder"):
        downloads.fetch("http://127.0.0.1:9/p", tmp_path / "closed" / "p", "md5", "", False)


def archive_of(names: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in names.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def offer(monkeypatch, server, folder="pictures"):
    digest = hashlib.md5(server.body).hexdigest()
    archive = downloads.Archive(server.url, "md5", digest, folder, 1)
    monkeypatch.setitem(downloads.ARCHIVES, "imagenette", archive)


def test_a_set_is_unpacked_whole_and_found_again(tmp_path, monkeypatch):
    body = archive_of({"pictures/train/a/0.txt": b"hello"})
    with serving(body=body) as server:
        offer(monkeypatch, server)
        folder = datasets.download("imagenette", tmp_path, progress=False)
        assert datasets.download("imagenette", tmp_path, progress=False) == folder
    assert (folder / "train" / "a" / "0.txt").read_text() == "hello" and len(server.asked) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_an_archive_without_its_folder_is_told_and_leaves_no_folder(tmp_path, monkeypatch):
    with serving(body=archive_of({"other/0.txt": b"x"})) as server:
        offer(monkeypatch, server)
        with pytest.raises(ValueError, match="holds no folder pictures"):
            datasets.download("imagenette", tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["pictures.tgz"]


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="Python before 3.11.4")
def test_an_archive_cannot_write_outside_its_folder(tmp_path, monkeypatch):
    with serving(body=archive_of({"pictures/0": b"x", "../../evil.txt": b"x"})) as server:
        offer(monkeypatch, server)
        with pytest.raises(tarfile.TarError):
            datasets.download("imagenette", tmp_path / "here", progress=False)
    assert not list(tmp_path.rglob("evil.txt")) and not (tmp_path / "here" / "pictures").exists()


def test_imagenet_and_unknown_names_are_explained(tmp_path):
    with pytest.raises(ValueError, match="register at https://image-net.org.*ALEXNET_DATA"):
        datasets.download("imagenet", tmp_path)
    with pytest.raises(ValueError, match="unknown download 'cifar'; did you mean 'cifar10'"):
        datasets.download("cifar", tmp_path)


def test_the_published_archives_are_identified_as_torchvision_does():
    package = Path(importlib.util.find_spec("torchvision").origin).parent  # reading is quicker
    source = (package / "datasets" / "imagenette.py").read_text(encoding="utf-8")
    for name, archive in downloads.ARCHIVES.items():
        assert archive.algorithm == "md5" and len(archive.digest) == 32
        assert name == "cifar10" or f'("{archive.url}", "{archive.digest}")' in source
