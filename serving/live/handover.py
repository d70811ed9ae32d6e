"""What the workers of one service share, in files next to SERVING_STANDS: the pointer that they serve, and the versions being loaded.

A version that crashes its worker would otherwise crash every worker, and again each one that is restarted.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipelines import folders, processes
from pipelines.registry import store

VARIABLE = "SERVING_STANDS"  # the variable that names the file of the pointer


class Crashed(RuntimeError):
    """A version during whose load a worker of this service crashed."""


def read() -> store.Pointer | None:
    """The pointer that the workers of this service serve, once one has begun."""
    try:
        pointer: store.Pointer = json.loads(Path(os.environ[VARIABLE]).read_text())
    except (KeyError, OSError, ValueError):
        return None
    return pointer


def note(pointer: store.Pointer) -> None:
    """Store the pointer for workers that begin later, unless the disk is full."""
    if place := os.environ.get(VARIABLE):
        with suppress(OSError):
            folders.write_json(Path(place), pointer)


@contextmanager
def trying(pointer: store.Pointer, files: Any) -> Iterator[None]:
    """Mark a load in a file until it ends, where another version can be served. Raises Crashed where a worker died during one.

    `files` are the stamps of its files: the same version stored again is another try.
    """
    if read() is None:
        yield
        return
    place = Path(os.environ[VARIABLE])
    stem = f"{place.name}.trying-{folders.hash_of([pointer['tag'], files])[:16]}-"
    if any(processes.gone(left.name.removeprefix(stem)) for left in place.parent.glob(f"{stem}*")):
        raise Crashed(
            f"A worker crashed while it loaded {pointer['tag']}, so none tries it again. Check memory, and the packages against "
            f"requirements.lock; then restart the service, or go back: `make rollback family={pointer['model']['family']}`."
        )
    mark = place.with_name(f"{stem}{processes.myself()}")
    try:
        with suppress(OSError):
            mark.touch()
        yield
    finally:
        mark.unlink(missing_ok=True)
