"""What is asked of every detector with one class: average precision with its interval, F1 at a threshold, counts, calibration.

Boxes are found as pycocotools finds them. Outcomes are {"documents": [n]}, objects, so that a bootstrap draws whole documents.
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

from pipelines.metrics import sheets, statistics
from pipelines.metrics.statistics import Rows

HEADLINE = "map50"  # what the gate compares
Outcomes = dict[str, NDArray[Any]]
Boxes = NDArray[np.floating[Any]]
MOST = 100  # answered boxes of a page that count, as in COCO
HALF, LOOSE = 0.5, 0.3  # intersection over union from which on a box is found; loose annotators agree at the latter
OVERLAPS = (HALF, *np.arange(0.55, 0.96, 0.05).round(2).tolist(), LOOSE)
RECALLS = np.linspace(0, 1, 101)
RESAMPLES, SEED = 1000, 0  # of the documents, for the interval
SHOWN, TILE = 24, 360  # pages on a sheet, and the side of each in pixels
TRUE, SAID = (0, 140, 0), (210, 0, 0)


@dataclass(frozen=True)
class Page:
    """What was true and what was answered: boxes of x, y, w, h in one unit, the corner being the top left.

    `index` is its row among the pages that were asked, `truth` [k, 4], `answered` [m, 5] with the score, best first;
    `hits` [2, m] says which of them are found boxes at an overlap of HALF, and of LOOSE.
    """

    index: int
    document: str
    source: str
    truth: Boxes
    answered: Boxes
    hits: NDArray[np.bool_]

    def told(self, threshold: float) -> int:
        """How many boxes are told at a threshold."""
        return int((self.answered[:, 4] >= threshold).sum())


@dataclass(frozen=True)
class Document:
    """The pages of one document; `scores` [m] and `hits` [2, m] of all their boxes, and how many boxes are true."""

    pages: list[Page]
    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    truths: int


def outcomes(documents: Sequence[str], sources: Sequence[str], truths: Sequence[Boxes], answers: Sequence[Boxes]) -> Outcomes:
    """What each document got, in the order in which they first appear. All four have an item for each page.

    `documents` and `sources` are names; boxes of a page are `truths` [k, 4] and `answers` [m, 5], in the same unit.
    """
    pages: dict[str, list[Page]] = {name: [] for name in documents}
    for page in _matched(documents, sources, truths, answers):
        pages[page.document].append(page)
    rows = np.empty(len(pages), object)
    rows[:] = [_document(found) for found in pages.values()]
    return {"documents": rows}


def _document(pages: list[Page]) -> Document:
    scores, hits = np.concatenate([page.answered[:, 4] for page in pages]), np.concatenate([page.hits for page in pages], 1)
    return Document(pages, scores.astype(float), hits, sum(len(page.truth) for page in pages))


def _matched(documents: Sequence[str], sources: Sequence[str], truths: Sequence[Boxes], answers: Sequence[Boxes]) -> list[Page]:
    """The pages, their answers best first and matched by pycocotools."""
    answers = [np.asarray(found)[np.argsort(-np.asarray(found)[:, 4], kind="stable")[:MOST]] for found in answers]
    matches = [page["dtMatches"] > 0 if page else np.zeros((2, 0), bool) for page in _evaluated(truths, answers, (HALF, LOOSE)).evalImgs]
    return [Page(index, *page) for index, page in enumerate(zip(documents, sources, truths, answers, matches, strict=True))]


def _evaluated(truths: Sequence[Boxes], answers: Sequence[Boxes], overlaps: Sequence[float]) -> Any:
    """pycocotools' figures over pages, those of every size together."""
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(_annotated(truths), _annotated(answers), "bbox")
        judge.params.iouThrs, judge.params.maxDets = np.array(overlaps), [MOST]
        judge.params.areaRng, judge.params.areaRngLbl = [[0, np.inf]], ["all"]
        judge.evaluate()
        judge.accumulate()
    return judge


def _annotated(pages: Sequence[Boxes]) -> Any:
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
    """Average precision at an overlap of one half, by itself: the gate asks for it thousands of times.

    COCO's, of 101 points. Without a box to find it is 1 where none is answered, and 0 where one is.
    """
    scores, hits, truths = _together(outcomes)
    if not truths:
        return float(not len(scores))
    right = np.cumsum(hits[0][np.argsort(-scores, kind="stable")])
    precision = np.maximum.accumulate((right / np.arange(1, len(right) + 1))[::-1])[::-1]
    return float(np.append(precision, 0)[np.searchsorted(right / truths, RECALLS)].mean())


