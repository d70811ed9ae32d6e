"""The types of conf/family/objects.yaml and conf/candidate/objects-*.yaml."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipelines.configs import Section


class Data(Section):
    """The sources of images, the share of validation, at most how many a split.

    `folder` is class folders or a tar of them; with `skip_broken` files that cannot be decoded are skipped.
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


class Model(Section):
    """Which network, and its width: channels of the blocks; hidden units and dropout where it has them.

    `weights` is "none", "hub" (torchvision's, for resnet18) or a .safetensors file with its `weights_sha256`.
    """

    network: Literal["simple", "fast", "resnet18"]
    widths: list[Annotated[int, Field(ge=1)]] = Field(default=[64], min_length=1, max_length=4)
    hidden: int = Field(default=256, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    weights: str = "none"
    weights_sha256: str | None = None

    @model_validator(mode="after")
    def _fitting(self) -> "Model":
        """Each network has its own keys."""
        known = {"simple": {"widths", "hidden", "dropout"}, "fast": {"widths"}, "resnet18": set[str]()}[self.network]
        given = self.model_fields_set & {"widths", "hidden", "dropout"}
        if given != known:
            wrong = ", ".join(f"{key} is {'missing' if key in known else 'not known'}" for key in sorted(given ^ known))
            raise ValueError(f"network {self.network!r} takes {', '.join(sorted(known)) or 'none of widths, hidden, dropout'}: {wrong}")
        return self

    @model_validator(mode="after")
    def _named(self) -> "Model":
        if self.weights != "none" and self.network != "resnet18":
            raise ValueError(f"network {self.network!r} has no pretrained weights; set model.weights=none, or model.network=resnet18")
        if self.weights not in {"none", "hub"} and not self.weights_sha256:
            raise ValueError(f"weights names the file {self.weights}, so model.weights_sha256 must say what is in it (`sha256sum` does)")
        return self


class Fit(Section):
    """One recipe of training. `bias_rate` multiplies the learning rate of biases.

    `crop` is the largest shift in pixels, over a black or mirrored `border`; `cutout` the side in pixels of a square that is cut out;
    `flips` are random, or alternate from epoch to epoch; `mirrored` averages the logits of each image and its mirror image.
    """

    optimizer: Literal["adam", "sgd"]
    learning_rate: float = Field(gt=0)
    schedule: Literal["constant", "triangular"]
    peak: float = Field(default=0.2, gt=0, lt=1)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    bias_rate: float = Field(default=1.0, gt=0)
    batch: int = Field(ge=1)
    epochs: int = Field(ge=1)
    label_smoothing: float = Field(ge=0, lt=1)
    crop: int = Field(ge=0, le=8)
    border: Literal["zeros", "mirrored"] = "mirrored"
    cutout: int = Field(default=0, ge=0, le=16)
    flips: Literal["random", "alternating", "none"]
    mirrored: bool
    precision: Literal["float32", "bfloat16"]
