"""This machine's hardware, and this process's rank under torchrun."""

import os
import platform
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil


def hardware() -> dict[str, Any]:
    """{"cpu", "cores", "memory_gb", "gpu"}: gpu is a list of names, empty without one."""
    return {"cpu": _cpu(), "cores": cores(), "memory_gb": round(psutil.virtual_memory().total / 1e9), "gpu": gpus()}


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    table = Path("/proc/cpuinfo")
    lines = table.read_text().splitlines() if table.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def gpus() -> list[str]:
    """The names of this machine's GPUs of NVIDIA."""
    if not shutil.which("nvidia-smi"):
        return []
    names = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, check=False)
    return names.stdout.splitlines() if names.returncode == 0 else []


def rank() -> int:
    """This process's rank under torchrun; 0 without it."""
    return int(os.environ.get("RANK", 0))


def processes() -> int:
    """The number of torchrun's processes; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1))


def peak_memory_mb() -> float:
    """This process's peak memory in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
