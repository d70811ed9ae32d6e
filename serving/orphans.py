"""A process that ends with the one that has started it, also where that was killed."""

import logging
import os
import signal
import threading
import time

logger = logging.getLogger("atelier.serving")
INTERVAL = 0.5  # seconds between two looks at the parent
PATIENCE = 40.0  # seconds to end in order


def end_with_parent() -> None:
    """Begin to look, in a thread."""
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True, name="parent").start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(INTERVAL)
    end()


def end(patience: float = PATIENCE) -> None:
    """End this process in order, or else at once when the seconds are over."""
    logger.error("the process that has started this one has ended; this one ends too")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(patience)
    os._exit(1)
