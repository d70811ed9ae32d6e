"""The types of conf/family/signatures.yaml and conf/candidate/signatures-*.yaml."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipelines import configs
from pipelines.configs import Section

Share = Annotated[float, Field(ge=0, le=1)]


class Serving(configs.Serving):
    """The limits of the endpoint, with the pages of a PDF that are read, and what computes the answers."""

    limit_pages: int = Field(gt=0)
    runtime: Literal["onnxruntime", "opencv", "openvino"]


class Source(Section):
    """A folder or a tar of labelled pages, and what the data card says of it."""

    path: str
    description: str
    licence: str
    citation: str


class Stored(Section):
    """A data set in the image store (MONGO_URL), and what the data card says of it."""

    dataset: str
    description: str
    licence: str
    citation: str


class Data(Section):
    """Sources of the pages: `folder` reads `folders`, `mongo` reads `stores`, by name; `embedded` draws letters.

    `train` and `valid` are shares of the documents, the rest is test; `pinned` names the split of a document. At most `limit` pages a
    split.
    """

    sources: list[Literal["folder", "mongo", "embedded"]] = Field(min_length=1)
    folders: dict[str, Source] = Field(default={})
    stores: dict[str, Stored] = Field(default={})
    train: float = Field(gt=0, lt=1)
    valid: float = Field(gt=0, lt=1)
    pinned: dict[str, Literal["train", "valid", "test"]] = Field(default={})
    limit: int | None = Field(default=None, ge=10)

    @model_validator(mode="after")
    def _named(self) -> "Data":
        for source, key in (("folder", "folders"), ("mongo", "stores")):
            if source in self.sources and not getattr(self, key):
                raise ValueError(f"sources has {source!r}, so data.{key} must name at least one data set")
        if self.train + self.valid >= 1:
            raise ValueError(f"train {self.train:g} and valid {self.valid:g} leave no document for test; together they must be below 1")
        return self


class Model(Section):
    """A Darknet network: `network` generates a cfg for pages of `side` pixels, or `cfg` names a file.

    `anchors` are those of the published cfg, or found in the data by k-means. `weights` is "none" or a .weights file, complete or of a
    backbone such as yolov4.conv.137, with its `weights_sha256`.
    """

    network: Literal["yolov4-tiny", "yolov4", "cfg"]
    side: int = Field(ge=96, le=1024, multiple_of=32)
    cfg: str | None = None
    anchors: Literal["standard", "kmeans"] = "kmeans"
    weights: str = "none"
    weights_sha256: str | None = None

    @model_validator(mode="after")
    def _named(self) -> "Model":
        if (self.network == "cfg") != (self.cfg is not None):
            raise ValueError("model.cfg names a Darknet cfg, with model.network=cfg and only then")
        if self.weights != "none" and not self.weights_sha256:
            raise ValueError(f"weights names the file {self.weights}, so model.weights_sha256 must be its hash (`sha256sum`)")
        return self


class Distortion(Section):
    """Random distortion of a page: at most `rotation` degrees, `scale` and `shift` as fractions, either way, `ink` and `light`.

    `blur`, `noise` and `jpeg` are shares of pages that have it; `pasted` that of pages with a signature of another page; `mosaic` that
    of pages composed of four.
    """

    rotation: float = Field(ge=0, le=15)
    scale: Share
    shift: Share
    ink: Share
    light: Share
    blur: Share
    noise: Share
    jpeg: Share
    pasted: Share = 0.0
    mosaic: Share = 0.0


class Fit(Section):
    """A recipe of training. `sources` is the share of each source's documents that it trains on; `burn_in` the epochs of warm-up.

    `ema` is the decay of the averaged weights, which are exported; an anchor that overlaps a box more than `iou` is assigned to it, as
    is the best one; a prediction that overlaps a box of another anchor more than `ignore` is not penalised.
    """

    sources: dict[str, Share] = Field(min_length=1)
    learning_rate: float = Field(gt=0)
    momentum: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    batch: int = Field(ge=1)
    epochs: int = Field(ge=1)
    burn_in: float = Field(ge=0)
    ema: float = Field(ge=0, lt=1)
    label_smoothing: float = Field(ge=0, lt=1)
    iou: Share
    ignore: Share
    box_gain: float = Field(gt=0)
    precision: Literal["float32", "bfloat16"]
    distortion: Distortion
