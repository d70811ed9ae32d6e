"""Files of a folder, or of a tar of one (plain, gz, bz2, xz): read and fingerprinted."""

import lzma
import os
import posixpath
import stat
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipelines import folders
from pipelines.datasets.sources import MissingData

LARGEST = 100_000_000  # bytes of one file
LISTED = 20  # names in a message
KINDS = {stat.S_IFLNK: "link", stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
MODES = {  # of a tar's types
    **{tarfile.SYMTYPE: stat.S_IFLNK, tarfile.LNKTYPE: stat.S_IFLNK, tarfile.FIFOTYPE: stat.S_IFIFO},
    **{tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK},
}


class BrokenArchive(ValueError):
    """A tar that cannot be read to its end mark, a link, a device, a FIFO, a socket, or a file over LARGEST."""


class Header(tarfile.TarInfo):
    """A header that is an error where it is cut or broken: tarfile takes that for the end of the tar."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "Header":
        """The next header. Raises EOFHeaderError at the end mark, ReadError where there is neither."""
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"at byte {archive.offset}: {error}") from error


def located(name: str) -> Path:
    """The folder or tar `name`: absolute, below DATA_MIRROR where that is set, or in the project as data/ always is. Raises MissingData."""
    asked = Path(name).expanduser()
    path = asked if asked.parts[:1] == ("data",) else Path(os.environ.get("DATA_MIRROR", ""), asked)
    if not path.exists():
        raise MissingData(f"{path} is not there. Put the folder or tar there, or set DATA_MIRROR=<folder> to the folder that holds {name}.")
    return path


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name below the root, content) of every file, in a tar's own order; of an empty folder (name with a slash, no bytes).

    Raises BrokenArchive, also for what is neither file nor folder: what a link points to would be missing.
    """
    from tqdm import tqdm  # `look` imports this module on every `dvc repro`

    yield from tqdm(contents(path), desc=path.name, unit="file")


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """As `members`, without a progress bar."""
    return _files(path) if path.is_dir() else _tarred(path)


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    for found in sorted(path.rglob("*")):
        _check_kind(str(found), found.lstat().st_mode)
    for name in _names(path):
        file = path / name
        _check_size(str(file), file.stat().st_size)
        yield name, file.read_bytes()
    for folder in sorted(path.rglob("*/")):
        if not any(folder.iterdir()):
            yield f"{folder.relative_to(path).as_posix()}/", b""


def _tarred(path: Path) -> Iterator[tuple[str, bytes]]:
    folders, holding = set[str](), set[str]()
    try:
        with tarfile.open(path, "r|*", tarinfo=Header) as archive:
            for member in archive:
                name = posixpath.normpath(member.name)
                holding.add(posixpath.dirname(name))
                folders |= {name} if member.isdir() else set()
                _check_kind(name, MODES.get(member.type, stat.S_IFREG))
                if stream := archive.extractfile(member):
                    _check_size(name, member.size)
                    yield name, stream.read()
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError) as error:
        raise BrokenArchive(f"{path} is not a complete tar ({error}). Fetch it again.") from error
    yield from ((f"{name}/", b"") for name in sorted(folders - holding))


def _check_size(name: str, size: int) -> None:
    if size > LARGEST:
        raise BrokenArchive(f"{name} has {size / 1e6:.0f} MB; at most {LARGEST / 1e6:.0f} MB are read of one file. Remove it.")


def _check_kind(name: str, mode: int) -> None:
    kind = KINDS.get(stat.S_IFMT(mode))
    if kind:
        raise BrokenArchive(f"{name} is a {kind}, and only files and folders are read. Replace it by files, or remove it.")


def fingerprint(path: Path) -> str:
    """The SHA-256 of a tar; of a folder that of all names and contents."""
    if path.is_file():
        return folders.sha256(path)
    return folders.hash_of({name: folders.sha256(path / name) for name in _names(path)})


def size(path: Path) -> int:
    """Bytes of a tar, or of all files of a folder."""
    return path.stat().st_size if path.is_file() else sum((path / name).stat().st_size for name in _names(path))


def glance(path: Path) -> str:
    """A hash of names, sizes and times: while it is the same, so is the fingerprint."""
    facts = [(name, (path / name).stat()) for name in (_names(path) if path.is_dir() else [""])]
    return folders.hash_of([[name, fact.st_size, fact.st_mtime_ns] for name, fact in facts])


def listed(names: Iterable[str]) -> str:
    """The first LISTED of some names in order, and how many more there are: for a message."""
    found = sorted(names)
    more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return f"{'; '.join(found[:LISTED])}{more}"


def _names(path: Path) -> list[str]:
    """Every file below a folder; links are left out."""
    return sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file() and not file.is_symlink())
