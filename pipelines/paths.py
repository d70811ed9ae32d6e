"""Folders that many modules name."""

from pathlib import Path

ROOT = Path(".store")  # what this machine stores, never in git
RELEASED = Path("released")  # <family>/: the champion's served files, in git
