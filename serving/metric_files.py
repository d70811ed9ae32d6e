"""Prometheus' files, whose space is written before they are mapped: a disk without room would otherwise end the process by SIGBUS.

Where there is no room, figures are counted in memory, where /metrics does not find them, and the log says so.
"""

import logging
import mmap
from contextlib import suppress
from pathlib import Path

from prometheus_client import mmap_dict, values

logger = logging.getLogger("atelier.serving")
FIRST = 65_536  # bytes
ENTRY = 64  # bytes that an entry takes beside its key, at most


class Written(mmap_dict.MmapedDict):
    """A process's figures of one kind, in a file whose space is there; or else in memory."""

    def __init__(self, filename: str) -> None:
        self._fname, self._positions, self._used = filename, {}, 8  # 8: what precedes the first entry
        try:
            _write_up_to(Path(filename), FIRST)
            super().__init__(filename)  # type: ignore[no-untyped-call]
        except OSError as error:
            self._leave_file(error)
            self._map(FIRST)

    def _init_value(self, key: str) -> None:
        """As Prometheus does it; the file grows before."""
        if self._used + len(key.encode()) + ENTRY > self._capacity:
            self._grow(2 * self._capacity + len(key.encode()))
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def _grow(self, size: int) -> None:
        so_far = self._m[: self._used]
        try:
            if self._f:
                _write_up_to(Path(self._fname), size)
        except OSError as error:
            self._leave_file(error)
        self._map(size)
        self._m[: self._used] = so_far

    def _map(self, size: int) -> None:
        self._capacity, self._m = size, mmap.mmap(self._f.fileno() if self._f else -1, size)

    def _leave_file(self, error: OSError) -> None:
        """Without the file: what is in it would no longer move."""
        self._f = None  # type: ignore[assignment]
        with suppress(OSError):
            Path(self._fname).unlink()
        logger.error(
            "%s: %s. These figures are lost to /metrics until this process is restarted: free some space there", self._fname, error
        )


def _write_up_to(path: Path, size: int) -> None:
    """Zeros behind what the file has, up to this size. Raises OSError."""
    with path.open("ab") as file:
        file.write(bytes(max(0, size - file.tell())))


def install() -> None:
    """Let Prometheus use them: call it before the first metric is made."""
    values.MmapedDict = Written  # type: ignore[attr-defined, assignment]
