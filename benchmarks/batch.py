"""`make batch` beside a bare loop over the same Predictor on each core: inputs a second, once all have loaded; and its memory.

What `make batch` does beside: answers as the service gives them, shards, Parquet, progress.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from benchmarks import example, harness, models, signatures
from pipelines import devices
from serving.batch import plan, rows

ROUNDS = 3
COUNTS = {"digits": 10_000, "signatures": 500}
POLL = 0.2  # seconds between two looks at the memory


def measure() -> Iterator[harness.Row]:
    """Both families, ours and the loop in turn."""
    for family, count in COUNTS.items():
        with tempfile.TemporaryDirectory() as scratch:
            paths = written(family, count, Path(scratch, "inputs"))
            sides: dict[str, Callable[[], Any]] = {
                "ours": lambda family=family, paths=paths: ours(family, paths[0].parent),  # type: ignore[misc]
                "peer": lambda family=family, paths=paths: loops(family, paths),  # type: ignore[misc]
            }
            found = harness.in_turn(sides, ROUNDS, warm=0)
        rates = [rate for rate, _ in found["ours"]]
        memory = round(max(peak for _, peak in found["ours"]))
        name, unit = f"batch: {count:,} {'pages' if family == 'signatures' else 'images'} of {family}", "inputs/s"
        yield harness.row(name, unit, "more", rates, found["peer"], memory_mb=memory, cores=devices.cores())


def written(family: str, count: int, folder: Path) -> list[Path]:
    """So many files, no two of digits the same."""
    folder.mkdir()
    pages = [page.content for page in signatures.sample(24).pages] if family == "signatures" else []
    for number in range(count):
        path = folder / f"{number:06}.png"
        if pages:
            path.write_bytes(pages[number % len(pages)])
        else:
            Image.fromarray(np.roll(255 - example.seven(), (number % 5 - 2, number // 5 % 5 - 2), (0, 1))).save(path)
    return sorted(folder.iterdir())


def ours(family: str, inputs: Path) -> tuple[float, float]:
    """Inputs a second of one batch, from the first to the last row; and the most that all its processes held, in MB."""
    with tempfile.TemporaryDirectory() as scratch:
        words = [sys.executable, "-m", "atelier", "batch", family, "--from", str(inputs), "--to", f"{scratch}/answers"]
        process, peak = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), 0.0
        while process.poll() is None:
            peak = max(peak, _held(process.pid))
            try:
                process.wait(POLL)
            except subprocess.TimeoutExpired:
                continue
        if process.returncode:
            raise harness.Stopped(f"`{' '.join(words)}` ended with {process.returncode}.")
        run = plan.read(Path(scratch, "answers"))
        times = [rows.times(run.answers(shard)) for shard in range(run.shards)]
        return run.inputs / (max(end for _, end in times) - min(begin for begin, _ in times)), peak


def _held(pid: int) -> float:
    """Megabytes of a process and all that it has started; what is shared counts once for each."""
    total = 0.0
    try:
        parent = psutil.Process(pid)
        for each in (parent, *parent.children(recursive=True)):
            total += each.memory_info().rss / 1e6
    except psutil.NoSuchProcess:
        pass
    return total


def loops(family: str, paths: list[Path]) -> float:
    """Files a second of a loop on each core, its share of the files listed for it."""
    folder, cores = models.served(family), sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as scratch:
        running = []
        for place, core in enumerate(cores):
            listed = Path(scratch, str(core))
            listed.write_text("".join(f"{path}\n" for path in paths[place :: len(cores)]))
            words = [sys.executable, "-m", "benchmarks.peers.bare_loop", family, str(folder), str(core), str(listed)]
            running.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
        times = [json.loads(process.communicate()[0]) for process in running]
    return len(paths) / (max(each["ended"] for each in times) - min(each["begun"] for each in times))
