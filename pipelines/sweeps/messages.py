"""What a trial prints for the driver: a line of JSON for each epoch, and one with its figures. All other lines are its log."""

import json
from typing import NamedTuple

DISK_FULL = 74  # a trial's exit code where its disk is full: EX_IOERR of sysexits.h


class Epoch(NamedTuple):
    """An epoch that has ended: its number from 1, the metric on validation, and its seconds."""

    number: int
    value: float
    seconds: float


class Figures(NamedTuple):
    """What the gate asks of the served files: the metric on validation, megabytes, milliseconds of an answer."""

    valid: float
    size_mb: float
    latency_ms: float


def written(message: Epoch | Figures) -> str:
    return json.dumps({type(message).__name__: message._asdict()})


def read(line: str) -> Epoch | Figures | None:
    """The message in a line; None for a line of the log."""
    for kind in (Epoch, Figures):
        if line.startswith(f'{{"{kind.__name__}": '):
            return kind(**json.loads(line)[kind.__name__])
    return None
