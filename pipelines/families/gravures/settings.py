"""The types of conf/family/gravures.yaml and conf/candidate/gravures-*.yaml."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipelines.configs import Section

Share = Annotated[float, Field(ge=0, le=1)]
FEW_STEPS = ("fit.batch=32", "fit.symbols=6", "fit.oversample=1", "fit.folds=2")  # short epochs for `make accept`


class Source(Section):
    """A folder or tar of images, and its entry in the card."""

    path: str
    description: str
    licence: str
    citation: str


class Data(Section):
    """The sources: `folder` reads `folders`, each under its own name; `omniglot` reads characters; `embedded` generates both.

    Of each class's drawings, in the order of their numbers, the last share `test` is for test, the share `valid` before it for choosing.
    Alphabets are chosen by their names with the same shares; those below images_evaluation/ are for test. `limit`: at most so many
    drawings and so many characters' pictures a split.
    """

    sources: list[Literal["folder", "omniglot", "embedded"]] = Field(min_length=1)
    folders: dict[str, Source] = Field(default={})
    omniglot: Source | None = None
    valid: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)
    limit: int | None = Field(default=None, ge=10)

    @model_validator(mode="after")
    def _named(self) -> "Data":
        for source, key in (("folder", "folders"), ("omniglot", "omniglot")):
            if source in self.sources and not getattr(self, key):
                raise ValueError(f"sources has {source!r}, so data.{key} must say where it is")
        if self.valid + self.test >= 1:
            raise ValueError(f"valid {self.valid:g} and test {self.test:g} leave no drawing for training; together they must be below 1")
        return self


class Model(Section):
    """EfficientNet-B0 and its head: `hidden` units, then `dimensions` of the embedding; blocks are skipped by `stochastic_depth`.

    `weights` is "none", "hub" (torchvision's) or a .safetensors file with its `weights_sha256`.
    """

    hidden: int = Field(ge=1)
    dimensions: int = Field(ge=2)
    stochastic_depth: float = Field(default=0.0, ge=0, lt=1)
    weights: str = "none"
    weights_sha256: str | None = None

    @model_validator(mode="after")
    def _named(self) -> "Model":
        if self.weights not in {"none", "hub"} and not self.weights_sha256:
            raise ValueError(f"weights names the file {self.weights}, so model.weights_sha256 must say what is in it (`sha256sum` does)")
        return self


class Distortion(Section):
    """Random augmentation of each image: `rotation` and `shear` in degrees, `shift`, `scale` and `perspective` as fractions, `elastic` in
    pixels, `width` the share of images whose lines become wider or thinner, `ink` the range of their contrast.
    """

    rotation: float = Field(ge=0, le=45)
    shear: float = Field(ge=0, le=45)
    shift: Share
    scale: Share
    perspective: Share
    elastic: float = Field(ge=0, le=10)
    width: Share
    ink: Share


class Fit(Section):
    """One recipe: `epochs` on characters of many writers and generated symbols, then `tuning` epochs on the engravings.

    A batch has `batch / each` classes with `each` images. In tuning the share `engravings` of its classes are engravings, and an epoch
    shows each of them `oversample` times at least; it is done once for all classes, and once for each of `folds` that holds classes out.
    `ema` is the decay of the averaged weights, which are the ones that are stored.
    """

    loss: Literal["triplet", "batch-hard", "semi-hard", "multi-similarity"]
    margin: float = Field(gt=0, lt=2)
    batch: int = Field(ge=4)
    each: int = Field(ge=2)
    symbols: int = Field(ge=1)
    epochs: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    tuning: int = Field(ge=1)
    tuning_rate: float = Field(gt=0)
    engravings: float = Field(gt=0, le=1)
    oversample: int = Field(ge=1)
    folds: int = Field(ge=2)
    weight_decay: float = Field(ge=0)
    ema: float = Field(ge=0, lt=1)
    distortion: Distortion

    @model_validator(mode="after")
    def _whole(self) -> "Fit":
        if self.batch % self.each or self.batch // self.each < 2:
            raise ValueError(
                f"a batch of {self.batch} does not hold two classes or more with {self.each} pictures each; make it a multiple"
            )
        return self
