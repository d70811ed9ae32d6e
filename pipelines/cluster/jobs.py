"""A command with the resources it needs, and what runs it: a back end gives back a job to listen to, stop and wait for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")  # of NumPy and PyTorch, and of TensorFlow


@dataclass(frozen=True)
class Command:
    """The words of a command, what is added to its environment, and how many cores and GPUs it takes; it computes with a thread a core.

    With `nodes` it is a process on each of as many nodes, with these cores and GPUs on each; they find each other as under torchrun.
    """

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    cpus: int = 1
    gpus: float = 0
    nodes: int = 1

    def environment(self) -> dict[str, str]:
        """`env`, and the number of threads where it names none."""
        return {**dict.fromkeys(THREADS, str(self.cpus)), **self.env}


class Job(Protocol):
    """A command that runs. It ends, with every process that it has started, when the process that started it ends."""

    def lines(self) -> Iterator[str]:
        """Each line of its standard output and error, as it comes, without the newline; ends when the command has ended."""

    def stop(self) -> None:
        """End it and every process that it has started, at once; nothing where it has ended."""

    def wait(self) -> int:
        """Its exit code, once it has ended and lines() is exhausted; 128 + the number of the signal that ended it."""


class Backend(Protocol):
    """Where commands run."""

    def capacity(self, cpus: int, gpus: float) -> int:
        """How many commands with these resources run side by side: 1 at least."""

    def start(self, command: Command) -> Job:
        """Start a command in this project's folder, or in a copy of it."""
