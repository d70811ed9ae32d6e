"""What a batch is: its model, its source and its shards, written into its folder before the first input is answered.

run.json                what the batch is; a folder that holds another one is refused
model/                  the files that are served, so that another champion, or a node without the store, changes nothing
plan/000000.jsonl       the inputs of a shard: [name, at, size] a line
answers/000000.parquet  its rows, complete or absent
work/                   what the workers hold, while they run
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pipelines import configs, folders
from pipelines.errors import BadSetting
from pipelines.registry import store
from serving.batch import sources
from serving.batch.sources import Entry, Source

RUN, MODEL, PLAN, ANSWERS, WORK, LOCK = "run.json", "model", "plan", "answers", "work", ".lock"
MOST = 1000  # inputs of a shard: what a killed process has to answer again
EACH = 8  # shards for each process, so that all of them end at about the same time
IDENTITY = ("family", "version", "digest", "inputs", "fingerprint", "limits")


class OtherBatch(BadSetting):
    """The folder holds the answers of another batch."""


@dataclass(frozen=True)
class Run:
    """One batch: `folder` is where it is written, `size` the inputs of a shard, `pointer` the model's."""

    folder: Path
    source: Path
    pointer: store.Pointer
    inputs: int
    size: int

    @property
    def family(self) -> str:
        return str(self.pointer["model"]["family"])

    @property
    def shards(self) -> int:
        return -(-self.inputs // self.size)

    def answers(self, shard: int) -> Path:
        return self.folder / ANSWERS / f"{shard:06}.parquet"

    def work(self) -> Path:
        return self.folder / WORK

    def entries(self, shard: int) -> list[Entry]:
        """The inputs of a shard."""
        return [Entry(*json.loads(line)) for line in (self.folder / PLAN / f"{shard:06}.jsonl").open()]

    def count(self, shard: int) -> int:
        """How many inputs a shard has."""
        return min(self.size, self.inputs - shard * self.size)

    def done(self) -> list[int]:
        """The shards that are answered."""
        return [shard for shard in range(self.shards) if self.answers(shard).exists()]


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder against a second batch. Raises BadSetting where one runs, or the folder holds other files."""
    if folder.exists() and not (folder.is_dir() and ((folder / RUN).exists() or not any(_others(folder)))):
        raise BadSetting(f"to={str(folder)!r} is there and holds no batch. Name a new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadSetting(f"to={str(folder)!r} is being written by another batch. Wait for its end, or stop it.") from None
        yield


def _others(folder: Path) -> Iterator[Path]:
    """What is not from an interrupted start."""
    return (path for path in folder.iterdir() if path.name != LOCK and PLAN not in path.name and MODEL not in path.name)


def prepared(source: Path, folder: Path, pointer: store.Pointer, processes: int) -> Run:
    """The batch of this source and model in a folder, begun or taken up again. Raises OtherBatch or BadSetting."""
    found = sources.opened(source)
    if folder.resolve().is_relative_to(source.resolve()):
        raise BadSetting(f"to={str(folder)!r} lies in from={str(source)!r}: the answers would be inputs. Name a folder outside of it.")
    inputs, fingerprint = _surveyed(found)
    if not inputs:
        raise BadSetting(f"from={str(source)!r} holds no inputs. Give {sources.KINDS}.")
    limits = configs.serving(pointer["model"]["family"]).model_dump(mode="json", exclude={"predictions", "shadow", "queue"})
    facts = {**pointer["model"], "inputs": inputs, "fingerprint": fingerprint, "limits": limits}
    if (folder / RUN).exists():
        return _again(folder, source, facts)
    size = max(1, min(MOST, inputs // (processes * EACH)))
    with folders.replacing(folder / MODEL) as out:
        shutil.copytree(store.location(pointer["tag"]), out, dirs_exist_ok=True)
    _write_plan(found, folder / PLAN, size)
    record = {**{key: facts[key] for key in IDENTITY}, "pointer": pointer, "from": str(source.resolve()), "size": size}
    folders.write_json(folder / RUN, record)
    return read(folder)


def read(folder: Path) -> Run:
    """The batch of a folder."""
    if not (folder / RUN).exists():
        raise BadSetting(
            f"{folder} is not on this machine. With on=ray, from= and to= must have the same paths on every node: a shared disk."
        )
    record = folders.read_json(folder / RUN)
    return Run(folder, Path(record["from"]), record["pointer"], record["inputs"], record["size"])


def _again(folder: Path, source: Path, facts: dict[str, Any]) -> Run:
    record = folders.read_json(folder / RUN)
    if other := [key for key in IDENTITY if record.get(key) != facts[key]]:
        words = "; ".join(f"{key} {_short(record.get(key))}, now {_short(facts[key])}" for key in other)
        raise OtherBatch(f"to={str(folder)!r} was begun with {words}. Name another folder for this one, or set back what has changed.")
    folders.write_json(folder / RUN, {**record, "from": str(source.resolve())})
    return read(folder)


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) else str(value)


def _surveyed(source: Source) -> tuple[int, str]:
    """How many inputs there are, and a SHA-256 of their names, places and sizes."""
    count, digest = 0, hashlib.sha256()
    for entry in source.entries():
        count += 1
        digest.update(_line(entry))
    return count, digest.hexdigest()


def _line(entry: Entry) -> bytes:
    return json.dumps(entry).encode() + b"\n"


def _write_plan(source: Source, folder: Path, size: int) -> None:
    entries, shard = source.entries(), 0
    with folders.replacing(folder) as out:
        while lines := [_line(entry) for entry in islice(entries, size)]:
            (out / f"{shard:06}.jsonl").write_bytes(b"".join(lines))
            shard += 1


def clear(run: Run) -> None:
    """Remove what the workers of an ended batch held and had not finished."""
    shutil.rmtree(run.work(), ignore_errors=True)
    (run.folder / ANSWERS).mkdir(exist_ok=True)
    for path in (run.folder / ANSWERS).glob(".*"):
        path.unlink(missing_ok=True)
    (run.work()).mkdir()


def name_of(entry: Entry) -> str:
    """The name as text: bytes that are no UTF-8 as \\xNN."""
    return os.fsencode(entry.name).decode(errors="backslashreplace")
