"""The networks that read a line: one trained here from scratch, and TrOCR. Each has loss(), read(), export() and its convention."""

from typing import TYPE_CHECKING, Union

from pipelines.families.ocr.parts.reader import Reader
from pipelines.families.ocr.settings import Model

if TYPE_CHECKING:
    from pipelines.families.ocr.parts.trocr import Trocr

Network = Union[Reader, "Trocr"]


def build(cfg: Model) -> Network:
    """The network that the candidate's page names, its weights fresh or pretrained. Raises MissingWeights."""
    if cfg.network == "reader":
        return Reader(cfg)
    from pipelines.families.ocr.parts.trocr import Trocr  # transformers take seconds to import

    return Trocr(cfg)
