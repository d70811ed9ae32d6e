"""Names of processes that are unique across machines, containers and boots; whether one has ended; one that is run to its end."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import psutil

KERNEL = (Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid"))


@cache
def scope() -> str:
    """An id of the scope in which process numbers are unique: this container, on this machine, since boot."""
    try:
        facts = KERNEL[0].read_text() + str(KERNEL[1].readlink())
    except OSError:  # not Linux
        facts = f"{platform.node()} {psutil.boot_time():.0f}"
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def myself() -> str:
    """The name of this process."""
    return named(os.getpid())


def named(number: int) -> str:
    """The name of a process that runs here. Raises psutil.NoSuchProcess."""
    return f"{scope()}:{number}:{_start_time(number)}"


def _start_time(number: int) -> str:
    """When it started: on Linux in ticks since boot, as psutil's seconds change with the clock."""
    try:
        line = Path(f"/proc/{number}/stat").read_bytes()
    except OSError:  # not Linux, or no such process
        return f"{psutil.Process(number).create_time():.2f}"
    return line.rpartition(b")")[2].split()[19].decode()  # field 22, counted after the name, which may hold anything


def gone(name: str) -> bool:
    """Has the process of this name ended? False also where that is unknown, as on another machine."""
    where, _, process = name.partition(":")
    number, _, started = process.partition(":")
    if where != scope():
        return False
    try:
        return _start_time(int(number)) != started or psutil.Process(int(number)).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return not _hidden(int(number))
    except ValueError:
        return True


def _hidden(number: int) -> bool:
    """Is this the number of another user's process that /proc hides (hidepid)?"""
    try:
        os.kill(number, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def run_to_end(command: Sequence[str], meanwhile: Callable[[], None] = lambda: None) -> int:
    """The exit code of a command. Ctrl-C, which a terminal sends to it too, is raised once it has ended: KeyboardInterrupt.

    `meanwhile` is done while the command runs, which ends where that fails.
    """
    interrupted = False
    with subprocess.Popen(command) as process:
        try:
            meanwhile()
        except BaseException:
            process.terminate()
            raise
        while process.returncode is None:
            try:
                process.wait()
            except KeyboardInterrupt:
                interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    return process.returncode
