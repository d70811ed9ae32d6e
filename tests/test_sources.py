"""Source files from a real server on the loopback address, from a mirror, broken, missing: complete or a clear error."""

import functools
import gzip
import hashlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipelines.datasets import sources

CONTENT = b"digits" * 1000
FLIPPED = gzip.compress(CONTENT)[:12] + bytes([gzip.compress(CONTENT)[12] ^ 0xFF]) + gzip.compress(CONTENT)[13:]


def origin(*urls: str, sha256: str | None = None, size: int = len(CONTENT)) -> sources.Origin:
    return sources.Origin("set/file.gz", urls, sha256 or hashlib.sha256(CONTENT).hexdigest(), size)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address it is served under."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(SimpleHTTPRequestHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}/file.gz"
    server.shutdown()


def test_a_file_is_downloaded_unpacked_and_checked(served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    (served[0] / "file.gz").write_bytes(gzip.compress(CONTENT))
    assert sources.fetch(origin(f"{served[1]}.not-there", served[1]), tmp_path).read_bytes() == CONTENT


def test_the_mirror_is_read_instead_of_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    with pytest.raises(sources.MissingData, match=r"set/file\.gz.*DATA_MIRROR"):
        sources.fetch(origin("http://127.0.0.1:9/never"), tmp_path)
    (tmp_path / "set").mkdir()
    (tmp_path / "set/file.gz").write_bytes(gzip.compress(CONTENT, mtime=1))
    assert sources.fetch(origin("http://127.0.0.1:9/never"), tmp_path).read_bytes() == CONTENT


def test_no_network_names_the_file_the_address_and_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    with pytest.raises(sources.MissingData) as caught:
        sources.fetch(origin("http://127.0.0.1:9/file.gz"), tmp_path)
    for word in ("set/file.gz", "http://127.0.0.1:9/file.gz", "DATA_MIRROR=<folder>"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(CONTENT[:-1] + b"?"),
        gzip.compress(CONTENT[:-1]),
        gzip.compress(CONTENT + b"more"),
        gzip.compress(CONTENT)[:-12],
        b"no gzip",
        FLIPPED,
    ],
    ids=["altered", "short", "long", "truncated", "not gzip", "flipped byte"],
)
def test_other_content_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bytes) -> None:
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    (tmp_path / "set").mkdir()
    (tmp_path / "set/file.gz").write_bytes(packed)
    with pytest.raises(sources.ChecksumMismatch, match="again"):
        sources.fetch(origin("http://127.0.0.1:9/never"), tmp_path)


def test_a_bomb_is_not_unpacked_further_than_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    (tmp_path / "set").mkdir()
    (tmp_path / "set/file.gz").write_bytes(gzip.compress(b"\0" * 200_000_000, 1))
    with pytest.raises(sources.ChecksumMismatch):
        sources.fetch(origin(), tmp_path)
    assert (tmp_path / "file").stat().st_size <= len(CONTENT) + sources.CHUNK
