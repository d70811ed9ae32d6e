"""Lines of receipts that nobody wrote: data for tests and the demo, made here, the same every time."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from pipelines.families.ocr.examples import Line
from pipelines.families.ocr.parts import receipts

LINES, TOGETHER = 2000, 4  # lines of a group, as if they stood on one receipt


def drawn() -> Iterator[Line]:
    """500 groups of four lines each."""
    random = np.random.default_rng(0)
    for row in range(LINES):
        with _plain_code():
            text, picture = receipts.line(random)
        yield Line(picture, text, f"drawn{row // TOGETHER:03}", f"drawn{row:04}", "embedded")


@contextmanager
def _plain_code() -> Iterator[None]:
    """OpenCV without its code for some processors and Intel's library, which round differently."""
    before = cv2.useOptimized()
    cv2.setUseOptimized(False)
    try:
        yield
    finally:
        cv2.setUseOptimized(before)
