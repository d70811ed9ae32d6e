"""Train a network that reads lines with PyTorch: first on generated lines, then on real ones mixed with these.

A training that was killed resumes after its last complete epoch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from pipelines.configs import Config
from pipelines.families.ocr import model as models
from pipelines.families.ocr.examples import Split, load
from pipelines.families.ocr.model import Network
from pipelines.families.ocr.parts import batches, edits
from pipelines.families.ocr.parts.batches import Line
from pipelines.families.ocr.settings import Fit
from pipelines.models.manifests import Description
from pipelines.training import checkpoints, runtime
from pipelines.training.session import Training

PROOF = 32  # lines of the validation split
JUDGED = 64  # lines at once in validation
WARMING = 100  # batches of warm-up
CLIP = 1.0  # norm of the gradient


@dataclass
class Learner:
    """A network in training, and its average, which is validated and served."""

    network: Network
    average: AveragedModel
    optimizer: torch.optim.Optimizer

    @property
    def averaged(self) -> Network:
        return cast(Network, self.average.module)

    @property
    def parts(self) -> checkpoints.Parts:
        """The parts of a checkpoint."""
        return {"network": self.network, "average": self.average, "optimizer": self.optimizer}


def fit(cfg: Config, data: Path, out: Path, log: Training) -> Description:
    """Train both parts, from the last checkpoint where there is one; write the served and native files.

    Raises MissingWeights, or NotProven when the exported network does not answer as the native one does.
    """
    train, valid = load(data, "train"), load(data, "valid")
    torch.manual_seed(cfg.seed)
    learner = _learner(cfg, runtime.device())
    if log.checkpoint:
        checkpoints.load(log.checkpoint, learner.parts)
    for epoch in log.remaining(cfg.fit.pretraining + cfg.fit.epochs):
        figures = _epoch(cfg, learner, train, epoch) | _validated(learner.averaged, valid)
        log.epoch(figures, lambda folder: checkpoints.save(folder, learner.parts))
    return _written(learner.averaged.cpu().eval(), valid, out)


def _learner(cfg: Config, device: torch.device) -> Learner:
    network = models.build(cfg.model).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), cfg.fit.learning_rate, weight_decay=cfg.fit.weight_decay)
    return Learner(network, runtime.averaged(network, cfg.fit.ema), optimizer)


def _epoch(cfg: Config, learner: Learner, train: Split, epoch: int) -> dict[str, float]:
    """One epoch. Seed and epoch determine the batches, so that a resumed training sees the same ones."""
    fit, random = cfg.fit, np.random.default_rng([cfg.seed, epoch])
    tuning = epoch > fit.pretraining
    lines, count = _tuning(learner, fit, train, random) if tuning else _pretraining(learner, cfg, random)
    steps, past = ceil(count / fit.batch), epoch - 1 - (fit.pretraining if tuning else 0)
    lasting, rate = steps * (fit.epochs if tuning else fit.pretraining), fit.tuning_rate if tuning else fit.learning_rate
    torch.manual_seed(cfg.seed * 1000 + epoch)
    learner.network.train()
    total, shown = 0.0, tqdm(batches.batches(lines, fit.batch, random), cfg.candidate, steps, unit="batch", postfix=f"epoch {epoch}")
    for step, batch in enumerate(shown):
        runtime.set_rate(learner.optimizer, rate * runtime.warmed_cosine(past * steps + step, lasting, WARMING))
        total += _step(learner, fit, batch)
        learner.average.update_parameters(learner.network)
    return {"loss": total / steps}


def _pretraining(learner: Learner, cfg: Config, random: np.random.Generator) -> tuple[Iterator[Line], int]:
    """Generated lines, and how many: at most as many as a limited split holds."""
    count = min(cfg.fit.drawn, cfg.data.limit or cfg.fit.drawn)
    return (batches.generated(learner.network.convention, random, cfg.fit.nothing) for _ in range(count)), count


def _tuning(learner: Learner, fit: Fit, train: Split, random: np.random.Generator) -> tuple[Iterator[Line], int]:
    """Every real line `repeats` times, some of them upside down, mixed with generated ones; and how many."""
    convention, count = learner.network.convention, len(train) * fit.repeats
    more = round(count * fit.made / (1 - fit.made))
    order = random.permutation(np.concatenate([np.tile(np.arange(len(train)), fit.repeats), np.full(more, -1)]))

    def line(row: int) -> Line:
        if row < 0:
            return batches.generated(convention, random, fit.nothing)
        found = batches.real(train, row, convention, random)
        return batches.upside_down(found) if random.random() < fit.nothing and batches.is_oriented(found) else found

    return (line(int(row)) for row in order), len(order)


def _step(learner: Learner, fit: Fit, batch: batches.Batch) -> float:
    """One step of the optimizer; the loss before it."""
    device = runtime.device_of(learner.network)
    with runtime.autocast(fit.precision, device):
        value = learner.network.loss(torch.from_numpy(batch.pictures).to(device), batch.texts, batch.cased)
    runtime.step(value, learner.network, learner.optimizer, CLIP)
    return float(value.detach())


def _validated(network: Network, valid: Split) -> dict[str, float]:
    """Figures of the validation split."""
    network.eval()
    figures = edits.rates(valid.texts, _read(network, valid))
    return {"valid_character_accuracy": 1 - figures["cer"], **{f"valid_{name}": value for name, value in figures.items()}}


def _read(network: Network, split: Split) -> list[str]:
    """The texts that the native network reads, in the order of the split; lines of similar width at once."""
    lines = [network.convention.from_grey(picture) for picture in tqdm(split.pictures, "validating", leave=False)]
    order, texts = np.argsort([line.shape[1] for line in lines], kind="stable"), [""] * len(lines)
    device = runtime.device_of(network)
    for start in range(0, len(order), JUDGED):
        rows = order[start : start + JUDGED]
        batch = batches.collated([Line(lines[row], "", True) for row in rows])
        for row, text in zip(rows, network.read(torch.from_numpy(batch.pictures).to(device)), strict=True):
            texts[row] = text
    return texts


def _written(network: Network, valid: Split, out: Path) -> Description:
    """Write the served and the native files, and compare them."""
    (out / "native").mkdir()
    lines = [Line(network.convention.from_grey(valid.pictures[row]), "", True) for row in range(min(PROOF, len(valid)))]
    served, proof = network.export(out, torch.from_numpy(batches.collated(lines).pictures))
    return Description(
        served=served,
        native={f"native/{name}": "native" for name in network.save(out / "native")},
        input={"shape": [None, None, None], "dtype": "uint8"},
        output={"kind": "text"},
        preprocessing=network.convention,
        proof=proof,
    )
