"""The example that is stored beside each model: a drawn letter with a signature, and the boxes that the model finds.

Runtimes agree on boxes to a thousandth of the page; which of the faint ones are left by non-maximum suppression may differ.
"""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.families.signatures.picture import Boxes, Convention

TOLERANCE = 0.005  # of the page, and of the score
FAINT = 0.5  # of the surest box's score: what is less sure is not held against another runtime


def example(convention: Convention) -> NDArray[np.uint8]:
    """The first drawn page that is signed, brought: [1, side, side]."""
    from pipelines.families.signatures import embedded  # which needs tqdm: a bento has none, but has its example

    page = next(page for page in embedded.drawn() if len(page.boxes))
    return convention.from_grey(np.asarray(Image.open(io.BytesIO(page.content))))[None]


def kept(answer: Sequence[Boxes]) -> dict[str, NDArray[np.float32]]:
    """Of an answer, the boxes of one page: those that are not faint [k, 5], from left to right."""
    boxes = answer[0]
    sure = boxes[boxes[:, 4] >= FAINT * boxes[:, 4].max(initial=0)]
    return {"boxes": sure[sure[:, 0].argsort(kind="stable")]}
