"""How a detector of one class is scored: average precision with its interval, F1 at a threshold, counts, calibration.

Boxes are matched by pycocotools. Outcomes are {"documents": [n]}, objects, so that a bootstrap draws documents with all their pages.
"""

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipelines.metrics import statistics
from pipelines.metrics.sheets import sheet
from pipelines.metrics.statistics import Rows

HEADLINE = "map50"  # what the gate compares
Outcomes = dict[str, NDArray[Any]]
Boxes = NDArray[np.floating[Any]]
MOST = 100  # detections of a page that count, as in COCO
HALF, LOOSE = 0.5, 0.3  # intersection over union from which on a box matches; loose annotators agree at the latter
OVERLAPS = (HALF, *np.arange(0.55, 0.96, 0.05).round(2).tolist(), LOOSE)
RECALLS = np.linspace(0, 1, 101)
RESAMPLES, SEED = 1000, 0  # of the documents, for the interval
SHOWN, TILE = 24, 360  # pages on a sheet, and the side of each in pixels
TRUE, DETECTED = (0, 140, 0), (210, 0, 0)


@dataclass(frozen=True)
class Page:
    """Labels and detections of a page: boxes of x, y, w, h in one unit from the top left.

    `index` is its row among the scored pages, `truth` [k, 4], `detections` [m, 5] with the score, best first; `hits` [2, m] says which
    of them match a true box at an overlap of HALF, and of LOOSE.
    """

    index: int
    document: str
    source: str
    truth: Boxes
    detections: Boxes
    hits: NDArray[np.bool_]

    def count(self, threshold: float) -> int:
        """How many detections reach the threshold."""
        return int((self.detections[:, 4] >= threshold).sum())

    def missed(self, threshold: float) -> int:
        """How many true boxes none of them matches."""
        return len(self.truth) - int(self.hits[0, : self.count(threshold)].sum())

    def false(self, threshold: float) -> Boxes:
        """The scores of those that match no true box."""
        count = self.count(threshold)
        return self.detections[:count, 4][~self.hits[0, :count]]


@dataclass(frozen=True)
class Document:
    """The pages of one document; `scores` [m] and `hits` [2, m] of all their detections, and the number of true boxes."""

    pages: list[Page]
    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    truths: int


def outcomes(documents: Sequence[str], sources: Sequence[str], truths: Sequence[Boxes], detections: Sequence[Boxes]) -> Outcomes:
    """The matched boxes of each document, in order of first appearance. All four arguments have an item for each page.

    `documents` and `sources` are names; the boxes of a page are `truths` [k, 4] and `detections` [m, 5], in the same unit.
    """
    found: dict[str, list[Page]] = {name: [] for name in documents}
    for page in _matched(documents, sources, truths, detections):
        found[page.document].append(page)
    rows = np.empty(len(found), object)
    rows[:] = [_document(own) for own in found.values()]
    return {"documents": rows}


def _document(pages: list[Page]) -> Document:
    scores, hits = np.concatenate([page.detections[:, 4] for page in pages]), np.concatenate([page.hits for page in pages], 1)
    return Document(pages, scores.astype(float), hits, sum(len(page.truth) for page in pages))


def _matched(documents: Sequence[str], sources: Sequence[str], truths: Sequence[Boxes], detections: Sequence[Boxes]) -> list[Page]:
    best = [np.asarray(found)[np.argsort(-np.asarray(found)[:, 4], kind="stable")[:MOST]] for found in detections]
    hits = [page["dtMatches"] > 0 if page else np.zeros((2, 0), bool) for page in _evaluated(truths, best, (HALF, LOOSE)).evalImgs]
    return [Page(index, *page) for index, page in enumerate(zip(documents, sources, truths, best, hits, strict=True))]


def _evaluated(truths: Sequence[Boxes], detections: Sequence[Boxes], overlaps: Sequence[float]) -> COCOeval:
    """pycocotools' evaluation of pages, boxes of every size together."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_annotated(truths), _annotated(detections), "bbox")
        evaluation.params.iouThrs, evaluation.params.maxDets = np.array(overlaps), [MOST]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, np.inf]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _annotated(pages: Sequence[Boxes]) -> COCO:
    """Boxes [k, 4], or [k, 5] with a score, as COCO's annotations."""
    rows = [(page, np.asarray(box, float).tolist()) for page, boxes in enumerate(pages) for box in boxes]
    index = COCO()
    index.dataset = {"images": [{"id": page} for page in range(len(pages))], "categories": [{"id": 1}]}
    index.dataset["annotations"] = [_annotation(number, *row) for number, row in enumerate(rows, 1)]  # 0 would mean no match
    index.createIndex()
    return index


