"""Error rates of a Predictor on lines, by characters and words, and its mistakes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from tqdm import tqdm

from pipelines.families.ocr.examples import LENGTH_NAMES, LENGTHS, Split
from pipelines.families.ocr.parts import edits
from pipelines.families.ocr.predict import Predictor
from pipelines.metrics import statistics
from pipelines.metrics.statistics import Rows

HEADLINE = "character_accuracy"  # what the gate compares: 1 - character error rate, so that more is better
Outcomes = dict[str, NDArray[Any]]
TOGETHER = 16  # lines that are read at once
RESAMPLES, SEED = 1000, 0
WORST = 50  # lines on a sheet
HEIGHT, WIDTH, GAP, CAPTION = 32, 560, 8, 440  # pixels on a sheet: a line's height and most width, the space around it, its caption


def outcomes(predictor: Predictor, examples: Split) -> Outcomes:
    """Of each line {"text", "said", "confidence"}, and Counts of the texts as compared and, `raw_`, as they are; arrays [n]."""
    lines = [predictor.convention.from_grey(picture) for picture in examples.pictures]
    said, confidence = np.full(len(lines), "", object), np.zeros(len(lines))
    for rows in tqdm(_batches(np.array([line.shape[1] for line in lines])), "reading", unit="batch", leave=False):
        for row, reading in zip(rows, predictor.predict(np.stack([lines[row] for row in rows])), strict=True):
            said[row], confidence[row] = reading
    return compared(examples.texts, list(said), confidence)


def _batches(widths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows of lines of one width, at most TOGETHER, the narrow ones first."""
    order = np.argsort(widths, kind="stable")
    alike = np.split(order, np.flatnonzero(np.diff(widths[order])) + 1)
    return [rows[start : start + TOGETHER] for rows in alike for start in range(0, len(rows), TOGETHER)]


def compared(texts: list[str], said: list[str], confidence: NDArray[np.float64]) -> Outcomes:
    """Outcomes of texts, what was read of them, and the confidence."""
    plain = edits.counted([edits.plain(text) for text in texts], [edits.plain(read) for read in said])
    raw = {f"raw_{name}": values for name, values in edits.counted(texts, said)._asdict().items()}
    return {"text": np.array(texts, object), "said": np.array(said, object), "confidence": confidence, **plain._asdict(), **raw}


def headline(outcomes: Outcomes) -> float:
    """The figure named HEADLINE alone: the gate's bootstrap computes it thousands of times."""
    return 1 - float(outcomes["edits"].sum() / outcomes["characters"].sum())


def metrics(outcomes: Outcomes) -> dict[str, float]:
    """Error rates of all lines together, with the 95 % interval of characters (bootstrap over lines); share of lines without an error.

    Capitals and spaces are compared by edits.plain; `raw_`: as they are. `calibration_error` is that of confidence as the chance of a
    line without an error.
    """
    low, high = _interval(outcomes)
    return {
        HEADLINE: headline(outcomes),
        f"{HEADLINE}_low": low,
        f"{HEADLINE}_high": high,
        "cer": 1 - headline(outcomes),
        "cer_low": 1 - high,
        "cer_high": 1 - low,
        "wer": _rate(outcomes, "word_edits", "words"),
        "exact": float((outcomes["edits"] == 0).mean()),
        "raw_cer": _rate(outcomes, "raw_edits", "raw_characters"),
        "raw_wer": _rate(outcomes, "raw_word_edits", "raw_words"),
        "raw_exact": float((outcomes["raw_edits"] == 0).mean()),
        "calibration_error": statistics.calibration_error(reliability(outcomes)),
    }


def _rate(outcomes: Outcomes, wrong: str, all_: str) -> float:
    return float(outcomes[wrong].sum() / outcomes[all_].sum())


def _interval(outcomes: Outcomes) -> tuple[float, float]:
    """95 % interval of the headline, over RESAMPLES resamples of the lines (Efron 1979)."""
    count, random = len(outcomes["edits"]), np.random.default_rng(SEED)
    drawn = random.integers(0, count, (RESAMPLES, count))
    found = 1 - outcomes["edits"][drawn].sum(1) / outcomes["characters"][drawn].sum(1)
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def reliability(outcomes: Outcomes) -> Rows:
    """Confidence against the share of lines without an error, rows of statistics.reliability()."""
    return statistics.reliability(outcomes["confidence"], outcomes["edits"] == 0)


def tables(predictor: Predictor, examples: Split, outcomes: Outcomes) -> dict[str, Rows]:
    """Rows to plot: {"classes", by length of the line; "confusion", of characters; "reliability"}."""
    said = [(edits.plain(text), edits.plain(read)) for text, read in zip(outcomes["text"], outcomes["said"], strict=True)]
    confusion = [
        {"actual": written or "added", "predicted": read or "missed"} for text, read_ in said for written, read in edits.pairs(text, read_)
    ]
    return {"classes": _by_length(outcomes), "confusion": confusion, "reliability": reliability(outcomes)}


def _by_length(outcomes: Outcomes) -> Rows:
    """`recall` is the share of lines without an error."""
    group = np.searchsorted(LENGTHS, outcomes["characters"])
    return [_row(LENGTH_NAMES[index], {key: values[group == index] for key, values in outcomes.items()}) for index in np.unique(group)]


def _row(name: str, outcomes: Outcomes) -> dict[str, Any]:
    rates = {"cer": 1 - headline(outcomes), "wer": _rate(outcomes, "word_edits", "words")}
    return {"class": f"{name} characters", "examples": len(outcomes["edits"]), **rates, "recall": float((outcomes["edits"] == 0).mean())}


def sheets(predictor: Predictor, examples: Split, outcomes: Outcomes) -> dict[str, Image.Image]:
    """Sheets of images: {"mistakes"}, the lines with the most edits for their length."""
    share = outcomes["edits"] / np.maximum(1, outcomes["characters"])
    worst = [row for row in np.argsort(-share, kind="stable")[:WORST] if share[row]]
    wrong = int((outcomes["edits"] > 0).sum())
    title = f"{wrong} of {len(share)} lines of validation are not read without an error; the {len(worst)} worst."
    captions = [
        f"{outcomes['said'][row] or '(nothing)'}   {outcomes['confidence'][row]:.0%}\nis {outcomes['text'][row]}   {share[row]:.0%} wrong"
        for row in worst
    ]
    return {"mistakes": _sheet(title, [examples.pictures[row] for row in worst], captions)}


def _sheet(title: str, pictures: Sequence[NDArray[np.uint8]], captions: Sequence[str]) -> Image.Image:
    """Grey lines [h, w] resized to one height, a caption of two lines to the right of each."""
    step = HEIGHT + GAP
    page = Image.new("RGB", (WIDTH + CAPTION + 3 * GAP, step * (len(pictures) + 1) + GAP), "white")
    draw = ImageDraw.Draw(page)
    draw.text((GAP, 2 * GAP), title, "black")
    for row, (picture, caption) in enumerate(zip(pictures, captions, strict=True), 1):
        height, width = picture.shape
        line = Image.fromarray(np.asarray(picture)).resize((min(WIDTH, max(1, round(width * HEIGHT / height))), HEIGHT))
        page.paste(line, (GAP, row * step + GAP))
        draw.multiline_text((WIDTH + 2 * GAP, row * step + GAP), caption, "black")
    return page
