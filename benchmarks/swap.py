"""What a swap costs who asks: a service whose pointer moves again and again, and the same one when it is left alone."""

import io
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks import example, harness, models, services
from pipelines import discovery
from pipelines.models import manifests, selfcheck
from pipelines.registry import store

ROOT = Path(__file__).parents[1]
ROUNDS, WORKERS = 3, 2
PROCESSES = WORKERS + 1  # the spare one follows too
PACES = {"signatures": (4, 40)}  # (connections, seconds): of 25 pages a second, 4 seconds would leave no p99
PACE = (services.CONNECTIONS, 4)
LONGEST = 30.0  # seconds that a worker may take to follow; then the benchmark stops


def measure() -> Iterator[harness.Row]:
    """Every family, two workers, at its pace: the pointer moves as soon as both workers have followed the last move."""
    for family in discovery.names():
        yield from compared(family, *PACES.get(family, PACE))


def compared(family: str, connections: int, seconds: int) -> Iterator[harness.Row]:
    """p99 and requests a second with moves (ours) and without (peer); seconds from the pointer to the last worker; memory."""
    with _service(family) as (service, mover):
        load = partial(service.load, seconds, connections)
        sides = {"moved": partial(_moved, load, mover), "alone": load}
        load()
        before = service.memory_mb()  # of a service that has answered, and has not swapped yet
        found = harness.in_turn(sides, ROUNDS)
        memory = {"ours": round(service.memory_mb()), "peer": round(before)}
    more: harness.Row = {
        "moves": sum(len(line["followed"]) for line in found["moved"]),
        "failed": {"ours": sum(line["failed"] for line in found["moved"]), "peer": sum(line["failed"] for line in found["alone"])},
        "memory_mb": memory,
        "connections": connections,
        "workers": WORKERS,
    }
    for key, unit, better in (("p99", "ms", "less"), ("rps", "requests/s", "more")):
        sides_found = [[line[key] for line in found[side]] for side in ("moved", "alone")]
        yield harness.row(f"{key} while versions are swapped: {family}, left alone", unit, better, *sides_found, **more)  # type: ignore[arg-type]
    seconds_each = [second for line in found["moved"] for second in line["followed"]]
    yield harness.row(f"swap: pointer to the last worker: {family}", "s", "less", seconds_each, **more)


@contextmanager
def _service(family: str) -> Iterator[tuple[services.Service, "Mover"]]:
    """The champion twice in a store of its own, as versions 1 and 2, and a service that follows the pointer between them."""
    folder = models.served(family).absolute()
    with tempfile.TemporaryDirectory() as scratch, chdir(scratch):
        pointers = [put(folder, version) for version in (1, 2)]
        store.write_pointer(family, pointers[0])
        words = ["-m", "atelier", "serve", family, "--workers", str(WORKERS), "--port", "{port}"]
        log = Path(scratch, "log")
        service = services.Service(services.Side(["env", f"PYTHONPATH={ROOT}", sys.executable, *words], request(family, folder)), log)
        services.await_words(log, services.LOADED, PROCESSES)
        try:
            yield service, Mover(pointers, log)
        finally:
            service.stop()


def request(family: str, folder: Path) -> services.Request:
    """The image of a model's golden example, as an upload."""
    batch, _ = selfcheck.read(folder)
    stream = io.BytesIO()
    Image.fromarray(batch[0]).save(stream, "PNG")
    return services.upload("example.png", "image/png", stream.getvalue(), example.PATHS.get(family, "/predict"))


def put(folder: Path, version: int | None) -> store.Pointer:
    """Bring a model folder into the store of this folder; a pointer to it. `version` is None of a challenger."""
    manifest = manifests.read(folder)
    origin = {key: manifest[key] for key in ("family", "digest", "data")}
    return {"tag": store.put(folder, version), "model": {**origin, "version": version, "commit": None, "run_id": ""}, "released": False}


class Mover:
    """Moves the pointer, and reads in the service's log when each worker had followed."""

    def __init__(self, pointers: list[store.Pointer], log: Path) -> None:
        self.pointers, self.log = pointers, log.open()
        self.current = 0

    def until(self, over: threading.Event) -> list[float]:
        """Move again and again, until it is `over`; the seconds that each move took."""
        found = []
        while not over.is_set():
            found.append(self._move())
        return found

    def _move(self) -> float:
        self.current = 1 - self.current
        pointer = self.pointers[self.current]
        self.log.seek(0, 2)
        begun, deadline = time.time(), time.monotonic() + LONGEST
        store.write_pointer(pointer["model"]["family"], pointer)
        messages: list[str] = []
        while len(messages) < PROCESSES:
            if time.monotonic() > deadline:
                raise harness.Stopped(f"{len(messages)} of {PROCESSES} processes followed the pointer in {LONGEST:g} s.")
            time.sleep(0.01)
            messages += [line for line in self.log.readlines() if "now serves version" in line]
        return max(_seconds(line) for line in messages) - begun


def _seconds(line: str) -> float:
    """When a line was logged, in seconds since 1970."""
    return datetime.fromisoformat(json.loads(line)["time"]).astimezone(UTC).timestamp()


def _moved(load: Callable[[], dict[str, float]], mover: Mover) -> dict[str, Any]:
    """wrk's figures while the pointer moves, and how long each move took: {..., "followed": [s]}."""
    over, followed = threading.Event(), []
    thread = threading.Thread(target=lambda: followed.extend(mover.until(over)))
    thread.start()
    try:
        figures: dict[str, Any] = load()
    finally:
        over.set()
        thread.join()
    return {**figures, "followed": followed}