def _annotation(number: int, page: int, box: list[float]) -> dict[str, Any]:
    row = {"id": number, "image_id": page, "category_id": 1, "bbox": box[:4], "area": box[2] * box[3], "iscrowd": 0}
    return row | {"score": box[4]} if len(box) == 5 else row


def headline(outcomes: Outcomes) -> float:
    """Average precision at an overlap of one half, alone: the gate computes it thousands of times.

    COCO's, of 101 points. Without a true box it is 1 where nothing is detected, else 0.
    """
    scores, hits, truths = _together(outcomes)
    if not truths:
        return float(not len(scores))
    right = np.cumsum(hits[0][np.argsort(-scores, kind="stable")])
    precision = np.maximum.accumulate((right / np.arange(1, len(right) + 1))[::-1])[::-1]
    return float(np.append(precision, 0)[np.searchsorted(right / truths, RECALLS)].mean())


def _together(outcomes: Outcomes) -> tuple[NDArray[np.float64], NDArray[np.bool_], int]:
    """Scores [m] and hits [2, m] of all detections, and the number of true boxes."""
    rows: list[Document] = list(outcomes["documents"])
    hits = np.concatenate([row.hits for row in rows], 1)
    return np.concatenate([row.scores for row in rows]), hits, sum(row.truths for row in rows)


def pages(outcomes: Outcomes) -> list[Page]:
    """All pages, document by document."""
    return [page for document in outcomes["documents"] for page in document.pages]


def metrics(outcomes: Outcomes, threshold: float) -> dict[str, float]:
    """Average precision with the 95 % interval over documents; at the threshold precision, recall, F1 and the share of right counts."""
    low, high = np.quantile(_resampled(outcomes), [0.025, 0.975])
    precisions = dict(zip(OVERLAPS, _precisions(outcomes).mean(1), strict=True))
    return {
        HEADLINE: float(precisions[HALF]),
        "map50_low": float(low),
        "map50_high": float(high),
        "map50_95": float(np.mean([precisions[overlap] for overlap in OVERLAPS if overlap >= HALF])),
        "map30": float(precisions[LOOSE]),
        **_at_threshold(outcomes, threshold),
        "count_accuracy": float(np.mean([page.count(threshold) == len(page.truth) for page in pages(outcomes)])),
    }


def _resampled(outcomes: Outcomes) -> list[float]:
    """The headline figure over RESAMPLES draws of as many documents (Efron 1979)."""
    random, count = np.random.default_rng(SEED), len(outcomes["documents"])
    return [headline({"documents": outcomes["documents"][random.integers(0, count, count)]}) for _ in range(RESAMPLES)]


def _precisions(outcomes: Outcomes) -> NDArray[np.float64]:
    """pycocotools' precision [overlap, recall] at OVERLAPS and RECALLS; without a true box as headline() has it."""
    scored = pages(outcomes)
    if not any(len(page.truth) for page in scored):
        return np.full((len(OVERLAPS), len(RECALLS)), headline(outcomes))
    evaluation = _evaluated([page.truth for page in scored], [page.detections for page in scored], OVERLAPS)
    precision: NDArray[np.float64] = evaluation.eval["precision"][:, :, 0, 0, 0]
    return precision


def _at_threshold(outcomes: Outcomes, threshold: float) -> dict[str, float]:
    """Precision, recall and F1 of the detections that reach it; 0 where there is none, or no true box."""
    scores, hits, truths = _together(outcomes)
    chosen = scores >= threshold
    right, loose = (int(found[chosen].sum()) for found in hits)
    shares = {"precision": right / max(1, chosen.sum()), "recall": right / max(1, truths)}
    shares |= {"f1": 2 * right / max(1, chosen.sum() + truths), "f1_30": 2 * loose / max(1, chosen.sum() + truths)}
    return {name: float(share) for name, share in shares.items()}


def presence(outcomes: Outcomes, threshold: float) -> tuple[float, float]:
    """Precision and recall of "this page has a box at all"."""
    detected, true = np.array([(page.count(threshold) > 0, len(page.truth) > 0) for page in pages(outcomes)]).T
    both = (detected & true).sum()
    return float(both / max(1, detected.sum())), float(both / max(1, true.sum()))


