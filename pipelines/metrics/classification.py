"""How a classifier is scored: accuracy with its interval, per class, calibration, confusion. score.py of its family offers these.

Outcomes are {"probabilities": [n, classes], "labels": [n]}. A predictor has `labels`, the names of the classes; examples have `images`
[n, ...] and `labels` [n].
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from pipelines.metrics import statistics
from pipelines.metrics.sheets import SHOWN, sheet
from pipelines.metrics.statistics import Rows

HEADLINE = "accuracy"  # what the gate compares
BATCH = 500
Outcomes = dict[str, NDArray[Any]]


def outcomes(predictor: Any, examples: Any) -> Outcomes:
    """The probabilities of each example. Row i is example i, so two models can be paired."""
    starts = tqdm(range(0, len(examples.labels), BATCH), desc="scoring", unit="batch", leave=False)
    answers = [predictor.predict(examples.images[start : start + BATCH]) for start in starts]
    return {"probabilities": np.concatenate(answers), "labels": np.asarray(examples.labels)}


def headline(outcomes: Outcomes) -> float:
    """The figure named HEADLINE alone: the gate computes it thousands of times."""
    return float((outcomes["probabilities"].argmax(1) == outcomes["labels"]).mean())


def metrics(outcomes: Outcomes) -> dict[str, float]:
    """Accuracy with its 95 % interval, macro precision and recall, negative log-likelihood, calibration error."""
    accuracy, probabilities, labels = headline(outcomes), outcomes["probabilities"], outcomes["labels"]
    low, high = statistics.wilson(accuracy, len(labels))
    rows = classes(outcomes, range(probabilities.shape[1]))
    likelihood = np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)
    return {
        HEADLINE: accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "precision": float(np.mean([row["precision"] for row in rows])),
        "recall": float(np.mean([row["recall"] for row in rows])),
        "nll": float(-np.log(likelihood).mean()),
        "calibration_error": statistics.calibration_error(reliability(outcomes)),
    }


def classes(outcomes: Outcomes, names: Iterable[Any]) -> Rows:
    """Precision and recall of each class; 0 where it was never predicted, or has no example."""
    predicted, labels = outcomes["probabilities"].argmax(1), outcomes["labels"]
    return [_class_row(name, predicted == index, labels == index) for index, name in enumerate(names)]


def _class_row(name: Any, predicted: NDArray[np.bool_], actual: NDArray[np.bool_]) -> dict[str, Any]:
    hits = int((predicted & actual).sum())
    return {
        "class": name,
        "examples": int(actual.sum()),
        "precision": hits / max(1, predicted.sum()),
        "recall": hits / max(1, actual.sum()),
    }


def reliability(outcomes: Outcomes) -> Rows:
    """Rows of statistics.reliability()."""
    probabilities = outcomes["probabilities"]
    return statistics.reliability(probabilities.max(1), probabilities.argmax(1) == outcomes["labels"])


def tables(predictor: Any, examples: Any, outcomes: Outcomes) -> dict[str, Rows]:
    """Rows to plot: {"confusion", "reliability", "classes"}."""
    names = predictor.labels
    pairs = zip(outcomes["labels"], outcomes["probabilities"].argmax(1), strict=True)
    confusion = [{"actual": names[actual], "predicted": names[predicted]} for actual, predicted in pairs]
    return {"confusion": confusion, "reliability": reliability(outcomes), "classes": classes(outcomes, names)}


def sheets(predictor: Any, examples: Any, outcomes: Outcomes) -> dict[str, Image.Image]:
    """Images to look at: {"mistakes"}, the most confident wrong predictions with their confidence and the true class."""
    predicted, labels, confidence = outcomes["probabilities"].argmax(1), outcomes["labels"], outcomes["probabilities"].max(1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:SHOWN]
    names = predictor.labels
    captions = [f"{names[predicted[row]]} {confidence[row]:.1%}\nis {names[labels[row]]}" for row in worst]
    title = f"{len(wrong)} of {len(labels)} pictures of validation are answered wrongly; the {len(worst)} most confident mistakes."
    return {"mistakes": sheet(title, [examples.images[row] for row in worst], captions)}
