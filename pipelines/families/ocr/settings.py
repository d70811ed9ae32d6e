"""The pages of conf/family/ocr.yaml and conf/candidate/ocr-*.yaml, as types."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipelines.configs import Page


class Data(Page):
    """Where the lines come from and what is said of them, the shares kept for validation and test, at most how many a split.

    `folder` is labels.tsv and its pictures, or a tar of them; `skip_broken` passes over lines that cannot be used.
    """

    sources: list[Literal["folder", "feedback", "embedded"]] = Field(min_length=1)
    folder: str | None = None
    skip_broken: bool = False
    description: str
    licence: str
    citation: str
    valid: float = Field(gt=0, lt=0.5)
    test: float = Field(gt=0, lt=0.5)
    limit: int | None = Field(default=None, ge=50)

    @model_validator(mode="after")
    def _named(self) -> "Data":
        if "folder" in self.sources and not self.folder:
            raise ValueError("sources has 'folder', so data.folder must name a folder or tar with labels.tsv and its pictures")
        return self


class Model(Page):
    """Which network, and its size. reader: channels of the convolutions, units of each direction of its LSTM layers, `dropout` between them."""

    network: Literal["reader", "trocr"]
    widths: list[Annotated[int, Field(ge=1)]] = Field(default=[32, 64, 128, 256], min_length=4, max_length=4)
    hidden: int = Field(default=192, ge=1)
    layers: int = Field(default=2, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)


class Fit(Page):
    """One recipe of training: first on `drawn` lines an epoch that the generator makes, then on the real ones mixed with them.

    `pretraining` and `epochs` count epochs of the two parts, `made` is the share of generated lines in the second, `nothing` that of
    pictures without text in both; `ema` is the decay of the averaged weights.
    """

    pretraining: int = Field(ge=0)
    epochs: int = Field(ge=1)
    drawn: int = Field(ge=16)
    made: float = Field(ge=0, lt=1)
    nothing: float = Field(ge=0, lt=1)
    repeats: int = Field(default=1, ge=1)
    batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    tuning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    ema: float = Field(ge=0, lt=1)
    precision: Literal["float32", "bfloat16"]
