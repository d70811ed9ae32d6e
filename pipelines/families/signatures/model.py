"""YOLOv4 from a Darknet cfg: generated for one class, or any cfg by name."""

from math import log
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines import folders
from pipelines.families.signatures.examples import LABELS
from pipelines.families.signatures.parts import anchors, architectures, weights
from pipelines.families.signatures.parts.cfg import BadNetwork, read
from pipelines.families.signatures.parts.darknet import Convolutional, Darknet
from pipelines.families.signatures.settings import Model

ANCHORS = {"yolov4-tiny": 6, "yolov4": 9}
PRIOR = 0.005  # objectness before training


class MissingFile(FileNotFoundError):
    """A named cfg or weights that are missing, or have another hash."""


def described(cfg: Model, sizes: NDArray[np.float32]) -> str:
    """The cfg of a candidate; anchors by k-means over `sizes` [k, 2]: width and height of the training boxes as fractions of the page."""
    if cfg.cfg is not None:
        path = Path(cfg.cfg)
        if not path.is_file():
            raise MissingFile(f"model.cfg={path} does not exist. Name a Darknet cfg, or set model.network=yolov4-tiny and leave cfg out.")
        return read(path)
    found = anchors.kmeans(sizes * cfg.side, ANCHORS[cfg.network], 0) if cfg.anchors == "kmeans" else None
    return architectures.described(cfg.network, len(LABELS), cfg.side, found)


def build(cfg: Model, text: str) -> Darknet:
    """The network that a cfg describes, untrained or with the weights of a file. Raises BadNetwork, MissingFile or BadWeights."""
    network = Darknet(text)
    if (network.width, network.height) != (cfg.side, cfg.side) or any(head.classes != len(LABELS) for head in network.heads):
        raise BadNetwork(
            f"the cfg describes pages of {network.width} x {network.height} and {[head.classes for head in network.heads]} classes; "
            f"model.side is {cfg.side} and there is {len(LABELS)} class. Change model.side, or the cfg."
        )
    _lower_objectness(network)
    if cfg.weights != "none":
        weights.read(network, _named(Path(cfg.weights), str(cfg.weights_sha256)), backbone=True)
    return network


def _lower_objectness(network: Darknet) -> None:
    """Start untrained heads at an objectness of PRIOR, as almost all cells are empty (Lin et al. 2017, section 3.3)."""
    for head in network.heads:
        last = network.layers[head.layer - 1]
        if isinstance(last, Convolutional) and last.convolution.bias is not None:
            last.convolution.bias.data.view(len(head.anchors), -1)[:, 4] = log(PRIOR / (1 - PRIOR))


def _named(path: Path, sha256: str) -> Path:
    found = folders.sha256(path) if path.is_file() else "no such file"
    if found != sha256:
        raise MissingFile(
            f"model.weights={path} has SHA-256 {found}; model.weights_sha256 is {sha256}. Name the file that has it, or set it to none."
        )
    return path
