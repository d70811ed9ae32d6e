"""All clients of one process: how many may be connected, who has to go when there are too many, and who has been waited for too long."""

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

logger = logging.getLogger("atelier.serving")
INTERVAL, DRAINING = 1.0, 0.25  # seconds between two looks at the clients: usually, and while the service ends
SHARE = 0.5  # of the connections may be of one address and without a complete request
MOST = 4096  # connections, also where more descriptors are allowed: each may hold a head and a part of a body
OPEN = Path("/dev/fd")  # a process's own descriptors; Windows has none
LEAST = 8  # connections, however few descriptors are allowed


class Client(Protocol):
    """One connection."""

    draining: bool

    @property
    def address(self) -> str:
        """The peer's, without its port."""

    @property
    def unfinished(self) -> bool:
        """Is its request incomplete?"""

    @property
    def open(self) -> bool:
        """Has nobody closed it?"""

    def waiting(self) -> float | None:
        """The time since which the service waits for it; None while the service works for it."""

    def expire(self) -> str | None:
        """End it where it has been waited for too long; then the reason."""

    def evict(self) -> None:
        """Close it, for another's sake."""


class Clients:
    """The connections of one server. `admit` and `_look` are called by its event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connections: Collection[Client]) -> None:
        self._loop, self._connections = loop, connections
        self._most, self._due = 0, 0.0
        self._next: asyncio.TimerHandle | None = None
        self._closed: Counter[str] = Counter()

    def admit(self, new: Client) -> bool:
        """Make room for a connection by closing another, which is waited for; False where there is no such, and no room."""
        self.watch()
        if len(self._connections) <= self._most * SHARE:
            return True
        others = [client for client in self._connections if client is not new and client.open]
        if (victim := _victim(others, new.address, self._most)) is None:
            return len(others) < self._most
        victim.evict()
        self._closed["too many connections"] += 1
        return True

    def watch(self, interval: float = INTERVAL) -> None:
        """Look at the clients after the interval, and again and again while there are any."""
        if self._next is None:
            self._most = most(len(self._connections))
        elif self._due <= self._loop.time() + interval:
            return
        else:
            self._next.cancel()
        self._due = self._loop.time() + interval
        self._next = self._loop.call_later(interval, self._look)

    def _look(self) -> None:
        late, self._next = self._loop.time() - self._due > INTERVAL, None
        if not late:  # what the clients sent in the meantime is read first
            self._closed.update(filter(None, [client.expire() for client in [*self._connections]]))
        if self._closed:
            logger.warning("connections were closed", extra={"facts": {"reasons": dict(self._closed)}})
            self._closed.clear()
        if self._connections:
            self.watch(DRAINING if any(client.draining for client in self._connections) else INTERVAL)


def _victim(others: list[Client], address: str, most: int) -> Client | None:
    """The connection to close: of one address with too many unfinished ones, or of all where all are too many."""
    unfinished = [client for client in others if client.address == address and client.unfinished]
    if len(unfinished) >= most * SHARE:
        return _longest(unfinished)
    if len(others) < most:
        return None
    waiting = [client for client in others if client.waiting() is not None]
    counted = Counter(client.address for client in waiting)
    largest = max(counted.values(), default=0)
    return _longest([client for client in waiting if counted[client.address] == largest])


def _longest(clients: list[Client]) -> Client | None:
    """The one that has been waited for longest."""
    since = {client: begun for client in clients if (begun := client.waiting()) is not None}
    return min(since, key=since.__getitem__, default=None)


def most(connected: int) -> int:
    """How many connections this process may have: its descriptors without the files that it has open, and a reserve."""
    allowed = descriptors()
    files = len([*OPEN.iterdir()]) - connected if OPEN.exists() else allowed // 8
    return max(LEAST, min(MOST, allowed - files - backlog() - allowed // 8))


def backlog() -> int:
    """Connections that may wait to be accepted: they come all at once, before any of them is looked at."""
    return max(LEAST, min(2048, descriptors() // 8))


def descriptors() -> int:
    """How many files and connections this process may have open. Windows has no such limit."""
    if sys.platform == "win32":
        return 4 * MOST
    import resource as of

    allowed, _ = of.getrlimit(of.RLIMIT_NOFILE)
    return 4 * MOST if allowed == of.RLIM_INFINITY else allowed
