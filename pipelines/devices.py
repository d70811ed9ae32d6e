"""What machine is this, and which of a training's processes?"""

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
    return {"cpu": _cpu(), "cores": cores(), "memory_gb": round(psutil.virtual_memory().total / 1e9), "gpu": _gpus()}


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    table = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in table.read_text().splitlines() if line.startswith("model name")]
        if table.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()


def _gpus() -> list[str]:
    if not shutil.which("nvidia-smi"):
        return []
    names = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, check=False)
    return names.stdout.splitlines() if names.returncode == 0 else []


def rank() -> int:
    """Which of torchrun's processes this is: 0 is the first, or the only one."""
    return int(os.environ.get("RANK", 0))


def processes() -> int:
    """How many processes torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1))


def peak_memory_mb() -> float:
    """The most memory this process has held, in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
