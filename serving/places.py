"""Processes by names that hold across machines and containers: has this one ended?"""

import hashlib
import os
import platform
from functools import cache
from pathlib import Path

import psutil

KERNEL = (Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid"))


@cache
def here() -> str:
    """Where process numbers mean what they mean here: this container of this machine since it was started."""
    try:
        facts = KERNEL[0].read_text() + str(KERNEL[1].readlink())
    except OSError:  # not Linux
        facts = f"{platform.node()} {psutil.boot_time():.0f}"
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def myself() -> str:
    """The name of this process."""
    return f"{here()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def gone(name: str) -> bool:
    """Has the process of this name ended? False also where that cannot be seen from here."""
    place, _, process = name.partition(":")
    number, _, born = process.partition(":")
    if place != here():
        return False
    try:
        found = psutil.Process(int(number))
        return f"{found.create_time():.2f}" != born or found.status() == psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError):
        return True
