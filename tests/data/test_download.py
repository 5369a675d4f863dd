"""Downloads from a server on this machine: whole, resumed, restarted, cut off, wrong, and without room."""

import dataclasses
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

from lib.data.download import download
from lib.data.preparation import prepare
from lib.data.store import open_store
from lib.errors import DataError
from lib.study.datasets import DATASETS
from tests.data.conftest import write_tar

CONTENT = bytes(range(256)) * 4_000
CHECKSUM = hashlib.md5(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves `server.content`, with `ranges` on request; hangs up after `cut` bytes."""

    def do_GET(self):
        self.server.requests.append(self.headers.get("Range"))
        if self.path != "/file.tar.gz":
            return self.send_error(404)
        start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if "Range" in self.headers else 0
        if not self.server.ranges:
            start = 0
        if start >= len(self.server.content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(self.server.content) - start))
        self.end_headers()
        self.wfile.write(self.server.content[start : self.server.cut])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        web.content, web.ranges, web.cut, web.requests = CONTENT, True, None, []
        threading.Thread(target=web.serve_forever, daemon=True).start()
        web.url = f"http://127.0.0.1:{web.server_port}/file.tar.gz"
        yield web
        web.shutdown()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "downloads" / "file.tar.gz"


def part_of(target):
    return target.with_name("file.tar.gz.part")


def leave_part(target, content):
    target.parent.mkdir()
    part_of(target).write_bytes(content)


def test_a_file_arrives_whole_with_a_progress_bar(server, target, capsys):
    assert download(server.url, target, CHECKSUM) == target
    assert target.read_bytes() == CONTENT
    assert not part_of(target).exists()
    assert "file.tar.gz: 100%" in capsys.readouterr().err


def test_a_file_that_is_there_is_not_fetched_again(server, target):
    download(server.url, target, CHECKSUM)
    download(server.url, target, CHECKSUM)
    assert server.requests == [None]


def test_a_file_that_is_there_and_damaged_is_fetched_again(server, target):
    target.parent.mkdir()
    target.write_bytes(b"damaged")
    assert download(server.url, target, CHECKSUM).read_bytes() == CONTENT


def test_a_cut_download_is_kept_and_resumed(server, target):
    server.cut = 300_000
    with pytest.raises(DataError, match="ended after 300,000 of 1,024,000 bytes.*run the same command again"):
        download(server.url, target, CHECKSUM)
    assert not target.exists()
    server.cut = None
    assert download(server.url, target, CHECKSUM).read_bytes() == CONTENT
    assert server.requests == [None, "bytes=300000-"]


def test_a_server_without_range_starts_again(server, target):
    server.ranges = False
    leave_part(target, CONTENT[:1_000])
    assert download(server.url, target, CHECKSUM).read_bytes() == CONTENT


def test_a_whole_part_only_needs_its_name(server, target):
    leave_part(target, CONTENT)
    assert download(server.url, target, CHECKSUM).read_bytes() == CONTENT


@pytest.mark.parametrize("part", [b"wrong" * 100, CONTENT + b"more"])
def test_a_wrong_part_is_removed_and_the_next_call_starts_afresh(server, target, part):
    leave_part(target, part)
    with pytest.raises(DataError, match=f"not {CHECKSUM}; it is damaged and was removed"):
        download(server.url, target, CHECKSUM)
    assert list(target.parent.iterdir()) == []
    assert download(server.url, target, CHECKSUM).read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(server, target):
    with pytest.raises(DataError, match=f"has the checksum {CHECKSUM}, not 0000"):
        download(server.url, target, "0" * 32)
    assert list(target.parent.iterdir()) == []


def test_an_address_that_is_not_there_is_one_error(server, target):
    with pytest.raises(DataError, match="404"):
        download(server.url + "x", target, CHECKSUM)


def test_no_server_is_one_error(server, target):
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match=r"the download of http.* failed"):
        download(server.url, target, CHECKSUM)


def test_room_is_asked_for_before_anything_is_written(server, target, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=500_000))
    with pytest.raises(DataError, match=r"needs 1\.0 MB in .*has 0\.5 MB free"):
        download(server.url, target, CHECKSUM)
    assert not target.exists()
    assert not part_of(target).exists()


@pytest.fixture
def official_server(server, cifar10, project, tmp_path, monkeypatch):
    """A server of a small CIFAR-10 archive, which the project takes for the official one."""
    facts = DATASETS["cifar10"]
    path = write_tar(tmp_path / "archive", facts.archive.folder, cifar10.files)
    server.content = path.read_bytes()
    checksum = hashlib.md5(server.content).hexdigest()
    archive = dataclasses.replace(facts.archive, url=server.url, md5=checksum)
    monkeypatch.setitem(DATASETS, "cifar10", dataclasses.replace(facts, archive=archive))
    return server


def test_a_store_is_built_from_a_download_that_was_interrupted_once(official_server, project, cifar10):
    official_server.cut = 100_000
    with pytest.raises(DataError, match="run the same command again"):
        prepare("cifar10")
    with pytest.raises(DataError, match="not prepared"):
        open_store("cifar10")
    official_server.cut = None
    store = prepare("cifar10")
    np.testing.assert_array_equal(store.train_images, cifar10.train_images)
    assert (store.manifest.origin.kind, store.manifest.origin.official) == ("download", True)
    assert (project / "data" / "downloads" / "file.tar.gz").exists()
    assert official_server.requests == [None, "bytes=100000-"]


def test_a_download_with_a_wrong_checksum_makes_no_store(official_server, project):
    official_server.content = official_server.content[:-1] + b"?"
    with pytest.raises(DataError, match="it is damaged and was removed"):
        prepare("cifar10")
    with pytest.raises(DataError, match="not prepared"):
        open_store("cifar10")
