"""A command on several nodes at once: its processes find each other by the variables that torchrun sets, and end together."""

import threading
from collections.abc import Callable, Iterator, Sequence

from pipelines.cluster.jobs import Job

GRACE = 30  # seconds after a failure for the other commands to end by themselves: one of them may be on a lost node


def variables(rank: int, nodes: int, host: str, port: int) -> dict[str, str]:
    """What a process of a training finds in its environment, one process a node."""
    found = {"RANK": rank, "WORLD_SIZE": nodes, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1, "MASTER_ADDR": host, "MASTER_PORT": port}
    return {name: str(value) for name, value in found.items()}


class Together:
    """The first node's command is listened to; where one fails the others are ended, and their failures are heard too."""

    def __init__(self, jobs: Sequence[Job], release: Callable[[], None]) -> None:
        self._first, *self._others = jobs
        self._release = release
        self._failed: list[tuple[int, list[str]]] = []  # exit code and lines of the others that failed, in the order of their end
        self._over, self._ending, self._stopped = threading.Event(), threading.Event(), False
        self._threads = [threading.Thread(target=self._follow, args=(job,), daemon=True) for job in self._others]
        for thread in self._threads:
            thread.start()

    def _follow(self, job: Job) -> None:
        said, code = list(job.lines()), job.wait()
        if code and not self._ending.is_set():
            self._failed.append((code, said))
            if not self._over.wait(GRACE):
                self._stopped = True
                self._first.stop()

    def lines(self) -> Iterator[str]:
        """Those of the first node; then, where another one's command failed, those of that."""
        yield from self._first.lines()
        self._over.set()
        if self._first.wait() and not self._stopped:
            self._join(GRACE)
        self.stop()
        self._join()
        self._release()
        yield from (line for _, said in self._failed for line in said)

    def _join(self, seconds: float | None = None) -> None:
        for thread in self._threads:
            thread.join(seconds)

    def stop(self) -> None:
        self._ending.set()
        for job in (self._first, *self._others):
            job.stop()

    def wait(self) -> int:
        """0 where the first one's is; else the largest of those that ended by themselves, so that a lost node counts as lost."""
        code, others = self._first.wait(), [other for other, _ in self._failed]
        return max(others if self._stopped else [code, *others]) if code else 0
