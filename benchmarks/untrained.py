"""A YOLOv4 of random weights as a model folder: `python -m benchmarks.untrained <folder> <pages> <overrides>`.

Its norms are those of the pages, and its scores differ from cell to cell, so that every page has a few boxes.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import signatures
from pipelines import configs
from pipelines.families.signatures import fit, model
from pipelines.families.signatures.parts.darknet import Convolutional, Darknet, Head
from pipelines.models import manifests

CELLS = 20  # of a page, with boxes; many boxes are of one place
MEAN, DEVIATION = -4.0, 2.0  # of objectness, before its sigmoid
AT_ONCE = 2  # pages


@torch.no_grad()
def lively(network: Darknet, pages: Tensor) -> float:
    """Fit norms and heads to pages [n, 3, side, side]; returns the score that CELLS of each page reach."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # the plain mean of all batches
            layer.reset_running_stats()
    network.train()
    answered(network, pages)
    network.eval()
    for head, raw in zip(network.heads, answered(network, pages), strict=True):
        spread(network.layers[head.layer - 1], head, raw)
    scores = network.decoded(answered(network, pages))[..., 4]
    return float(scores.flatten().topk(CELLS * len(pages)).values[-1])


def answered(network: Darknet, pages: Tensor) -> list[Tensor]:
    """Raw maps of all pages."""
    return [torch.cat(maps) for maps in zip(*(network(part) for part in torch.split(pages, AT_ONCE)), strict=True)]


def spread(layer: nn.Module, head: Head, raw: Tensor) -> None:
    """Give objectness its mean and deviation over all cells."""
    assert isinstance(layer, Convolutional) and layer.convolution.bias is not None
    rows = slice(4, None, 5 + head.classes)
    mean, strength = raw[:, rows].mean(), DEVIATION / raw[:, rows].std()
    layer.convolution.weight[rows] *= strength
    layer.convolution.bias[rows] = (layer.convolution.bias[rows] - mean) * strength + MEAN


def main() -> None:
    """Build, fit, export and describe, as a training does at its end."""
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    cfg = configs.compose(["family=signatures", "candidate=signatures-all", *sys.argv[3:]])
    torch.manual_seed(cfg.seed)
    text = model.described(cfg.model, np.zeros((0, 2), np.float32))
    network, split = model.build(cfg.model, text), signatures.sample(count)
    pages = torch.from_numpy(split.squares(cfg.model.side))[:, None].float().div(255).expand(-1, 3, -1, -1)
    threshold = lively(network, pages)
    fit.TOLERANCE = 0.05  # of a side: random boxes are many pages wide
    folder.mkdir(parents=True)
    description = fit.export(cfg, text, network, split, folder)
    convention = replace(description.preprocessing, threshold=round(threshold, 3))
    manifests.write(folder, cfg, "0" * 64, replace(description, preprocessing=convention))


if __name__ == "__main__":
    main()
