"""Engravings with their drawings, a catalogue with lenses, and alphabets: data for tests and the demo, made here, the same every time."""

from pipelines.families.gravures.parts.engravings import Files


def engravings() -> Files:
    """To come."""
    return ()


def characters() -> Files:
    """To come."""
    return ()
