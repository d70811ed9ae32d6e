"""`make up`: every product and the portal, a process each, started and ended together."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from pipelines import discovery, paths, processes
from pipelines.registry import store
from serving import exits, ports
from serving.__main__ import rotate
from serving.portal import settings
from serving.portal.products import PRODUCTS

HOST, PORTAL = "127.0.0.1", "portal"
INTERVAL, LOOK = 0.2, 1.0  # seconds between two looks at the processes, and for one to answer
PATIENCE = 100  # seconds to end in order


class Part:
    """One process: a product's service, or the portal."""

    def __init__(self, name: str, port: int, **more: str) -> None:
        self.name, self.address, self.log = name, f"http://{HOST}:{port}", paths.ROOT / f"{name}.log"
        self.ready = self.over = False
        rotate(self.log)
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "serving.portal.part", name, str(port)]
            environment, quiet = {**os.environ, **more}, subprocess.DEVNULL
            self.process = subprocess.Popen(
                command, stdin=quiet, stdout=log, stderr=log, env=environment, process_group=0
            )  # a group of its own: the terminal's Ctrl-C is for the first process alone

    def look(self, client: httpx.Client) -> str | None:
        """What is new: it answers, or it has ended."""
        status = self.process.poll()
        if status is not None and not self.over:
            self.over = True
            return f"{self.name} ended {exits.why(status)}: {_last(self.log)} The log is {self.log}."
        if status is None and not self.ready and _answers(client, self.address):
            self.ready = True
            return f"{self.name:{max(map(len, PRODUCTS))}}  {self.address}"
        return None


def main(port: int = 8080) -> None:
    """Serve all on the loopback address until Ctrl-C or SIGTERM. Raises BadSetting where the port is taken."""
    ports.check("make up", HOST, port)
    names = [name for name in discovery.names() if name in PRODUCTS]
    exits.in_order_on_sigterm()
    if not all(store.pointer_path(name).exists() for name in names):
        print("The first start here: the released models go to .store/ ...", flush=True)
        processes.run_to_end([sys.executable, "-m", "atelier", "reconcile"])  # MLflow is loaded once, not by each service
    places = dict(zip(names, ports.free(HOST, settings.FIRST_PORT, len(names), port), strict=True))
    with _running(places, port) as parts:
        _watch(parts)


@contextmanager
def _running(places: Mapping[str, int], port: int) -> Iterator[list[Part]]:
    """The products at these ports, and the portal in front of them; all are ended at the end."""
    addresses = ",".join(f"{name}=http://{HOST}:{place}" for name, place in places.items())
    parts: list[Part] = []
    try:
        print(f"Starting {', '.join(places)} and the portal ...", flush=True)
        parts += [Part(name, place) for name, place in places.items()]
        parts.append(Part(PORTAL, port, **{settings.SERVICES: addresses}))
        yield parts
    finally:
        _end(parts)


def _watch(parts: list[Part]) -> None:
    """Print what begins to answer and what ends, until the portal does. Raises SystemExit."""
    begun, waited = time.monotonic(), True
    with httpx.Client(timeout=LOOK, trust_env=False) as client:
        while not parts[-1].over:
            for news in filter(None, [part.look(client) for part in parts]):
                print(f"  {news}", flush=True)
            if waited and all(part.ready or part.over for part in parts):
                waited = False
                print(f"{parts[-1].address} answers, after {time.monotonic() - begun:.0f} s. Ctrl-C ends all.", flush=True)
            time.sleep(INTERVAL)
    sys.exit(1)


def _answers(client: httpx.Client, address: str) -> bool:
    try:
        return client.get(f"{address}/readyz").is_success
    except httpx.HTTPError:
        return False


def _last(log: Path) -> str:
    """The last line of a log, where it is a sentence of an error."""
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1] if lines and not lines[-1].startswith("{") else ""


def _end(parts: list[Part]) -> None:
    """End all in order, and wait; a second Ctrl-C kills them."""
    for part in parts:
        part.process.terminate()
    deadline = time.monotonic() + PATIENCE
    try:
        for part in parts:
            part.process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass
    finally:
        for part in parts:
            part.process.kill()
