"""Folders that many modules name: what this machine stores, and what is released in git."""

from pathlib import Path

ROOT = Path(".store")
RELEASED = Path("released")  # <family>/: what the champion serves, in git (releases.py)
