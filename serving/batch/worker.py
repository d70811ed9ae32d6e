"""`python -m serving.batch.worker --to <folder> --name <name>`: answers the shards of a batch that no other worker has, one after another.

Prints lines of JSON {"shard", "inputs", "pages"}: what is answered of a shard so far.
"""

import argparse
import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from pipelines import configs, errors, phrases
from serving.batch import claims, cores, plan, rows, sources
from serving.batch.plan import Run
from serving.batch.rows import Row
from serving.batch.sources import Content, Entry, Source
from serving.inputs.bodies import Body
from serving.live import champion
from serving.live.champion import Served
from serving.problems import Refusal

EVERY = 0.5  # seconds between two lines
FATAL = Refusal(422, "fatal", "The process that read this input ended, several times: a crash in a library, or no memory. See the log.")


class Model(NamedTuple):
    """What answers: the family's answers.py, its champion, the limits on inputs."""

    answers: ModuleType
    served: Served
    limits: Any


def main(folder: Path, name: str) -> None:
    """Answer shards until none is left."""
    core = cores.take()
    run = plan.read(folder)
    source, model = sources.opened(run.source), loaded(run)
    with asyncio.Runner() as runner:
        for shard in claims.claimed(run, name):
            runner.run(answer(run, shard, source, model))
    if core:
        core.close()


def loaded(run: Run) -> Model:
    """The model that the batch began with, whatever is the champion now. Raises as champion.load does."""
    served = champion.load(run.family, run.pointer, folder=run.folder / plan.MODEL)
    return Model(import_module(f"serving.{run.family}.answers"), served, configs.serving(run.family))


class Progress:
    """What is answered of a shard so far, printed now and then."""

    def __init__(self, shard: int) -> None:
        self._shard, self._inputs, self._pages = shard, 0, 0
        self._shown = time.monotonic()

    def add(self, row: Row) -> None:
        self._inputs, self._pages = self._inputs + 1, self._pages + row.pages
        if time.monotonic() - self._shown > EVERY:
            self.show()

    def show(self) -> None:
        print(json.dumps({"shard": self._shard, "inputs": self._inputs, "pages": self._pages}), flush=True)
        self._shown = time.monotonic()


async def answer(run: Run, shard: int, source: Source, model: Model) -> None:
    """Write the rows of a shard. Raises Refusal where a database is away."""
    begun, entries, dead = time.time(), run.entries(shard), claims.deaths(run, shard)
    contents = _watched(run, shard, source.contents(entries, int(model.limits.limit_mb * 1e6)), dead)
    progress = Progress(shard)
    with rows.writing(run.answers(shard)) as writer:
        async for row in _answered(entries, contents, shard * run.size, model, 1 if dead else model.limits.batch):
            writer.add(row)
            progress.add(row)
        writer.describe({"begun": str(begun), "ended": str(time.time())})
    progress.show()


def _watched(run: Run, shard: int, contents: Iterator[Content], dead: Sequence[int | None]) -> Iterator[Content]:
    """The contents; where a worker has died at this shard, each is noted before it is read, and one that was fatal is refused."""
    fatal = claims.fatal([*dead])
    for index, content in enumerate(contents):
        if dead:
            claims.note(run, shard, index)
        yield FATAL if index in fatal else content


async def _answered(entries: Sequence[Entry], contents: Iterator[Content], first: int, model: Model, together: int) -> AsyncIterator[Row]:
    """The rows in order, so many inputs `together` at work: those that wait for the model are answered in one call of it."""
    waiting: deque[asyncio.Task[Row]] = deque()
    for number, (entry, content) in enumerate(zip(entries, contents, strict=True), first):
        waiting.append(asyncio.create_task(_row(number, entry, content, model)))
        if len(waiting) >= together:
            yield await waiting.popleft()
    while waiting:
        yield await waiting.popleft()


async def _row(number: int, entry: Entry, content: Content, model: Model) -> Row:
    begun, origin = time.perf_counter(), model.served.pointer["model"]
    answer, refused = await _asked(content, model)
    said = (
        _said(answer, model.answers) if answer else {"result": None, "confidence": None, "pages": 0, "answer": None, "prediction_id": None}
    )
    return Row(
        number=number,
        input=plan.name_of(entry),
        reason=refused.reason if refused else None,
        detail=str(refused) if refused else None,
        seconds=time.perf_counter() - begun,
        version=origin["version"],
        digest=origin["digest"],
        **said,
    )


def _said(answer: dict[str, Any], answers: ModuleType) -> dict[str, Any]:
    return {
        "result": answers.result(answer),
        "confidence": answers.confidence(answer),
        "pages": answers.page_count(answer) if hasattr(answers, "page_count") else 1,
        "answer": json.dumps(answer, ensure_ascii=False, separators=(",", ":")),
        "prediction_id": answer["prediction_id"],
    }


async def _asked(content: Content, model: Model) -> tuple[dict[str, Any] | None, Refusal | None]:
    """The service's answer, or why there is none. Raises a Refusal that is not the input's fault, such as of a database that is away."""
    try:
        if isinstance(content, Refusal):
            raise content
        return await model.answers.predict(Body(False, content), model.served, model.limits), None
    except Refusal as refused:
        if refused.status >= 500:
            raise
        return None, refused
    except Exception as error:
        return None, Refusal(500, "fault", phrases.one_line(error))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--name", required=True)
    asked = parser.parse_args()
    with errors.printed_once():
        main(asked.to, asked.name)
