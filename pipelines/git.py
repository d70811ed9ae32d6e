"""What git says of this clone."""

import subprocess
from pathlib import Path


def output(*words: str, given: bytes = b"") -> bytes | None:
    """The answer to a git command; None where it refuses, or git is not installed."""
    try:
        done = subprocess.run(["git", *words], input=given, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def committed(path: Path) -> bytes:
    """What the last commit holds of a file of the project; nothing where there is no such file, no commit or no git."""
    return output("show", f"HEAD:./{path}") or b""
