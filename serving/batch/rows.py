"""The rows of a batch: one for each input, as Parquet."""

import errno
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pipelines import errors, folders

GROUP, GROUP_BYTES = 256, 8_000_000  # rows written at once, and the characters of their answers
REFUSED = {*errors.FULL, errno.EROFS, errno.EFBIG}


class NotWritten(OSError):
    """The disk takes no more rows."""


class Row(NamedTuple):
    """One input: its number from 0 and name; the service's answer in JSON, and what it says in a word; or why there is none.

    `version` and `digest` are of the model, `seconds` of this input alone, others being answered at the same time.
    """

    number: int
    input: str
    result: str | None
    confidence: float | None
    pages: int
    answer: str | None
    reason: str | None
    detail: str | None
    seconds: float
    prediction_id: str | None
    version: int
    digest: str


def schema() -> Any:
    """The columns. The answer's type is text: it has other keys in each family."""
    import pyarrow as pa

    kinds = {"number": pa.int64(), "confidence": pa.float64(), "pages": pa.int32(), "seconds": pa.float32(), "version": pa.int32()}
    return pa.schema([pa.field(name, kinds.get(name, pa.string())) for name in Row._fields])


class Writer:
    """Collects rows for an open Parquet file; few are in memory at once."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._rows: list[Row] = []
        self._bytes = 0

    def add(self, row: Row) -> None:
        self._rows.append(row)
        self._bytes += len(row.answer or "")
        if len(self._rows) >= GROUP or self._bytes >= GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            columns = dict(zip(Row._fields, map(list, zip(*self._rows, strict=True)), strict=True))
            self._file.write_table(pa.table(columns, schema()))
        self._rows, self._bytes = [], 0

    def describe(self, facts: dict[str, str]) -> None:
        """Add facts about all rows to the file's metadata."""
        self._file.add_key_value_metadata(facts)


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """A new Parquet file, complete or absent. Raises NotWritten where the disk refuses."""
    from pyarrow import parquet

    try:
        with folders.drafted(path) as draft, parquet.ParquetWriter(draft, schema(), compression="zstd") as file:
            writer = Writer(file)
            yield writer
            writer.flush()
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        free = shutil.disk_usage(path.parent).free / 1e6
        words = f"{path} was not written ({error}; {free:.0f} MB free there)"
        raise NotWritten(f"{words}. Free some space, and run the same command again: what is answered stays.") from error


def read(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a file, with these columns."""
    from pyarrow import parquet

    for batch in parquet.ParquetFile(path).iter_batches(GROUP, columns=list(columns)):
        yield from batch.to_pylist()


def times(path: Path) -> tuple[float, float]:
    """When the first row of a file was begun and the last one ended, in seconds since 1970."""
    from pyarrow import parquet

    facts = parquet.read_metadata(path).metadata
    return float(facts[b"begun"]), float(facts[b"ended"])
