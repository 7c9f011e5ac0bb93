"""Downloads from a server on this machine that also breaks off, lies and damages."""

from __future__ import annotations

import hashlib
import stat
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from errors import InputError
from weight_files import archives, download
from weight_files.archives import unpack
from weight_files.download import Checksum, fetch

CONTENT = bytes(range(256)) * 5000
CHECKSUM = Checksum("md5", hashlib.md5(CONTENT).hexdigest())


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT, as the server's ``behaviour`` says; notes the ranges that were asked for."""

    def do_GET(self):
        behaviour, ranges = self.server.behaviour, self.server.ranges
        asked = self.headers.get("Range")
        ranges.append(asked)
        start = int(asked[len("bytes=") : -1]) if asked and behaviour != "no ranges" else 0
        content = CONTENT
        if behaviour == "corrupted":
            content = b"x" + content[1:]
        if behaviour == "missing":
            self.send_error(404)
            return
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        breaks = behaviour == "always breaks" or (behaviour == "breaks once" and len(ranges) == 1)
        self.wfile.write(body[: len(body) // 2] if breaks or behaviour == "truncated" else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.01)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.behaviour, server.ranges = "good", []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}/file.zip"
    yield server
    server.shutdown()
    server.server_close()


def refusal(call, *args):
    with pytest.raises(InputError) as error:
        call(*args)
    return str(error.value)


def test_a_file_is_fetched_once(server, tmp_path):
    target = tmp_path / "cache" / "file.zip"
    for _ in range(2):
        fetch(server.url, target, CHECKSUM)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None]
    assert list(target.parent.iterdir()) == [target]


def test_a_broken_connection_is_gone_on_with(server, tmp_path):
    server.behaviour = "breaks once"
    fetch(server.url, tmp_path / "file.zip", CHECKSUM)
    assert (tmp_path / "file.zip").read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={len(CONTENT) // 2}-"]


def test_what_has_come_is_kept_for_the_next_try(server, tmp_path):
    target = tmp_path / "file.zip"
    server.behaviour = "always breaks"
    message = refusal(fetch, server.url, target, CHECKSUM)
    assert server.url in message
    assert f"put it at {target}" in message
    assert not target.exists()
    part = tmp_path / "file.zip.part"
    done = part.stat().st_size
    assert CONTENT.startswith(part.read_bytes())
    assert 0 < done < len(CONTENT)
    server.behaviour = "good"
    fetch(server.url, target, CHECKSUM)
    assert server.ranges[-1] == f"bytes={done}-"
    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_sends_it_all_again(server, tmp_path):
    (tmp_path / "file.zip.part").write_bytes(CONTENT[:1000])
    server.behaviour = "no ranges"
    fetch(server.url, tmp_path / "file.zip", CHECKSUM)
    assert (tmp_path / "file.zip").read_bytes() == CONTENT


def test_a_part_that_is_complete_needs_no_more(server, tmp_path):
    (tmp_path / "file.zip.part").write_bytes(CONTENT)
    fetch(server.url, tmp_path / "file.zip", CHECKSUM)
    assert (tmp_path / "file.zip").read_bytes() == CONTENT


def test_corrupted_content_is_refused_and_removed(server, tmp_path):
    server.behaviour = "corrupted"
    message = refusal(fetch, server.url, tmp_path / "file.zip", CHECKSUM)
    assert "its md5 does not start with" in message
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_part_is_removed_so_that_the_next_try_starts_anew(server, tmp_path):
    (tmp_path / "file.zip.part").write_bytes(b"x" * 1000)
    refusal(fetch, server.url, tmp_path / "file.zip", CHECKSUM)
    fetch(server.url, tmp_path / "file.zip", CHECKSUM)
    assert (tmp_path / "file.zip").read_bytes() == CONTENT


def test_a_missing_file_and_a_missing_network_say_what_to_do(server, tmp_path):
    target = tmp_path / "file.zip"
    server.behaviour = "missing"
    assert f"put it at {target}" in refusal(fetch, server.url, target, CHECKSUM)
    assert len(server.ranges) == 1  # not asked again
    nowhere = "http://127.0.0.1:1/file.zip"
    message = refusal(fetch, nowhere, target, CHECKSUM)
    assert nowhere in message
    assert f"put it at {target}" in message


def test_a_file_that_was_put_there_is_checked(server, tmp_path):
    (tmp_path / "file.zip").write_bytes(b"not it")
    assert "remove it" in refusal(fetch, server.url, tmp_path / "file.zip", CHECKSUM)
    assert (tmp_path / "file.zip").read_bytes() == b"not it"
    assert server.ranges == []


@pytest.fixture
def zipped(tmp_path):
    def make(*entries, method=zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
            for name, content in entries:
                archive.writestr(name, content)
        (tmp_path / "out").mkdir()
        return tmp_path / "a.zip", tmp_path / "out"

    return make


NAMES = ("encoder.pth", "depth.pth")


def test_the_files_asked_for_are_unpacked_without_folders(zipped):
    archive, out = zipped(("m/encoder.pth", b"e"), ("m/depth.pth", b"d"), ("m/readme.txt", b"r"))
    unpack(archive, out, NAMES)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        "encoder.pth": b"e",
        "depth.pth": b"d",
    }


@pytest.mark.parametrize(
    "name",
    ["../encoder.pth", "a/../../encoder.pth", "/etc/encoder.pth", "C:\\encoder.pth", "..\\x"],
)
def test_paths_outside_of_the_folder_are_refused(name, zipped):
    archive, out = zipped(("m/depth.pth", b"d"), (name, b"e"))
    assert "outside of its folder" in refusal(unpack, archive, out, NAMES)
    assert list(out.iterdir()) == []
    assert not (out.parent / "encoder.pth").exists()


def test_a_link_is_no_way_out(zipped, tmp_path):
    link = zipfile.ZipInfo("m/encoder.pth")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    archive, out = zipped((link, str(tmp_path / "secret")))
    unpack(archive, out, NAMES)
    assert not (out / "encoder.pth").is_symlink()


def test_one_name_twice_is_refused(zipped):
    archive, out = zipped(("a/encoder.pth", b"1"), ("b/encoder.pth", b"2"))
    assert "twice" in refusal(unpack, archive, out, NAMES)


def test_an_archive_that_is_too_large_is_refused_before_it_is_unpacked(zipped, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST", 10**6)
    archive, out = zipped(("m/encoder.pth", bytes(2 * 10**6)))
    assert "would unpack to more than" in refusal(unpack, archive, out, NAMES)
    assert list(out.iterdir()) == []


def test_an_archive_that_states_less_than_it_unpacks_to_is_refused(zipped):
    size = 5 * 10**6
    archive, out = zipped(("m/encoder.pth", bytes(size)))
    content = archive.read_bytes()
    assert content.count(size.to_bytes(4, "little")) == 2  # before the file, and in the directory
    archive.write_bytes(content.replace(size.to_bytes(4, "little"), (100).to_bytes(4, "little")))
    assert "damaged" in refusal(unpack, archive, out, NAMES)
    assert all(path.stat().st_size <= 100 for path in out.iterdir())


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"hello")
    assert "no zip archive" in refusal(unpack, tmp_path / "a.zip", tmp_path, NAMES)
