"""Three networks for 32 x 32 in colour. Each takes images [n, 3, 32, 32] of 0 to 255 and normalises them."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from pipelines.families.objects.settings import Model
from pipelines.training import pretrained

PATCH = 2  # pixels: the whitening layer looks at PATCH x PATCH


class Network(nn.Module):
    """Normalisation by mean and standard deviation of the data, then a body that gives logits [n, classes]."""

    def __init__(self, body: nn.Module, mean: list[float], deviation: list[float]) -> None:
        super().__init__()
        self.body = body
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", 255 * torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("deviation", 255 * torch.tensor(deviation).view(3, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.body(self.normalised(pictures))

    def normalised(self, pictures: Tensor) -> Tensor:
        """With mean 0 and standard deviation 1."""
        return (pictures - self.mean) / self.deviation

    def whiten(self, pictures: Tensor) -> None:
        """Set the first layer so that it decorrelates patches of images [n, 3, 32, 32] to equal variance."""
        patches = self.normalised(pictures.float()).unfold(2, PATCH, 1).unfold(3, PATCH, 1).permute(0, 2, 3, 1, 4, 5)
        values, vectors = torch.linalg.eigh(torch.cov(patches.reshape(-1, 3 * PATCH**2).T))
        scaled = (vectors / (values + 5e-4).sqrt()).T.reshape(-1, 3, PATCH, PATCH)
        first = next(module for module in self.body.modules() if isinstance(module, nn.Conv2d))
        first.weight.data = torch.cat([scaled, -scaled])


def build(cfg: Model, classes: int, mean: list[float], deviation: list[float]) -> Network:
    """The network of a candidate, its weights fresh or pretrained. Raises MissingWeights."""
    return Network({"simple": simple, "fast": fast, "resnet18": resnet18}[cfg.network](cfg, classes), mean, deviation)


def simple(cfg: Model, classes: int) -> nn.Module:
    """Convolution, batch normalisation, ReLU and pooling, three times; two fully connected layers with dropout."""
    blocks: list[nn.Module] = []
    for before, width in pairwise([3, *cfg.widths]):
        blocks += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
    side = 32 >> len(cfg.widths)
    head = [nn.Linear(cfg.widths[-1] * side**2, cfg.hidden), nn.ReLU(), nn.Dropout(cfg.dropout), nn.Linear(cfg.hidden, classes)]
    return nn.Sequential(*blocks, nn.Flatten(), *head)


def fast(cfg: Model, classes: int) -> nn.Module:
    """A fixed whitening layer, blocks of two convolutions, global max pooling, one linear layer.

    In the spirit of Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, https://arxiv.org/abs/2404.00498
    """
    whitened = 2 * 3 * PATCH**2
    blocks = [_block(before, width) for before, width in pairwise([whitened, *cfg.widths])]
    head = [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(cfg.widths[-1], classes, bias=False), Scaled(1 / 9)]
    whitening = nn.Conv2d(3, whitened, PATCH)
    whitening.weight.requires_grad_(False)
    return nn.Sequential(whitening, nn.GELU(), *blocks, *head)


class Scaled(nn.Module):
    """Multiplied by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, values: Tensor) -> Tensor:
        return values * self.factor


def _block(before: int, width: int) -> nn.Module:
    first, second = (nn.Conv2d(channels, width, 3, padding=1, bias=False) for channels in (before, width))
    for convolution in (first, second):
        nn.init.dirac_(convolution.weight.data[: convolution.in_channels])
    return nn.Sequential(first, nn.MaxPool2d(2), _norm(width), nn.GELU(), second, _norm(width), nn.GELU())


def _norm(width: int) -> nn.BatchNorm2d:
    """Batch normalisation with a fixed scale of 1."""
    norm = nn.BatchNorm2d(width, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm


def resnet18(cfg: Model, classes: int) -> nn.Module:
    """torchvision's, with a first layer for small images; pretrained where `weights` names a file or "hub"."""
    from torchvision.models import ResNet18_Weights
    from torchvision.models import resnet18 as network

    body = network()
    pretrained.load(body, "resnet18", cfg.weights, cfg.weights_sha256, ResNet18_Weights.DEFAULT)
    body.conv1, body.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    body.fc = nn.Linear(body.fc.in_features, classes)
    return body
