"""EfficientNet-B0 with a head of 256 dimensions: similar engravings get similar vectors."""

from torch import Tensor, nn
from torch.nn.functional import normalize
from torchvision.models import EfficientNet_B0_Weights, efficientnet_b0

from pipelines.families.gravures.settings import Model
from pipelines.training import pretrained

MEAN, DEVIATION = 0.1, 0.3  # of normalised drawings, ink 1


class Encoder(nn.Module):
    """Ink [n, 1, side, side] of 0 to 1 -> embeddings [n, dimensions] of length 1. Tan and Le 2019, https://arxiv.org/abs/1905.11946"""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, ink: Tensor) -> Tensor:
        return normalize(self.body(((ink - MEAN) / DEVIATION).expand(-1, 3, -1, -1)))


def build(cfg: Model) -> Encoder:
    """The network of a candidate, its weights fresh or pretrained. Raises MissingWeights."""
    body = efficientnet_b0(dropout=0.0, stochastic_depth_prob=cfg.stochastic_depth)
    pretrained.load(body, "efficientnet_b0", cfg.weights, cfg.weights_sha256, EfficientNet_B0_Weights.IMAGENET1K_V1)
    features = body.classifier[1].in_features
    body.classifier = nn.Sequential(
        nn.Linear(features, cfg.hidden), nn.BatchNorm1d(cfg.hidden), nn.SiLU(), nn.Linear(cfg.hidden, cfg.dimensions)
    )
    return Encoder(body)
