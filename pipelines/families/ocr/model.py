"""The networks that read a line: one trained from scratch, and TrOCR. Each has loss(), read(), export(), save() and its convention."""

from pipelines.families.ocr.parts.reader import Reader
from pipelines.families.ocr.parts.trocr import Trocr
from pipelines.families.ocr.settings import Model

Network = Reader | Trocr


def build(cfg: Model) -> Network:
    """The network of a candidate, untrained or pretrained. Raises MissingWeights."""
    return Reader(cfg) if cfg.network == "reader" else Trocr(cfg)
