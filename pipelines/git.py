"""git on this clone."""

import subprocess
from pathlib import Path


def output(*words: str, given: bytes = b"") -> bytes | None:
    """The output of a git command; None where it fails, or git is not installed."""
    try:
        done = subprocess.run(["git", *words], input=given, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def committed(path: Path) -> bytes:
    """A file of the project in the last commit; empty where there is no such file, commit or git."""
    return output("show", f"HEAD:./{path}") or b""
