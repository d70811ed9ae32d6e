"""What git says of this clone."""

import subprocess


def says(*words: str, given: bytes = b"") -> bytes | None:
    """The answer to a git command; None where it refuses, or git is not installed."""
    try:
        done = subprocess.run(["git", *words], input=given, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
