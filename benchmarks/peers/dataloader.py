"""objects-simple trained the usual way: a Dataset of PIL pictures, torchvision's transforms, a DataLoader, float32.

`python -m benchmarks.peers.dataloader <data> <accuracy> <overrides>` trains until validation is that good, and prints JSON.
"""

import itertools
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from tqdm import tqdm

from pipelines import configs, devices
from pipelines.configs import Config
from pipelines.datasets import cards
from pipelines.families.objects import examples, model

WORKERS, TRIED = (0, 1, 2), 100  # how many workers a user would set, and the batches that each is tried with
LONGEST = 40  # epochs
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
Batches = Iterable[tuple[Tensor, Tensor]]


class Pictures(Dataset[tuple[Tensor, int]]):
    """A packed split as torchvision's data sets are: in memory, a PIL picture at a time."""

    def __init__(self, split: examples.Split, transform: Any) -> None:
        self.images, self.labels, self.transform = np.array(split.images), split.labels.tolist(), transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def loader(cfg: Config, data: Path, split: str, workers: int) -> DataLoader[tuple[Tensor, int]]:
    """Shuffled and distorted for training, as they are for validation."""
    card, training = cards.read(data), split == "train"
    distorted = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()] if training else []
    steps = [*distorted, transforms.ToTensor(), transforms.Normalize(card["mean"], card["deviation"])]
    pictures = Pictures(examples.load(data, split), transforms.Compose(steps))
    return DataLoader(pictures, cfg.fit.batch, shuffle=training, num_workers=workers, persistent_workers=workers > 0)


def learner(cfg: Config, data: Path) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A fresh network and its optimizer."""
    network = model.simple(cfg.model, len(examples.classes(data))).to(DEVICE)
    return network, torch.optim.Adam(network.parameters(), cfg.fit.learning_rate)


def epoch(network: nn.Module, optimizer: torch.optim.Optimizer, batches: Batches) -> None:
    """One walk over the batches."""
    network.train()
    surprise = nn.CrossEntropyLoss()
    for images, labels in tqdm(batches, unit="batch", mininterval=1, leave=False):
        optimizer.zero_grad()
        surprise(network(images.to(DEVICE)), labels.to(DEVICE)).backward()
        optimizer.step()


@torch.inference_mode()
def accuracy(network: nn.Module, batches: Batches) -> float:
    """Share of right answers."""
    network.eval()
    right = [network(images.to(DEVICE)).argmax(1) == labels.to(DEVICE) for images, labels in batches]
    return float(torch.cat(right).float().mean())


def tried(cfg: Config, data: Path, workers: int) -> float:
    """Seconds of some batches with so many workers; their start and the first batch are not counted."""
    learning, batches = learner(cfg, data), iter(loader(cfg, data, "train", workers))
    epoch(*learning, itertools.islice(batches, 1))
    begun = time.perf_counter()
    epoch(*learning, itertools.islice(batches, TRIED))
    return time.perf_counter() - begun


def main() -> None:
    """Choose the workers, train, print {"epochs": [{"valid", "seconds"}], "workers", "peak_mb"}: of this process, without workers."""
    data, wanted, cfg = (
        Path(sys.argv[1]),
        float(sys.argv[2]),
        configs.compose(["family=objects", "candidate=objects-simple", *sys.argv[3:]]),
    )
    workers = min(WORKERS, key=lambda count: tried(cfg, data, count))
    train, valid = (loader(cfg, data, split, workers) for split in ("train", "valid"))
    torch.manual_seed(cfg.seed)
    learning, epochs = learner(cfg, data), [{"valid": 0.0, "seconds": 0.0}]
    begun = time.perf_counter()
    while epochs[-1]["valid"] < wanted and len(epochs) <= LONGEST:
        epoch(*learning, train)
        epochs.append({"valid": accuracy(learning[0], valid), "seconds": time.perf_counter() - begun})
    print(json.dumps({"epochs": epochs[1:], "workers": workers, "peak_mb": round(devices.peak_memory_mb())}))


if __name__ == "__main__":
    main()
