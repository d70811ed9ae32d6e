"""Where the inputs of a batch come from: a folder, a tar, a Parquet file or a list of paths, each streamed in a fixed order."""

import os
import stat
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pipelines.errors import BadSetting
from serving.problems import Refusal

KINDS = "a folder, a .tar, a .parquet, or a text file with one path a line"
PACKED = (".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".zip", ".7z")
READ_AT_ONCE = 64  # rows of a Parquet file
Content = bytes | Refusal


class Entry(NamedTuple):
    """One input: its name, where it is (offset in a tar, row of Parquet, time of a file in ns) and its size in bytes, or None."""

    name: str
    at: int | None = None
    size: int | None = None


class Source(Protocol):
    """Entries in a fixed order, and the contents of some that follow each other; what cannot be read is a Refusal in its place."""

    def entries(self) -> Iterator[Entry]: ...

    def contents(self, entries: Sequence[Entry], most: int) -> Iterator[Content]: ...


def opened(path: Path) -> Source:
    """The source at a path, by its kind. Raises BadSetting."""
    if path.is_dir():
        return Folder(path)
    if not path.is_file():
        raise BadSetting(f"from={str(path)!r} is not there. Give {KINDS}.")
    if path.suffix.lower() in PACKED:
        raise BadSetting(f"from={str(path)!r} is compressed, so that no input can be read by itself. Unpack it: {KINDS}.")
    if path.suffix == ".parquet":
        return Parquet(path)
    return Tar(path) if path.suffix == ".tar" else Listed(path)


class Folder:
    """All files below a folder, sorted by name within each; names that begin with a dot, and links to folders, are left out."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> Iterator[Entry]:
        for path in _walk(self.path):
            facts = path.stat() if path.exists() else None
            yield Entry(path.relative_to(self.path).as_posix(), facts and facts.st_mtime_ns, facts and facts.st_size)

    def contents(self, entries: Sequence[Entry], most: int) -> Iterator[Content]:
        return (_file(self.path / entry.name, most) for entry in entries)


def _walk(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as listed:
        found = sorted((entry.name, entry.is_dir(follow_symlinks=False), entry.is_symlink()) for entry in listed)
    for name, is_folder, is_link in found:
        path = folder / name
        if is_folder and not name.startswith("."):
            yield from _walk(path)
        elif not name.startswith(".") and not (is_link and path.is_dir()):
            yield path


class Listed:
    """The files that a text file names, one path a line, relative to its folder; blank lines are left out."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> Iterator[Entry]:
        with self.path.open("rb") as lines:
            for line in lines:
                if b"\0" in line:
                    raise BadSetting(f"from={str(self.path)!r} is no text. Give {KINDS}.")
                if name := line.strip(b"\r\n"):
                    yield Entry(os.fsdecode(name))

    def contents(self, entries: Sequence[Entry], most: int) -> Iterator[Content]:
        return (_file(self.path.parent / entry.name, most) for entry in entries)


def _file(path: Path, most: int) -> Content:
    """A file's bytes; a Refusal where there is no such file, or it is larger than `most`."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):  # a pipe would be waited for
            return Refusal(422, "not a file", "This is not a file. Give the path of a file.")
        return path.read_bytes() if facts.st_size <= most else _large(facts.st_size, most)
    except (OSError, ValueError) as error:
        return Refusal(422, "not readable", f"The file cannot be read: {getattr(error, 'strerror', None) or error}.")


def _large(size: int, most: int) -> Refusal:
    return Refusal(413, "body too large", f"The file has {size / 1e6:.1f} MB; at most {most / 1e6:g} MB are allowed. Give a smaller one.")


class Tar:
    """The files in a tar that is not compressed, in its order, also those of one name."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> Iterator[Entry]:
        try:
            with tarfile.open(self.path, "r:") as archive:
                for member in archive:
                    archive.members.clear()  # type: ignore[attr-defined]  # else it remembers them all
                    if member.type in tarfile.REGULAR_TYPES:
                        yield Entry(member.name, -1 if member.issparse() else member.offset_data, member.size)
        except tarfile.TarError as error:
            raise BadSetting(f"from={str(self.path)!r} is not a complete tar ({error}). Make it again, without compression.") from error

    def contents(self, entries: Sequence[Entry], most: int) -> Iterator[Content]:
        with self.path.open("rb") as archive:
            for entry in entries:
                yield _member(archive, entry, most)


def _member(archive: Any, entry: Entry, most: int) -> Content:
    assert entry.at is not None and entry.size is not None  # noqa: S101 as entries() gives them
    if entry.at < 0:
        return Refusal(422, "not readable", "The tar holds this file as a sparse one. Make it again, without --sparse.")
    if entry.size > most:
        return _large(entry.size, most)
    archive.seek(entry.at)
    content: bytes = archive.read(entry.size)
    if len(content) < entry.size:
        return Refusal(422, "not readable", f"The tar ends within this file: {len(content)} of {entry.size} bytes are there.")
    return content


class Parquet:
    """The rows of a Parquet file: its one column of bytes, or of Hugging Face's images, and its first column of text as their names."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> Iterator[Entry]:
        names, number = _text(self._schema()), 0
        for batch in self._file().iter_batches(READ_AT_ONCE, columns=[names] if names else [self._column()]):
            for value in batch.column(0).to_pylist() if names else [None] * batch.num_rows:
                yield Entry(str(number) if value is None else str(value), number)
                number += 1

    def contents(self, entries: Sequence[Entry], most: int) -> Iterator[Content]:
        file, first = self._file(), entries[0].at or 0
        groups, skipped = _groups(file, first, len(entries))
        left = len(entries)
        for batch in file.iter_batches(READ_AT_ONCE, row_groups=groups, columns=[self._column()]):
            values = batch.column(0)[skipped : skipped + left]
            skipped, left = max(0, skipped - batch.num_rows), left - len(values)
            yield from (_value(value.as_py(), most) for value in values)

    def _file(self) -> Any:
        import pyarrow
        from pyarrow import parquet

        try:
            return parquet.ParquetFile(self.path, pre_buffer=False, buffer_size=2**20)  # a group of rows may hold gigabytes
        except pyarrow.ArrowInvalid as error:
            raise BadSetting(f"from={str(self.path)!r} is not a Parquet file ({error}). Give {KINDS}.") from error

    def _schema(self) -> Any:
        return self._file().schema_arrow

    def _column(self) -> str:
        """The name of the column with the contents, down to the field of a struct. Raises BadSetting."""
        found = [path for field in self._schema() if (path := _bytes(field))]
        if len(found) == 1:
            return found[0]
        columns = ", ".join(f"{field.name} ({field.type})" for field in self._schema())
        raise BadSetting(f"from={str(self.path)!r} has {len(found)} columns of bytes; one is needed. Its columns: {columns}.")


def _bytes(field: Any) -> str:
    """image, or image.bytes of a struct; empty for other columns."""
    from pyarrow import types

    if types.is_binary(field.type) or types.is_large_binary(field.type):
        return str(field.name)
    inner = types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    return f"{field.name}.bytes" if inner else ""


def _text(schema: Any) -> str | None:
    from pyarrow import types

    return next((field.name for field in schema if types.is_string(field.type) or types.is_large_string(field.type)), None)


def _groups(file: Any, first: int, count: int) -> tuple[list[int], int]:
    """The groups of rows that hold `count` rows from `first`, and how many of theirs come before."""
    ends, end = [], 0
    for number in range(file.num_row_groups):
        end += file.metadata.row_group(number).num_rows
        ends.append(end)
    begins = [0, *ends]
    groups = [number for number, end in enumerate(ends) if end > first and begins[number] < first + count]
    return groups, first - begins[groups[0]] if groups else 0


def _value(value: Any, most: int) -> Content:
    content = value.get("bytes") if isinstance(value, dict) else value
    if content is None:
        return Refusal(422, "not readable", "The row holds no bytes.")
    return content if len(content) <= most else _large(len(content), most)
