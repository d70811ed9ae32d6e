"""The pages of conf/family/ocr.yaml and conf/candidate/ocr-*.yaml, as types."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipelines.configs import Section


class Flagged(Section):
    """Where the service keeps what was flagged on its page."""

    path: str


class Data(Section):
    """Where the lines come from and what is said of them, the shares kept for validation and test, at most how many a split.

    `folder` is labels.tsv and its pictures, or a tar of them, and `feedback` such a folder that the service fills; `skip_broken` passes
    over lines that cannot be used.
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
            raise ValueError("sources has 'folder', so data.folder must name a folder or tar with labels.tsv and its pictures")
        if "feedback" in self.sources and not self.feedback:
            raise ValueError("sources has 'feedback', so data.feedback.path must say where flags are kept: data/feedback/ocr")
        return self


class Model(Section):
    """Which network, and its size. reader: channels of the convolutions, units of each direction of its LSTM layers, dropout between them.

    trocr: `weights` is "none", "hub" (`hub` at `revision`), or a folder or its model.safetensors with `weights_sha256`. Where it is "none"
    `hidden`, `layers`, `heads`, `side` (pixels) and `patch` (pixels) are the size of a fresh one. A line has at most `longest` tokens.
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
    def _fitting(self) -> "Model":
        """Keys of the other network are not there in vain."""
        own = {"reader": {"widths"}, "trocr": {"weights", "weights_sha256", "hub", "revision", "heads", "side", "patch", "longest"}}
        known = own.pop(self.network) | {"network", "hidden", "layers", "dropout"}
        if wrong := sorted(self.model_fields_set - known):
            raise ValueError(f"network {self.network!r} takes {', '.join(sorted(known - {'network'}))}: {', '.join(wrong)} is not known")
        return self

    @model_validator(mode="after")
    def _whole(self) -> "Model":
        if self.network == "trocr" and (self.side % self.patch or self.hidden % self.heads):
            rest = f"side={self.side} by patch={self.patch}, hidden={self.hidden} by heads={self.heads}"
            raise ValueError(f"side is divided into patches, and hidden among heads, without a rest: {rest}")
        return self

    @model_validator(mode="after")
    def _named(self) -> "Model":
        if self.weights not in {"none", "hub"} and not self.weights_sha256:
            raise ValueError(
                f"weights names {self.weights}, so model.weights_sha256 must say what its model.safetensors is (`sha256sum` does)"
            )
        return self


class Fit(Section):
    """One recipe of training: first on `drawn` lines an epoch that the generator makes, then on the real ones mixed with them.

    `pretraining` and `epochs` count epochs of the two parts, `made` is the share of generated lines in the second, `nothing` that of
    pictures without text in both; `ema` is the decay of the averaged weights. Where data.limit is set, no more lines are drawn than that.
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