def _together(outcomes: Outcomes) -> tuple[NDArray[np.float64], NDArray[np.bool_], int]:
    """Scores [m] and hits [2, m] of all boxes, and how many are true."""
    rows: list[Document] = list(outcomes["documents"])
    hits = np.concatenate([row.hits for row in rows], 1)
    return np.concatenate([row.scores for row in rows]), hits, sum(row.truths for row in rows)


def pages(outcomes: Outcomes) -> list[Page]:
    """All pages, document by document."""
    return [page for document in outcomes["documents"] for page in document.pages]


def metrics(outcomes: Outcomes, threshold: float) -> dict[str, float]:
    """Average precision with the 95 % interval over documents; at the threshold: F1, right counts, and "is the page signed"."""
    low, high = np.quantile(_resampled(outcomes), [0.025, 0.975])
    precisions = dict(zip(OVERLAPS, _precisions(outcomes).mean(1), strict=True))
    return {
        HEADLINE: float(precisions[HALF]),
        "map50_low": float(low),
        "map50_high": float(high),
        "map50_95": float(np.mean([precisions[overlap] for overlap in OVERLAPS if overlap >= HALF])),
        "map30": float(precisions[LOOSE]),
        **_told(outcomes, threshold),
        **_by_page(pages(outcomes), threshold),
    }


def _resampled(outcomes: Outcomes) -> list[float]:
    """The headline figure over RESAMPLES draws of as many documents (Efron 1979)."""
    random, count = np.random.default_rng(SEED), len(outcomes["documents"])
    return [headline({"documents": outcomes["documents"][random.integers(0, count, count)]}) for _ in range(RESAMPLES)]


def _precisions(outcomes: Outcomes) -> NDArray[np.float64]:
    """pycocotools' precision [overlap, recall] at OVERLAPS and RECALLS; without a box to find as `headline` has it."""
    asked = pages(outcomes)
    if not any(len(page.truth) for page in asked):
        return np.full((len(OVERLAPS), len(RECALLS)), headline(outcomes))
    found = _evaluated([page.truth for page in asked], [page.answered for page in asked], OVERLAPS)
    return found.eval["precision"][:, :, 0, 0, 0]


def _told(outcomes: Outcomes, threshold: float) -> dict[str, float]:
    """Precision, recall and F1 of the boxes that are told; 0 where nothing is told, or nothing is there."""
    scores, hits, truths = _together(outcomes)
    told = scores >= threshold
    right, loose = (int(found[told].sum()) for found in hits)
    shares = {"precision": right / max(1, told.sum()), "recall": right / max(1, truths)}
    shares |= {"f1": 2 * right / max(1, told.sum() + truths), "f1_30": 2 * loose / max(1, told.sum() + truths)}
    return {name: float(share) for name, share in shares.items()}


def _by_page(asked: list[Page], threshold: float) -> dict[str, float]:
    """The share of pages whose count is right, and precision and recall of "there is a box at all"."""
    told, true = np.array([page.told(threshold) for page in asked]), np.array([len(page.truth) for page in asked])
    both = ((told > 0) & (true > 0)).sum()
    return {
        "count_accuracy": float((told == true).mean()),
        "signed_precision": float(both / max(1, (told > 0).sum())),
        "signed_recall": float(both / max(1, (true > 0).sum())),
    }


