"""`make batch family=signatures from=archive.tar to=answers`: every input of a source answered by the champion, one row each, as Parquet.

The shards are answered by processes, one a core, here or on a cluster. Whatever is killed, the same command goes on after the last complete
shard.
"""

from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipelines.cluster import backends
from pipelines.cluster.jobs import Backend
from pipelines.errors import BadSetting
from pipelines.registry import store
from serving.batch import plan, report, workers
from serving.batch.plan import Run
from serving.live import champion


def main(family: str, source: Path, folder: Path, processes: int | None = None, on: str = "local") -> str:
    """Answer what is not answered yet; the summary in a sentence. Raises BadSetting, NoChampion, report.Broken or workers.Failed."""
    backend = backends.named(on)
    wanted = _processes(processes, backend)
    champion.update_store(family)
    with plan.held(folder):
        run = plan.prepared(source, folder, store.read_pointer(family), wanted)
        _answer(run, backend, wanted)
        return _sentence(report.write(run), folder / report.PAGE)


def _processes(asked: int | None, backend: Backend) -> int:
    if asked is not None and asked < 1:
        raise BadSetting(f"processes={asked} is not allowed. Give 1 or more; without it there is one a core.")
    return asked or backend.capacity(1, 0)


def _answer(run: Run, backend: Backend, processes: int) -> None:
    done = run.done()
    if len(done) == run.shards:
        return print(f"All {run.inputs:,} inputs are answered already.")
    plan.clear(run)
    with tqdm(total=run.inputs, initial=sum(map(run.count, done)), desc=run.family, unit="input") as bar:
        workers.Workers(run, backend, bar).answer(min(processes, run.shards - len(done)))


def _sentence(found: dict[str, Any], page: Path) -> str:
    return f"{found['inputs']:,} inputs: {found['answered']:,} answered, {found['refused']:,} not. {page} says more."
