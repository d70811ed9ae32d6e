"""What slow, silent and hostile clients cost the others: p99 of 16 connections beside 100 of them, with 256 descriptors; and memory."""

import itertools
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from benchmarks import harness, services

ROUNDS, SECONDS = 5, 4
CONNECTIONS, OTHERS, DESCRIPTORS = 16, 100, 256
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 1000000\r\n"
SENT = (b"", HEAD[:9], HEAD, HEAD + b"\r\n", HEAD + b"\r\n" + bytes(1000))  # then a byte a second, unless it is nothing
ENDLESS = {"headers": b"X: x\r\n" * 10_000, "one value": bytes(b"x" * 60_000)}
ENDLESS_SECONDS = 8


def measure() -> Iterator[harness.Row]:
    """Digits: p99 and requests a second beside them (ours) and alone (peer); megabytes that endless headers add."""
    with _service() as service:
        load = partial(service.load, SECONDS, CONNECTIONS)
        found = harness.in_turn({"beside": partial(_beside, service, load), "alone": load}, ROUNDS)
        yield from _rows(found)
        for name, piece in ENDLESS.items():
            yield harness.row(f"memory under endless heads: {name}", "MB", "less", [_growth(service, piece)])


def _rows(found: dict[str, list[dict[str, float]]]) -> Iterator[harness.Row]:
    failed = {"ours": sum(line["failed"] for line in found["beside"]), "peer": sum(line["failed"] for line in found["alone"])}
    more: harness.Row = {"connections": CONNECTIONS, "others": OTHERS, "descriptors": DESCRIPTORS, "failed": failed}
    for key, unit, better in (("p99", "ms", "less"), ("rps", "requests/s", "more")):
        ours, peer = ([line[key] for line in found[side]] for side in ("beside", "alone"))
        yield harness.row(f"{key} beside {OTHERS} slow or silent clients, alone", unit, better, ours, peer, **more)  # type: ignore[arg-type]


@contextmanager
def _service() -> Iterator[services.Service]:
    """Digits with so many descriptors."""
    ours = services.ours("digits")
    words = ["bash", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "bash", *ours.words]
    with tempfile.TemporaryDirectory() as scratch:
        service = services.Service(services.Side(words, ours.request), Path(scratch, "log"))
        try:
            yield service
        finally:
            service.stop()


def _address(service: services.Service) -> tuple[str, int]:
    host, _, port = service.address.removeprefix("http://").partition(":")
    return host, int(port)


def _beside(service: services.Service, load: partial[dict[str, float]]) -> dict[str, float]:
    """wrk's figures while the others are connected, and come again when they are closed."""
    over = threading.Event()
    thread = threading.Thread(target=_keep_connected, args=(_address(service), over))
    thread.start()
    time.sleep(1)
    try:
        return load()
    finally:
        over.set()
        thread.join()


def _keep_connected(address: tuple[str, int], over: threading.Event) -> None:
    with ExitStack() as stack:
        clients = [_Slow(address, sent) for sent in itertools.islice(itertools.cycle(SENT), OTHERS)]
        for client in clients:
            stack.callback(client.close)
        while not over.wait(1):
            for client in clients:
                client.go_on()


class _Slow:
    """A client that begins, and then sends a byte a second; connected again where it was closed."""

    def __init__(self, address: tuple[str, int], sent: bytes) -> None:
        self.address, self.sent = address, sent
        self._connect()

    def _connect(self) -> None:
        self.socket = socket.create_connection(self.address)
        self.socket.sendall(self.sent)

    def go_on(self) -> None:
        try:
            self.socket.sendall(b"x" if self.sent else b"")
            self.socket.setblocking(False)
            if self.socket.recv(1000) or True:
                raise ConnectionError
        except BlockingIOError:
            self.socket.setblocking(True)
        except OSError:
            self.close()
            self._connect()

    def close(self) -> None:
        self.socket.close()


def _growth(service: services.Service, piece: bytes) -> float:
    """How many megabytes the service holds more at the most, while connections send a head without an end, as fast as it takes them."""
    before, most, over = service.memory_mb(), 0.0, threading.Event()
    threads = [threading.Thread(target=_send_endlessly, args=(_address(service), piece, over)) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + ENDLESS_SECONDS
    while time.monotonic() < deadline:
        most = max(most, service.memory_mb())
        time.sleep(0.05)
    over.set()
    for thread in threads:
        thread.join()
    return max(0.0, most - before)


def _send_endlessly(address: tuple[str, int], piece: bytes, over: threading.Event) -> None:
    while not over.is_set():
        with suppress(OSError), socket.create_connection(address, timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + (b"" if b"\n" in piece else b"X: "))
            while not over.is_set():
                connection.sendall(piece)
