"""How a process ends on SIGTERM, and how one ended, in words."""

import signal
import sys

CAUSES = {
    "SIGKILL": "killed from outside, or memory ran out: see the kernel's log",
    "SIGBUS": "a mapped file could not be written: is a disk, or /dev/shm, full?",
    "SIGSEGV": "a crash in a library: check the packages against requirements.lock",
    "SIGABRT": "a crash in a library: check the packages against requirements.lock",
    "SIGILL": "a library that this processor cannot run: check the packages against requirements.lock",
}


def in_order_on_sigterm() -> None:
    """Let SIGTERM unwind the program: what was logged is written, and what is registered with atexit is called.

    uvicorn raises the signal again at its end; the default would kill the process there.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())


def why(status: int) -> str:
    """`with status 1`, or `by SIGKILL (what that may mean)`: of the exit status as Python gives it, a signal's number below zero."""
    if status >= 0:
        return f"with status {status}"
    name = signal.Signals(-status).name
    return f"by {name} ({CAUSES[name]})" if name in CAUSES else f"by {name}"
