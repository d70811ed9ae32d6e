"""One core for each process of a batch on a machine: its runtimes then start one thread, and no two processes share a core."""

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO


def take() -> IO[str] | None:
    """Bind this process to a core that no other batch's process has; it is its own as long as the file that is returned is open.

    None where all are taken, or the system binds no processes: it then shares the last one.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    folder = Path(tempfile.gettempdir(), f"atelier-cores-{os.getuid()}")  # of this machine, whichever clone the process runs in
    folder.mkdir(mode=0o700, exist_ok=True)
    cores = sorted(os.sched_getaffinity(0))
    held = next((file for core in cores if (file := _held(folder / str(core)))), None)
    os.sched_setaffinity(0, {int(Path(held.name).name) if held else cores[os.getpid() % len(cores)]})
    return held


def _held(path: Path) -> IO[str] | None:
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
