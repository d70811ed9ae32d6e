"""Which worker answers which shard: a file made by one alone, and a note of every worker that died at a shard.

An input that ends the process which reads it, by a crash in a library or for memory, would end every worker in turn. So a shard at which a
worker died is answered one input at a time, each noted before it is read; an input at which two have died then is not read again.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from serving.batch.plan import Run

FATAL = 2  # deaths at one input


def claimed(run: Run, worker: str) -> Iterator[int]:
    """The shards that are neither answered nor another worker's, one after another, each claimed."""
    for shard in range(run.shards):
        if not run.answers(shard).exists() and _claim(_path(run, shard), worker) and not run.answers(shard).exists():
            yield shard


def _path(run: Run, shard: int) -> Path:
    return run.work() / f"{shard:06}"


def _claim(path: Path, worker: str) -> bool:
    try:
        with path.open("x") as file:
            file.write(worker)
    except FileExistsError:
        return False
    return True


def release(run: Run, worker: str) -> int | None:
    """Give back the shard at which a worker died, its death noted; the shard, or None where it held none."""
    for path in sorted(run.work().glob("[0-9]" * 6)):
        shard = int(path.name)
        if path.read_text() == worker and not run.answers(shard).exists():
            at = path.with_suffix(".at")
            with path.with_suffix(".deaths").open("a") as deaths:
                deaths.write((at.read_text() if at.exists() else "null") + "\n")
            path.unlink()
            return shard
    return None


def deaths(run: Run, shard: int) -> list[int | None]:
    """Where in a shard each worker died: the index of an input, None where that is unknown."""
    path = _path(run, shard).with_suffix(".deaths")
    return [json.loads(line) for line in path.read_text().split()] if path.exists() else []


def fatal(deaths: list[int | None]) -> set[int]:
    """The inputs that are not read again."""
    return {at for at, count in Counter(deaths).items() if at is not None and count >= FATAL}


def note(run: Run, shard: int, index: int) -> None:
    """Note the input that is read next."""
    _path(run, shard).with_suffix(".at").write_text(str(index))
