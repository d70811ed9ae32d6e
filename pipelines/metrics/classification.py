"""What is asked of every classifier: accuracy with its interval, per class, calibration, confusion.

Outcomes are {"probabilities": [n, classes], "labels": [n]}.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from pipelines.metrics import sheets

HEADLINE = "accuracy"  # what the gate compares
Outcomes = dict[str, NDArray[Any]]
Rows = list[dict[str, Any]]
SHOWN = 64  # mistakes on a sheet
BINS = 15  # of confidence, Guo et al. 2017
Z = 1.959964  # 95 %


def outcomes(predictor: Any, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Outcomes:
    """What each example got. Row i is example i, so two models can be paired."""
    starts = tqdm(range(0, len(labels), 500), desc="scoring", unit="batch", leave=False)
    answers = [predictor.predict(images[start : start + 500]) for start in starts]
    return {"probabilities": np.concatenate(answers), "labels": np.asarray(labels)}


def headline(outcomes: Outcomes) -> float:
    """The figure named HEADLINE, by itself: the gate asks for it thousands of times."""
    return float((outcomes["probabilities"].argmax(1) == outcomes["labels"]).mean())


def metrics(outcomes: Outcomes) -> dict[str, float]:
    """Accuracy with its 95 % interval, macro precision and recall, negative log-likelihood, calibration error."""
    accuracy, probabilities, labels = headline(outcomes), outcomes["probabilities"], outcomes["labels"]
    low, high = wilson(accuracy, len(labels))
    rows = classes(outcomes, range(probabilities.shape[1]))
    likelihood = np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)
    return {
        HEADLINE: accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "precision": float(np.mean([row["precision"] for row in rows])),
        "recall": float(np.mean([row["recall"] for row in rows])),
        "nll": float(-np.log(likelihood).mean()),
        "calibration_error": sum(row["weight"] * abs(row["accuracy"] - row["confidence"]) for row in reliability(outcomes)),
    }


def wilson(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share of `count` (Wilson 1927)."""
    middle, spread = share + Z**2 / (2 * count), Z * np.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    return float((middle - spread) / (1 + Z**2 / count)), float((middle + spread) / (1 + Z**2 / count))


def classes(outcomes: Outcomes, names: Iterable[Any]) -> Rows:
    """Precision and recall of each class; 0 where nothing was said, or nothing was there."""
    said, labels = outcomes["probabilities"].argmax(1), outcomes["labels"]
    return [_class_row(name, said == index, labels == index) for index, name in enumerate(names)]


def _class_row(name: Any, said: NDArray[np.bool_], true: NDArray[np.bool_]) -> dict[str, Any]:
    right = int((said & true).sum())
    return {"class": name, "examples": int(true.sum()), "precision": right / max(1, said.sum()), "recall": right / max(1, true.sum())}


def reliability(outcomes: Outcomes) -> Rows:
    """Mean confidence against accuracy in equal bins of confidence; `weight` is a bin's share of the examples."""
    confidence = outcomes["probabilities"].max(1)
    right = outcomes["probabilities"].argmax(1) == outcomes["labels"]
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    taken = [bins == index for index in np.unique(bins)]
    return [
        {"confidence": float(confidence[bin].mean()), "accuracy": float(right[bin].mean()), "weight": float(bin.mean())} for bin in taken
    ]


def tables(outcomes: Outcomes, names: list[Any]) -> dict[str, Rows]:
    """Rows to plot: {"confusion", "reliability", "classes"}."""
    pairs = zip(outcomes["labels"], outcomes["probabilities"].argmax(1), strict=True)
    confusion = [{"actual": names[true], "predicted": names[said]} for true, said in pairs]
    return {"confusion": confusion, "reliability": reliability(outcomes), "classes": classes(outcomes, names)}


def mistakes(outcomes: Outcomes, images: NDArray[np.uint8], names: list[Any]) -> Image.Image:
    """The most confident wrong answers on one sheet: what was said, how sure, and what is true. `images` [n, ...] are the examples'."""
    said, labels, confidence = outcomes["probabilities"].argmax(1), outcomes["labels"], outcomes["probabilities"].max(1)
    wrong = np.flatnonzero(said != labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:SHOWN]
    captions = [f"{names[said[index]]} {confidence[index]:.1%}\nis {names[labels[index]]}" for index in worst]
    title = f"{len(wrong)} of {len(labels)} pictures of validation are answered wrongly; the {len(worst)} most confident mistakes."
    return sheets.sheet(title, [images[index] for index in worst], captions)
