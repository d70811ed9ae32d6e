"""How good is a Predictor on labelled digits, and where does it err?"""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipelines.families.digits.data import LABELS, Split
from pipelines.families.digits.predict import Predictor

HEADLINE = "accuracy"  # what the gate compares
Outcomes = dict[str, NDArray[Any]]
BINS = 15  # of confidence, Guo et al. 2017
Z = 1.959964  # 95 %


def score(predictor: Predictor, examples: Split) -> dict[str, float]:
    """Every metric of this family on a split."""
    return metrics(outcomes(predictor, examples))


def outcomes(predictor: Predictor, examples: Split) -> Outcomes:
    """What each example got: probabilities [n, 10] and labels [n]. Row i is example i, so two models can be paired."""
    starts = tqdm(range(0, len(examples.labels), 500), desc="scoring", unit="batch", leave=False)
    answers = [predictor.predict(examples.images[start : start + 500]) for start in starts]
    return {"probabilities": np.concatenate(answers), "labels": np.asarray(examples.labels)}


def headline(outcomes: Outcomes) -> float:
    """The figure named HEADLINE, by itself: the gate asks for it thousands of times."""
    return float((outcomes["probabilities"].argmax(1) == outcomes["labels"]).mean())


def metrics(outcomes: Outcomes) -> dict[str, float]:
    """Accuracy with its 95 % interval, macro precision and recall, negative log-likelihood, calibration error."""
    accuracy, probabilities, labels = headline(outcomes), outcomes["probabilities"], outcomes["labels"]
    low, high = wilson(accuracy, len(labels))
    rows = classes(outcomes)
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


def classes(outcomes: Outcomes) -> list[dict[str, Any]]:
    """Precision and recall of each class; 0 where nothing was said, or nothing was there."""
    said, labels = outcomes["probabilities"].argmax(1), outcomes["labels"]
    return [_class_row(name, said == index, labels == index) for index, name in enumerate(LABELS)]


def _class_row(name: int, said: NDArray[np.bool_], true: NDArray[np.bool_]) -> dict[str, Any]:
    right = int((said & true).sum())
    return {"class": name, "examples": int(true.sum()), "precision": right / max(1, said.sum()), "recall": right / max(1, true.sum())}


def reliability(outcomes: Outcomes) -> list[dict[str, float]]:
    """Mean confidence against accuracy in equal bins of confidence; `weight` is a bin's share of the examples."""
    confidence = outcomes["probabilities"].max(1)
    right = outcomes["probabilities"].argmax(1) == outcomes["labels"]
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    taken = [bins == index for index in np.unique(bins)]
    return [
        {"confidence": float(confidence[bin].mean()), "accuracy": float(right[bin].mean()), "weight": float(bin.mean())} for bin in taken
    ]


def tables(outcomes: Outcomes) -> dict[str, list[dict[str, Any]]]:
    """Rows to plot: {"confusion", "reliability", "classes"}."""
    pairs = zip(outcomes["labels"], outcomes["probabilities"].argmax(1), strict=True)
    confusion = [{"actual": LABELS[true], "predicted": LABELS[said]} for true, said in pairs]
    return cast(
        dict[str, list[dict[str, Any]]], {"confusion": confusion, "reliability": reliability(outcomes), "classes": classes(outcomes)}
    )
