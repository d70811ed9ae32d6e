"""How good a Predictor is on labelled images, and where it errs."""

from pipelines.metrics.classification import HEADLINE, headline, metrics, outcomes, sheets, tables

__all__ = ["HEADLINE", "headline", "metrics", "outcomes", "sheets", "tables"]
