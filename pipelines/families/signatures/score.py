"""How good is a Predictor on labelled pages, and where does it err?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from pipelines.families.signatures.examples import Split
from pipelines.families.signatures.picture import Boxes, in_pixels
from pipelines.families.signatures.predict import Predictor
from pipelines.metrics import detection
from pipelines.metrics.detection import HEADLINE, Outcomes, headline

__all__ = ["HEADLINE", "headline", "judged", "metrics", "outcomes", "sheets", "tables"]
PAGES = 8  # answered at once


def outcomes(predictor: Predictor, examples: Split) -> Outcomes:
    """What each document got, and the model's threshold with each: {"documents", "threshold"}, rows are documents."""
    images = examples.brought(predictor.convention.side)
    starts = tqdm(range(0, len(images), PAGES), desc="scoring", unit="batch", leave=False)
    answers = [boxes for start in starts for boxes in predictor.predict(images[start : start + PAGES])]
    found = judged(examples, answers)
    return {**found, "threshold": np.full(len(found["documents"]), predictor.convention.threshold)}


def judged(examples: Split, answers: Sequence[Boxes]) -> Outcomes:
    """Answers of fractions of the page, held against the labels in its pixels."""
    pages = examples.pages
    told = [_in_pixels(boxes, page.height, page.width) for boxes, page in zip(answers, pages, strict=True)]
    return detection.outcomes([page.document for page in pages], [page.source for page in pages], [page.boxes for page in pages], told)


def _in_pixels(boxes: Boxes, height: int, width: int) -> Boxes:
    return np.hstack([in_pixels(boxes[:, :4], height, width), boxes[:, 4:]])


def _threshold(outcomes: Outcomes) -> float:
    return float(outcomes["threshold"][0])


def metrics(outcomes: Outcomes) -> dict[str, float]:
    """Those of detection.metrics() at the model's threshold; precision and recall of "this page is signed"."""
    precision, recall = detection.presence(outcomes, _threshold(outcomes))
    return {**detection.metrics(outcomes, _threshold(outcomes)), "signed_precision": precision, "signed_recall": recall}


def tables(predictor: Predictor, examples: Split, outcomes: Outcomes) -> dict[str, list[dict[str, Any]]]:
    """Rows to plot: {"classes", by source; "confusion", of counts; "reliability", "curve"}."""
    return detection.tables(outcomes, _threshold(outcomes))


def sheets(predictor: Predictor, examples: Split, outcomes: Outcomes) -> dict[str, Image.Image]:
    """Pictures to look at: {"mistakes"}."""

    def image(index: int) -> tuple[NDArray[np.uint8], float]:
        page = examples.pages[index]
        grey = page.grey()
        return grey, grey.shape[1] / page.width

    return {"mistakes": detection.mistakes(outcomes, _threshold(outcomes), image)}
