"""How good is a Predictor on labelled digits, and where does it err?"""

from typing import Any

from PIL import Image

from pipelines.families.digits.examples import Split
from pipelines.families.digits.predict import Predictor
from pipelines.metrics import classification
from pipelines.metrics.classification import HEADLINE, Outcomes, headline, metrics

__all__ = ["HEADLINE", "headline", "metrics", "outcomes", "score", "sheets", "tables"]


def score(predictor: Predictor, examples: Split) -> dict[str, float]:
    """Every metric of this family on a split."""
    return metrics(outcomes(predictor, examples))


def outcomes(predictor: Predictor, examples: Split) -> Outcomes:
    """What each example got: probabilities [n, 10] and labels [n]."""
    return classification.outcomes(predictor, examples.images, examples.labels)


def tables(predictor: Predictor, examples: Split, outcomes: Outcomes) -> dict[str, list[dict[str, Any]]]:
    """Rows to plot: {"confusion", "reliability", "classes"}."""
    return classification.tables(outcomes, predictor.labels)


def sheets(predictor: Predictor, examples: Split, outcomes: Outcomes) -> dict[str, Image.Image]:
    """Pictures to look at: {"mistakes"}."""
    return {"mistakes": classification.mistakes(outcomes, examples.images, predictor.labels)}
