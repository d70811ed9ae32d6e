"""Another hand, another pen: engravings distorted on the device, a batch at a time, by kornia; lines made wider and thinner by a pool."""

import torch
from kornia import augmentation as distort
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from pipelines.families.gravures.settings import Distortion

SMOOTH = 8.0  # pixels: how far a point's way is shared by its neighbours
REACH = 31  # pixels of the kernel that smooths


class Hand(nn.Module):
    """Brought pictures [n, side, side] of bytes -> ink [n, 1, side, side] of 0 to 1, each distorted in its own way."""

    def __init__(self, told: Distortion) -> None:
        super().__init__()
        self.width = told.width
        self.steps = nn.Sequential(
            distort.RandomAffine(
                told.rotation, (told.shift, told.shift), (1 - told.scale, 1 + told.scale), (-told.shear, told.shear), p=1.0
            ),
            distort.RandomPerspective(told.perspective, p=0.5),
            distort.RandomElasticTransform((REACH, REACH), (SMOOTH, SMOOTH), (told.elastic, told.elastic), padding_mode="zeros", p=0.5),
            distort.RandomBrightness((1 - told.ink, 1.0), clip_output=True, p=0.5),
            distort.RandomContrast((1 - told.ink, 1 + told.ink), clip_output=True, p=0.5),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        ink: Tensor = self.steps(pictures[:, None].float().div(255))
        return widened(ink, self.width)


def widened(ink: Tensor, share: float) -> Tensor:
    """Lines of ink [n, 1, side, side] on `share` of the pictures made wider by up to two pixels, or thinner by up to one."""
    amount = torch.rand(len(ink), 1, 1, 1, device=ink.device) * 3 - 1
    amount = amount * (torch.rand_like(amount) < share)
    wider, thinner = max_pool2d(ink, 3, 1, 1), -max_pool2d(-ink, 3, 1, 1)
    return ink + amount.clamp(0, 1) * (wider - ink) + (-amount).clamp(0, 1) * (thinner - ink)
