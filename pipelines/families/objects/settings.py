"""The pages of conf/family/objects.yaml and conf/candidate/objects-*.yaml, as types."""

from typing import Literal

from pydantic import Field, model_validator

from pipelines.configs import Page


class Data(Page):
    """Where the pictures come from and what is said of them, the share kept for validation, at most how many a split.

    `folder` is class folders or a tar of them, `skip_broken` passes over files in it that are no whole pictures.
    """

    sources: list[Literal["cifar10", "folder", "embedded"]] = Field(min_length=1)
    folder: str | None = None
    skip_broken: bool = False
    description: str
    licence: str
    citation: str
    valid: float = Field(gt=0, lt=0.5)
    limit: int | None = Field(default=None, ge=50)

    @model_validator(mode="after")
    def _named(self) -> "Data":
        if "folder" in self.sources and not self.folder:
            raise ValueError("sources has 'folder', so data.folder must name class folders or a tar of them")
        return self


class Model(Page):
    """Which network, and its width: channels of the blocks; hidden units and dropout where it has them; pretrained weights, named."""

    network: Literal["simple", "fast", "resnet18"]
    widths: list[int] = Field(default=[], max_length=4)
    hidden: int = Field(default=0, ge=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    weights: str = "none"


class Fit(Page):
    """One recipe of training. `flips` of one picture are drawn each time, or alternate from epoch to epoch."""

    optimizer: Literal["adam", "sgd"]
    learning_rate: float = Field(gt=0)
    schedule: Literal["constant", "triangular"]
    peak: float = Field(default=0.2, gt=0, lt=1)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    batch: int = Field(ge=1)
    epochs: int = Field(ge=1)
    label_smoothing: float = Field(ge=0, lt=1)
    crop: int = Field(ge=0, le=8)
    flips: Literal["random", "alternating", "none"]
    mirrored: bool
    precision: Literal["float32", "bfloat16"]
    compiled: bool = False
