"""The golden example stored beside each model: a drawn letter with a signature, and the boxes that the model finds.

Runtimes agree on boxes to a thousandth of the page; which of the faint ones non-maximum suppression leaves may differ.
"""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.families.signatures.picture import Boxes, Convention

TOLERANCE = 0.005  # of the page, and of the score
FAINT = 0.5  # of the surest box's score: what is less sure is not compared


def example(convention: Convention) -> NDArray[np.uint8]:
    """The first generated page that is signed: [1, side, side]."""
    from pipelines.families.signatures import embedded  # needs tqdm, which a bento lacks; it has its example

    page = next(page for page in embedded.drawn() if len(page.boxes))
    return convention.from_grey(np.asarray(Image.open(io.BytesIO(page.content))))[None]


def arrays(answer: Sequence[Boxes]) -> dict[str, NDArray[np.float32]]:
    """The boxes of one page that are not faint [k, 5], from left to right."""
    boxes = answer[0]
    sure = boxes[boxes[:, 4] >= FAINT * boxes[:, 4].max(initial=0)]
    return {"boxes": sure[sure[:, 0].argsort(kind="stable")]}
