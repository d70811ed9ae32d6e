"""The types of conf/family/digits.yaml and conf/candidate/digits-*.yaml."""

from typing import Literal

from pydantic import Field

from pipelines.configs import Section


class Data(Section):
    """The sources of images, the share of validation, and at most how many a split."""

    sources: list[Literal["mnist", "embedded"]] = Field(min_length=1)
    valid: float = Field(gt=0, lt=0.5)
    limit: int | None = Field(default=None, ge=50)


class Model(Section):
    """Channels of the stages, convolutions in each stage after the first, dropout before the last layer."""

    widths: list[int] = Field(min_length=2, max_length=4)
    convolutions: int = Field(ge=1, le=4)
    dropout: float = Field(ge=0, lt=1)


class Augment(Section):
    """Random affine distortion: degrees, shear, relative scale and pixels, each the most either way."""

    rotation: float = Field(ge=0, le=45)
    shear: float = Field(ge=0, le=1)
    scale: float = Field(ge=0, lt=1)
    shift: float = Field(ge=0, le=14)


class Fit(Section):
    """One recipe of training."""

    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"]
    learning_rate: float = Field(gt=0)
    schedule: Literal["constant", "cosine"]
    warmup_epochs: int = Field(ge=0)
    weight_decay: float = Field(ge=0)
    batch: int = Field(ge=1)
    epochs: int = Field(ge=1)
    label_smoothing: float = Field(ge=0, lt=1)
    augment: Augment | None
