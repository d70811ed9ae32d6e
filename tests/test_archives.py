"""A person's own files: a folder and a tar of it read alike, and a change is noticed."""

import contextlib
import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from pipelines.datasets import archives, sources

FILES = {"train/cat/1.txt": b"one", "train/dog/2.txt": b"two", "test/cat/3.txt": b"three"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pictures" / name).write_bytes(content)
    return tmp_path / "pictures"


def packed(folder: Path, kind: str) -> Path:
    path = folder.with_name(f"pictures.tar.{kind}")
    with tarfile.open(path, f"w:{kind}") as archive:
        for name in reversed(FILES):
            archive.add(folder / name, name)
    return path


@pytest.mark.parametrize("kind", ["", "gz", "xz", "bz2"])
def test_a_tar_is_read_as_its_folder_is(folder: Path, kind: str) -> None:
    assert sorted(archives.members(packed(folder, kind))) == sorted(archives.members(folder)) == sorted(FILES.items())


def test_an_empty_folder_is_told(folder: Path, tmp_path: Path) -> None:
    (folder / "train/owl").mkdir()
    path = tmp_path / "all.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(folder, "./pictures")
    assert ("train/owl/", b"") in archives.members(folder)
    assert sorted(archives.members(path)) == sorted((f"pictures/{name}", content) for name, content in archives.members(folder))


@pytest.mark.parametrize("target", ["secret", "secrets"])
def test_a_link_is_named(folder: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "secrets").mkdir()
    (folder / "train/cat/link").symlink_to(tmp_path / target)
    path = tmp_path / "linked.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(folder, "pictures")
    for place in (folder, path):
        with pytest.raises(archives.BrokenArchive, match="train/cat/link is a link"):
            list(archives.members(place))


@pytest.mark.parametrize(("type", "kind"), {b"3": "device", b"4": "device", b"6": "FIFO", b"1": "link", b"2": "link"}.items())
def test_what_is_no_file_in_a_tar_is_named(tmp_path: Path, type: bytes, kind: str) -> None:
    with tarfile.open(tmp_path / "pictures.tar", "w") as archive:
        member = tarfile.TarInfo("train/cat/odd")
        member.type, member.linkname = type, "cat"
        archive.addfile(member)
    with pytest.raises(archives.BrokenArchive, match=f"train/cat/odd is a {kind}, and only files"):
        list(archives.members(tmp_path / "pictures.tar"))


def test_what_is_no_file_in_a_folder_is_named(folder: Path) -> None:
    os.mkfifo(folder / "train/cat/odd")
    with pytest.raises(archives.BrokenArchive, match="train/cat/odd is a FIFO, and only files"):
        list(archives.members(folder))


@pytest.mark.parametrize("kind", ["", "xz"])
def test_a_tar_that_is_cut_anywhere_is_never_a_shorter_one(folder: Path, kind: str) -> None:
    path = packed(folder, kind)
    whole, content = sorted(archives.members(path)), path.read_bytes()
    for length in range(0, len(content), 101 if kind == "" else 7):
        path.write_bytes(content[:length])
        with contextlib.suppress(archives.BrokenArchive):
            assert sorted(archives.members(path)) == whole, length


def test_a_tar_with_a_broken_header_is_named(folder: Path) -> None:
    path = packed(folder, "")
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        content[archive.getmembers()[-1].offset] ^= 1
    path.write_bytes(content)
    with pytest.raises(archives.BrokenArchive, match=path.name):
        list(archives.members(path))


@pytest.mark.parametrize("content", [b"", b"no tar at all", b"\x1f\x8b broken", None])
def test_what_is_no_whole_tar_is_named(folder: Path, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.tar.gz"
    path.write_bytes(packed(folder, "gz").read_bytes()[:-60] if content is None else content)
    with pytest.raises(archives.BrokenArchive, match=r"broken\.tar\.gz"):
        list(archives.members(path))


def test_a_file_that_is_too_large_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "LARGEST", 4)
    for place in (folder, packed(folder, "gz")):
        with pytest.raises(archives.BrokenArchive, match=r"test/cat/3\.txt"):
            list(archives.members(place))


def test_a_name_is_found_in_the_mirror(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    assert archives.located("pictures") == folder
    with pytest.raises(sources.MissingData, match="DATA_MIRROR"):
        archives.located("other")


def test_what_lies_in_data_is_the_projects_own(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_MIRROR", str(project / "elsewhere"))
    assert archives.located("data/digits") == Path("data/digits")


def test_the_fingerprint_changes_with_the_files(folder: Path) -> None:
    prints = [archives.fingerprint(folder), archives.fingerprint(packed(folder, "gz"))]
    (folder / "train/cat/1.txt").write_bytes(b"One")
    os.utime(folder / "train/cat/1.txt", ns=(1, 1))
    prints += [archives.fingerprint(folder), archives.fingerprint(packed(folder, "gz"))]
    (folder / "train/cat/4.txt").write_bytes(io.BytesIO(b"four").read())
    prints.append(archives.fingerprint(folder))
    assert len(set(prints)) == 5


def test_the_fingerprint_of_a_copy_is_the_same_and_a_glance_tells_them_apart(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, copy_function=shutil.copyfile)
    assert archives.fingerprint(folder) == archives.fingerprint(copy)
    before = archives.glance(folder)
    os.utime(folder / "train/cat/1.txt", ns=(1, 1))
    assert archives.glance(folder) != before