def best_threshold(outcomes: Outcomes) -> float:
    """The score, in thousandths, at which F1 is best; the middle one of several."""
    scores, hits, truths = _together(outcomes)
    thresholds = np.arange(10, 1000) / 1000
    count, right = (len(found) - np.searchsorted(np.sort(found), thresholds) for found in (scores, scores[hits[0]]))
    best = right / np.maximum(1, count + truths)
    equal = np.flatnonzero(best == best.max())
    return float(thresholds[equal[len(equal) // 2]])


def tables(outcomes: Outcomes, threshold: float) -> dict[str, Rows]:
    """Rows to plot: {"classes", a row for each source and one for all; "confusion", counts of each page; "reliability"; "curve"}."""
    sources = sorted({page.source for page in pages(outcomes)})
    groups = {"all": outcomes, **{source: _of(outcomes, source) for source in sources}}
    curve = _precisions(outcomes)[OVERLAPS.index(HALF)]
    return {
        "classes": [_class_row(name, group, threshold) for name, group in groups.items()],
        "confusion": [{"actual": len(page.truth), "predicted": page.count(threshold)} for page in pages(outcomes)],
        "reliability": _reliability(outcomes),
        "curve": [{"recall": recall, "precision": precision} for recall, precision in zip(RECALLS.tolist(), curve.tolist(), strict=True)],
    }


def _of(outcomes: Outcomes, source: str) -> Outcomes:
    """The documents of one source."""
    rows = outcomes["documents"]
    return {"documents": rows[[row.pages[0].source == source for row in rows]]}


def _class_row(name: str, outcomes: Outcomes, threshold: float) -> dict[str, Any]:
    figures = _at_threshold(outcomes, threshold)
    return {"class": name, "examples": _together(outcomes)[2], "precision": figures["precision"], "recall": figures["recall"]}


def _reliability(outcomes: Outcomes) -> Rows:
    """Score against the share that is true, rows of statistics.reliability(); one of zeros where nothing is detected."""
    scores, hits, _ = _together(outcomes)
    return statistics.reliability(scores, hits[0]) or [{"confidence": 0.0, "accuracy": 0.0, "weight": 0.0}]


def worst(outcomes: Outcomes, threshold: float) -> list[Page]:
    """Pages with mistakes, the worst first: each missed box counts 1, each false one its score."""
    amounts = {page.index: page.missed(threshold) + page.false(threshold).sum() for page in pages(outcomes)}
    return sorted((page for page in pages(outcomes) if amounts[page.index]), key=lambda page: (-amounts[page.index], page.index))


def mistakes(outcomes: Outcomes, threshold: float, image: Callable[[int], tuple[NDArray[np.uint8], float]]) -> Image.Image:
    """The worst pages on one sheet, true boxes in green and detections in red.

    `image(index)` gives the image of a page, grey [height, width], and the pixels of it in a unit of the boxes.
    """
    found = worst(outcomes, threshold)
    shown = found[:SHOWN]
    title = (
        f"{len(found)} of {len(pages(outcomes))} pages of validation have a mistake at a score of {threshold:g}; the {len(shown)} worst. "
        "Green: labelled; red: told."
    )
    drawn = [_drawn(page, threshold, *image(page.index)) for page in shown]
    return sheet(title, drawn, [_caption(page, threshold) for page in shown], TILE)


def _caption(page: Page, threshold: float) -> str:
    false = page.false(threshold)
    words = f"{len(false)} false, the surest {false.max():.0%}" if len(false) else "none false"
    labelled = f"{page.document}: {len(page.truth)} labelled, {page.count(threshold)} told"
    return f"{labelled}\n{page.missed(threshold)} missed, {words}"


def _drawn(page: Page, threshold: float, grey: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """A page and its boxes in a square of TILE pixels, the aspect ratio preserved."""
    reduced = TILE / max(grey.shape)
    size = max(1, round(grey.shape[1] * reduced)), max(1, round(grey.shape[0] * reduced))
    tile = Image.new("RGB", (TILE, TILE), "lightgrey")
    tile.paste(Image.fromarray(grey).resize(size, Image.Resampling.BOX), (0, 0))
    draw = ImageDraw.Draw(tile)
    for boxes, colour in ((page.truth, TRUE), (page.detections[: page.count(threshold), :4], DETECTED)):
        for x, y, w, h in boxes * scale * reduced:
            draw.rectangle((x, y, x + w, y + h), outline=colour, width=2)
    return np.asarray(tile)
