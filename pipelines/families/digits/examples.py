"""Packed digits as training and scoring read them: images [n, 28, 28] of 0 to 255, light ink on black, and their labels [n]."""

from pipelines.datasets.packed import Split, load
from pipelines.families.digits.picture import Convention

__all__ = ["CONVENTION", "LABELS", "Split", "load"]
LABELS = list(range(10))
CONVENTION = Convention()