def best_threshold(outcomes: Outcomes) -> float:
    """The score, in thousandths, from which on boxes are told so that F1 is the best; the middle one of several."""
    scores, hits, truths = _together(outcomes)
    thresholds = np.arange(10, 1000) / 1000
    told, right = (_at_least(found, thresholds) for found in (scores, scores[hits[0]]))
    best = right / np.maximum(1, told + truths)
    equal = np.flatnonzero(best == best.max())
    return float(thresholds[equal[len(equal) // 2]])


def _at_least(scores: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many scores reach each threshold."""
    return len(scores) - np.searchsorted(np.sort(scores), thresholds)


def tables(outcomes: Outcomes, threshold: float) -> dict[str, Rows]:
    """Rows to plot: {"classes", a row for each source and one for all; "confusion", counts of each page; "reliability"; "curve"}."""
    sources = sorted({page.source for page in pages(outcomes)})
    groups = {"all": outcomes, **{source: _of(outcomes, source) for source in sources}}
    curve = _precisions(outcomes)[OVERLAPS.index(HALF)]
    return {
        "classes": [_class_row(name, group, threshold) for name, group in groups.items()],
        "confusion": [{"actual": len(page.truth), "predicted": page.told(threshold)} for page in pages(outcomes)],
        "reliability": reliability(outcomes),
        "curve": [{"recall": recall, "precision": precision} for recall, precision in zip(RECALLS.tolist(), curve.tolist(), strict=True)],
    }


def _of(outcomes: Outcomes, source: str) -> Outcomes:
    """The documents of one source."""
    rows = outcomes["documents"]
    return {"documents": rows[[row.pages[0].source == source for row in rows]]}


def _class_row(name: str, outcomes: Outcomes, threshold: float) -> dict[str, Any]:
    figures = _told(outcomes, threshold)
    return {"class": name, "examples": _together(outcomes)[2], "precision": figures["precision"], "recall": figures["recall"]}


def reliability(outcomes: Outcomes) -> Rows:
    """Mean score against the share that is true, in equal bins of the score; `weight` is a bin's share of the boxes."""
    scores, hits, _ = _together(outcomes)
    return statistics.reliability(scores, hits[0]) or [{"confidence": 0.0, "accuracy": 0.0, "weight": 0.0}]


def worst(outcomes: Outcomes, threshold: float) -> list[Page]:
    """Pages with mistakes, the worst first: each missed box counts 1, each false one its score."""
    amounts = {page.index: _missed(page, threshold) + _false(page, threshold).sum() for page in pages(outcomes)}
    return sorted((page for page in pages(outcomes) if amounts[page.index]), key=lambda page: (-amounts[page.index], page.index))


def _missed(page: Page, threshold: float) -> int:
    return len(page.truth) - int(page.hits[0, : page.told(threshold)].sum())


def _false(page: Page, threshold: float) -> Boxes:
    """Scores of the boxes that are told and not true."""
    told = page.told(threshold)
    return page.answered[:told, 4][~page.hits[0, :told]]


def mistakes(outcomes: Outcomes, threshold: float, image: Callable[[int], tuple[NDArray[np.uint8], float]]) -> Image.Image:
    """The worst pages on one sheet, what is true in green and what was told in red.

    `image` gives of the page at an index its picture [height, width], grey, and how many of its pixels a box's unit is.
    """
    found = worst(outcomes, threshold)
    shown = found[:SHOWN]
    title = (
        f"{len(found)} of {len(pages(outcomes))} pages of validation have a mistake at a score of {threshold:g}; the {len(shown)} worst."
    )
    title += " Green: labelled; red: told."
    drawn = [_drawn(page, threshold, *image(page.index)) for page in shown]
    return sheets.sheet(title, drawn, [_caption(page, threshold) for page in shown], TILE)


def _caption(page: Page, threshold: float) -> str:
    false, missed = _false(page, threshold), _missed(page, threshold)
    words = f"{len(false)} false, the surest {false.max():.0%}" if len(false) else "none false"
    return f"{page.document}: {len(page.truth)} labelled, {page.told(threshold)} told\n{missed} missed, {words}"


def _drawn(page: Page, threshold: float, grey: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """A page and its boxes in a square of TILE pixels, its proportions kept."""
    reduced = TILE / max(grey.shape)
    size = max(1, round(grey.shape[1] * reduced)), max(1, round(grey.shape[0] * reduced))
    tile = Image.new("RGB", (TILE, TILE), "lightgrey")
    tile.paste(Image.fromarray(grey).resize(size, Image.Resampling.BOX), (0, 0))
    draw = ImageDraw.Draw(tile)
    for boxes, colour in ((page.truth, TRUE), (page.answered[: page.told(threshold), :4], SAID)):
        for x, y, w, h in boxes * scale * reduced:
            draw.rectangle((x, y, x + w, y + h), outline=colour, width=2)
    return np.asarray(tile)
