"""Metrics of a Predictor on labelled pages, and its mistakes."""

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

__all__ = ["HEADLINE", "headline", "metrics", "outcomes", "sheets", "tables"]
PAGES = 8  # predicted at once


def outcomes(predictor: Predictor, examples: Split) -> Outcomes:
    """Of each document its pages, boxes and labels in pixels, and the model's threshold: {"documents", "threshold"}."""
    images = examples.squares(predictor.convention.side)
    starts = tqdm(range(0, len(images), PAGES), desc="scoring", unit="batch", leave=False)
    answers = [boxes for start in starts for boxes in predictor.predict(images[start : start + PAGES])]
    pages = examples.pages
    boxes = [_in_pixels(found, page.height, page.width) for found, page in zip(answers, pages, strict=True)]
    documents, sources = [page.document for page in pages], [page.source for page in pages]
    found = detection.outcomes(documents, sources, [page.boxes for page in pages], boxes)
    return {**found, "threshold": np.full(len(found["documents"]), predictor.convention.threshold)}


def _in_pixels(boxes: Boxes, height: int, width: int) -> Boxes:
    return np.hstack([in_pixels(boxes[:, :4], height, width), boxes[:, 4:]])


def _threshold(outcomes: Outcomes) -> float:
    return float(outcomes["threshold"][0])


def metrics(outcomes: Outcomes) -> dict[str, float]:
    """detection.metrics() at the model's threshold, and precision and recall of "this page is signed"."""
    precision, recall = detection.presence(outcomes, _threshold(outcomes))
    return {**detection.metrics(outcomes, _threshold(outcomes)), "signed_precision": precision, "signed_recall": recall}


def tables(predictor: Predictor, examples: Split, outcomes: Outcomes) -> dict[str, list[dict[str, Any]]]:
    """Rows to plot: {"classes", by source; "confusion", of counts; "reliability", "curve"}."""
    return detection.tables(outcomes, _threshold(outcomes))


def sheets(predictor: Predictor, examples: Split, outcomes: Outcomes) -> dict[str, Image.Image]:
    """Sheets of images: {"mistakes"}."""

    def image(index: int) -> tuple[NDArray[np.uint8], float]:
        page = examples.pages[index]
        grey = page.grey()
        return grey, grey.shape[1] / page.width

    return {"mistakes": detection.mistakes(outcomes, _threshold(outcomes), image)}
