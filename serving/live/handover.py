"""What the workers of one service tell each other, in files beside SERVING_STANDS: what they serve, and which version is being tried.

A version under which a worker crashes would otherwise end them all, and each one begun anew would try it first again.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipelines import folders, processes
from pipelines.registry import store

PLACE = "SERVING_STANDS"  # the variable that names the file where the workers of one service keep the pointer that they serve


class Crashed(RuntimeError):
    """A version that a worker of this service was trying when its process ended."""


def read() -> store.Pointer | None:
    """What the workers of this service serve, where one has begun before."""
    try:
        pointer: store.Pointer = json.loads(Path(os.environ[PLACE]).read_text())
    except (KeyError, OSError, ValueError):
        return None
    return pointer


def note(pointer: store.Pointer) -> None:
    """Leave word of what is served to a worker that begins after this one; where the disk is full, without."""
    if place := os.environ.get(PLACE):
        with suppress(OSError):
            folders.write_json(Path(place), pointer)


@contextmanager
def trying(pointer: store.Pointer, files: Any) -> Iterator[None]:
    """Leave word of a try until it has ended, well or not, where there is something else to serve. Raises Crashed.

    `files` tell a version from the same one that was put there again.
    """
    if read() is None:
        yield
        return
    place = Path(os.environ[PLACE])
    stem = f"{place.name}.trying-{folders.hash_of([pointer['tag'], files])[:16]}-"
    if any(processes.gone(left.name.removeprefix(stem)) for left in place.parent.glob(f"{stem}*")):
        raise Crashed(
            f"A worker's process ended while it was trying {pointer['tag']}, so none tries it again. Is there enough memory, and are the "
            "packages those of requirements.lock? If so, restart the service, or go back: "
            f"`make rollback family={pointer['model']['family']}`."
        )
    mark = place.with_name(f"{stem}{processes.myself()}")
    try:
        with suppress(OSError):
            mark.touch()
        yield
    finally:
        mark.unlink(missing_ok=True)
