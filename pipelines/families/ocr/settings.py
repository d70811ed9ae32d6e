"""The types of conf/family/ocr.yaml and conf/candidate/ocr-*.yaml."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipelines import configs
from pipelines.configs import Section


class Serving(configs.Serving):
    """The limits of the endpoint, with the pages of a TIFF that are read."""

    limit_pages: int = Field(gt=0)


class Flagged(Section):
    """Where the service stores what was flagged on its page."""

    path: str


class Data(Section):
    """Sources of the lines, their description, the shares of validation and test, and the most lines of a split.

    `folder` is labels.tsv with its images, or a tar of them, and `feedback` such a folder that the service fills; `skip_broken` leaves
    out lines that cannot be used.
    """

    sources: list[Literal["folder", "feedback", "embedded"]] = Field(min_length=1)
    folder: str | None = None
    feedback: Flagged | None = None
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
            raise ValueError("sources has 'folder', so data.folder must name a folder or tar with labels.tsv and its images")
        if "feedback" in self.sources and not self.feedback:
            raise ValueError("sources has 'feedback', so data.feedback.path must name the folder of flags: data/feedback/ocr")
        return self


class Model(Section):
    """A network and its size. reader: channels of the convolutions, units of each direction of its LSTM layers, dropout between them.

    trocr: `weights` is "none", "hub" (`hub` at `revision`), or a folder or its model.safetensors with `weights_sha256`. Without weights
    `hidden`, `layers`, `heads`, `side` (pixels) and `patch` (pixels) are its size. A line has at most `longest` tokens.
    """

    network: Literal["reader", "trocr"]
    widths: list[Annotated[int, Field(ge=1)]] = Field(default=[32, 64, 128, 256], min_length=4, max_length=4)
    hidden: int = Field(default=192, ge=1)
    layers: int = Field(default=2, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    weights: str = "none"
    weights_sha256: str | None = None
    hub: str = "microsoft/trocr-small-printed"
    revision: str = "main"
    heads: int = Field(default=4, ge=1)
    side: int = Field(default=384, ge=16, le=1024)
    patch: int = Field(default=16, ge=1)
    longest: int = Field(default=80, ge=2, le=510)

    @model_validator(mode="after")
    def _consistent(self) -> "Model":
        own = {"reader": {"widths"}, "trocr": {"weights", "weights_sha256", "hub", "revision", "heads", "side", "patch", "longest"}}
        known = own.pop(self.network) | {"network", "hidden", "layers", "dropout"}
        if wrong := sorted(self.model_fields_set - known):
            raise ValueError(f"network {self.network!r} takes {', '.join(sorted(known - {'network'}))}: {', '.join(wrong)} is not known")
        if self.network == "trocr" and (self.side % self.patch or self.hidden % self.heads):
            rest = f"side={self.side} by patch={self.patch}, hidden={self.hidden} by heads={self.heads}"
            raise ValueError(f"side must be a multiple of patch, and hidden of heads: {rest}")
        if self.weights not in {"none", "hub"} and not self.weights_sha256:
            raise ValueError(f"weights names {self.weights}, so model.weights_sha256 must be that of its model.safetensors (`sha256sum`)")
        return self


class Fit(Section):
    """A recipe of training: first on `drawn` generated lines an epoch, then on the real ones mixed with generated ones.

    `pretraining` and `epochs` count epochs of the two parts, `made` is the share of generated lines in the second, `nothing` that of
    images without text in both; `ema` is the decay of the averaged weights. data.limit also limits the generated lines.
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
