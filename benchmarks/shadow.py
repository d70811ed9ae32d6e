"""What a challenger costs its clients: digits with a challenger for every request, and the same service without one."""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from functools import partial
from pathlib import Path

import httpx
import onnx
import psutil

from benchmarks import harness, models, services, swap
from pipelines import folders
from pipelines.models import manifests
from pipelines.registry import store

FAMILY, ROUNDS, SECONDS = "digits", 10, 5
LONGEST = 60.0  # seconds that a challenger may take to begin, or to end; then the benchmark stops
FIGURES: tuple[tuple[str, str, harness.Better], ...] = (("rps", "requests/s", "more"), ("p99", "ms", "less"))


def measure() -> Iterator[harness.Row]:
    """Requests a second and p99, 32 connections, share 1.0: with a challenger (ours) and without (peer), in turn."""
    with _service() as (service, log, pointer):
        sides = {"challenged": partial(_load, service, log, pointer), "alone": partial(_load, service, log, None)}
        found = harness.in_turn(sides, ROUNDS)
        more: harness.Row = {
            "connections": services.CONNECTIONS,
            "failed": {"ours": sum(line["failed"] for line in found["challenged"]), "peer": sum(line["failed"] for line in found["alone"])},
            "compared": int(_counted(service, "atelier_shadow_answers_total")),
            "dropped": int(_counted(service, "atelier_shadow_dropped_total")),
        }
    for key, unit, better in FIGURES:
        values = [[line[key] for line in found[side]] for side in ("challenged", "alone")]
        yield harness.row(f"shadow, {FAMILY}: {key} with a challenger at share 1, alone", unit, better, values[0], values[1], **more)


@contextmanager
def _service() -> Iterator[tuple[services.Service, Path, store.Pointer]]:
    """The champion in a store of its own, its service, and a challenger's pointer."""
    folder = models.served(FAMILY).absolute()
    with tempfile.TemporaryDirectory() as scratch, chdir(scratch):
        champion = swap.put(folder, 1)
        store.write_pointer(FAMILY, champion)
        pointer = _challenger(folder, Path("other"))
        words = ["-m", "atelier", "serve", FAMILY, "--port", "{port}"]
        log = Path(scratch, "log")
        side = services.Side(["env", f"PYTHONPATH={swap.ROOT}", sys.executable, *words], swap.request(FAMILY, folder))
        service = services.Service(side, log)
        try:
            yield service, log, pointer
        finally:
            service.stop()


def _challenger(folder: Path, other: Path) -> store.Pointer:
    """The same network under another name: the same answers for the same work, and another digest."""
    shutil.copytree(folder, other)
    manifest = manifests.read(other)
    path = manifests.file(other, manifest, "model")
    network = onnx.load(path)
    network.doc_string = "challenger"
    onnx.save(network, path)
    entry = manifest["files"][path.name]
    manifest["files"][path.name] = {**entry, "sha256": folders.sha256(path), "bytes": path.stat().st_size}
    folders.write_json(other / manifests.MANIFEST, {**manifest, "digest": manifests.digest(manifest)})
    return {**swap.put(other, None), "challenge": {"candidate": "the same network", "share": 1.0, "time": "2026-01-01T00:00:00Z"}}


def _load(service: services.Service, log: Path, pointer: store.Pointer | None) -> dict[str, float]:
    """wrk's figures once the challenger answers, or has ended."""
    if pointer:
        before = _begun(log)
        store.write_pointer(FAMILY, pointer, store.CHALLENGERS)
        _until(lambda: _begun(log) > before, log)
    else:
        store.pointer_path(FAMILY, store.CHALLENGERS).unlink(missing_ok=True)
        _until(lambda: not psutil.Process(service.process.pid).children(recursive=True), log)
    return service.load(SECONDS)


def _begun(log: Path) -> int:
    return log.read_text().count(f"{FAMILY} is challenged by")


def _until(done: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + LONGEST
    while not done():
        if time.monotonic() > deadline:
            raise harness.Stopped(f"No challenger began, or ended, in {LONGEST:g} s. The service's words:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)


def _counted(service: services.Service, name: str) -> float:
    """The sum of a metric's series."""
    lines = httpx.get(f"{service.address}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{"))
