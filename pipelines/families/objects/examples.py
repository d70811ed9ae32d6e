"""Packed images [n, 32, 32, 3] of 0 to 255 as training and scoring read them, with labels [n], indices into classes()."""

import json
from pathlib import Path

from pipelines.datasets.packed import Split, load
from pipelines.families.objects.picture import Convention

__all__ = ["CLASSES", "CONVENTION", "Split", "classes", "load"]
CONVENTION = Convention()
CLASSES = "classes.json"


def classes(folder: Path) -> list[str]:
    """The names of the classes, in the order of the labels."""
    names: list[str] = json.loads((folder / CLASSES).read_text())
    return names
