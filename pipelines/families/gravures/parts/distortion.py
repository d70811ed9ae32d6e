"""Augmentation of drawings on the device by kornia; lines are widened and thinned by max pooling."""

import torch
from kornia import augmentation as distort
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from pipelines.families.gravures.settings import Distortion

SMOOTH = 8.0  # pixels: standard deviation of the kernel that smooths displacements
REACH = 31  # pixels: side of that kernel


class Hand(nn.Module):
    """Normalised images [n, side, side] of bytes -> ink [n, 1, side, side] of 0 to 1, each distorted at random."""

    def __init__(self, cfg: Distortion) -> None:
        super().__init__()
        self.width = cfg.width
        self.steps = nn.Sequential(
            distort.RandomAffine(
                cfg.rotation,
                (cfg.shift, cfg.shift),
                (1 - cfg.scale, 1 + cfg.scale),
                (-cfg.shear, cfg.shear),
                p=1.0,
            ),
            distort.RandomPerspective(cfg.perspective, p=0.5),
            distort.RandomElasticTransform((REACH, REACH), (SMOOTH, SMOOTH), (cfg.elastic, cfg.elastic), padding_mode="zeros", p=0.5),
            distort.RandomBrightness((1 - cfg.ink, 1.0), clip_output=True, p=0.5),
            distort.RandomContrast((1 - cfg.ink, 1 + cfg.ink), clip_output=True, p=0.5),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        ink: Tensor = self.steps(pictures[:, None].float().div(255))
        return widened(ink, self.width)


def widened(ink: Tensor, share: float) -> Tensor:
    """Ink [n, 1, side, side] whose lines are, on `share` of the images, wider by up to two pixels or thinner by up to one."""
    amount = torch.rand(len(ink), 1, 1, 1, device=ink.device) * 3 - 1
    amount = amount * (torch.rand_like(amount) < share)
    wider, thinner = max_pool2d(ink, 3, 1, 1), -max_pool2d(-ink, 3, 1, 1)
    return ink + amount.clamp(0, 1) * (wider - ink) + (-amount).clamp(0, 1) * (thinner - ink)
