"""Train an embedding by metric learning with PyTorch: on characters of many writers and generated symbols, then on the engravings.

The network of the first part is tuned on all classes, which is served, and once for each fold, which holds classes out: how well those
are found estimates how well classes are found that are added later. A killed training resumes after its last epoch.
"""

from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_metric_learning import losses, miners
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from pipelines import folders
from pipelines.configs import Config
from pipelines.families.gravures import model as models
from pipelines.families.gravures.examples import CONVENTION, Split, Writers, load
from pipelines.families.gravures.model import Encoder
from pipelines.families.gravures.parts import batches, galleries, index, unseen
from pipelines.families.gravures.parts.batches import Pool
from pipelines.families.gravures.parts.distortion import Hand
from pipelines.families.gravures.parts.index import Entry
from pipelines.families.gravures.settings import Fit
from pipelines.metrics import retrieval
from pipelines.models import exports, inference
from pipelines.models.manifests import Description, Proof, prove
from pipelines.training import checkpoints, runtime
from pipelines.training.session import Training

TOLERANCE = 1e-3  # of a number of an embedding, whose length is 1
PROOF = 64  # drawings of the validation split
JUDGED = 256  # images at once, outside training
HANDS = 5  # writers of the validation split that an epoch is scored by
WARMING = 30  # batches of a rising learning rate
CLIP = 5.0  # norm of the gradient
CHARACTERS, WHOLE = "characters", "whole"  # phases of a training; the others are folds
TRIPLETS = 20  # for each image of a batch, where they are random
SERVED = {"model.onnx": "model", index.VECTORS: "vectors", index.HEADER: "index", "catalogue.json": "catalogue"}
NATIVE = {"native/encoder.safetensors": "native", unseen.FILE: "unseen"}


@dataclass
class Learner:
    """A network in training, its average, the weights of finished phases, and the embeddings of all drawings by each fold."""

    network: Encoder
    average: AveragedModel
    optimizer: torch.optim.Optimizer
    done: dict[str, dict[str, Tensor]]
    folds: dict[str, Tensor]

    @property
    def averaged(self) -> Encoder:
        return cast(Encoder, self.average.module)

    @property
    def parts(self) -> checkpoints.Parts:
        """What a checkpoint holds."""
        return {"network": self.network, "average": self.average, "optimizer": self.optimizer}


def fit(cfg: Config, data: Path, out: Path, log: Training) -> Description:
    """Train all phases, from the last checkpoint if there is one; write the served files, and the embeddings of the folds.

    Raises MissingWeights or NotProven.
    """
    train, valid = load(data, "train"), load(data, "valid")
    learner = _trained(cfg, data, train, valid, runtime.device(), log)
    network = models.build(cfg.model).eval()
    network.load_state_dict(learner.done[WHOLE])
    return _written(network, train, valid, {name: values.numpy() for name, values in learner.folds.items()}, out)


def parts(fit: Fit) -> list[str]:
    """The phase of each epoch."""
    tuned = [WHOLE, *(f"fold {number}" for number in range(fit.folds))]
    return [CHARACTERS] * fit.epochs + [name for name in tuned for _ in range(fit.tuning)]


def _trained(cfg: Config, data: Path, train: Split, valid: Split, device: torch.device, log: Training) -> Learner:
    torch.manual_seed(cfg.seed)
    course, loss, hand = parts(cfg.fit), Loss(cfg.fit), Hand(cfg.fit.distortion)
    characters = [batches.pool(train.writers.images, train.writers.labels), batches.generated(cfg.fit.symbols, CONVENTION, cfg.seed)]
    held_out, everything = unseen.folds(train.labels, cfg.fit.folds), unseen.drawings(data)
    learner, judges = _resumed(cfg, device, course, log), replace(valid, writers=_few(valid.writers))
    for epoch in log.remaining(len(course)):
        part, begins = course[epoch - 1], epoch == 1 or course[epoch - 2] != course[epoch - 1]
        if begins and part != CHARACTERS:
            learner = _learner(cfg, device, part, learner.done, learner.folds)
        pools = characters if part == CHARACTERS else [*characters, _engravings(train, held_out.get(part, ()))]
        figures = _epoch(cfg, learner, pools, loss, hand, course, epoch)
        figures |= {f"valid_{name}": value for name, value in _judged(learner.averaged, judges).items()}
        if epoch == len(course) or course[epoch] != part:
            _close(learner, part, everything)
        log.epoch(figures, lambda folder, learner=learner: _save(learner, folder))  # type: ignore[misc]
    return learner


def _learner(cfg: Config, device: torch.device, part: str, done: dict[str, dict[str, Tensor]], folds: dict[str, Tensor]) -> Learner:
    """A network at the start of a phase: fresh or pretrained, or that of the characters."""
    network = models.build(cfg.model)
    if part != CHARACTERS:
        network.load_state_dict(done[CHARACTERS])
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=cfg.fit.weight_decay)
    return Learner(network, runtime.averaged(network, cfg.fit.ema), optimizer, done, folds)


def _engravings(train: Split, held_out: tuple[int, ...]) -> Pool:
    """Drawings and official images of the classes that are not held out."""
    images, labels = (np.concatenate([getattr(train, part), getattr(train.official, part)]) for part in ("images", "labels"))
    chosen = ~np.isin(labels, held_out)
    return batches.pool(images[chosen], labels[chosen])


class Loss:
    """One of four losses of a batch of embeddings.

    triplet: Schroff et al. 2015, triplets at random, and semi-hard; batch-hard: Hermans et al. 2017; multi-similarity: Wang et al. 2019.
    """

    def __init__(self, fit: Fit) -> None:
        triplets = losses.TripletMarginLoss(fit.margin, triplets_per_anchor=TRIPLETS if fit.loss == "triplet" else "all")
        self._loss = losses.MultiSimilarityLoss(2.0, 50.0, 0.5) if fit.loss == "multi-similarity" else triplets
        self._miner = {
            "triplet": lambda: None,
            "batch-hard": miners.BatchHardMiner,
            "semi-hard": lambda: miners.TripletMarginMiner(fit.margin, "semihard"),
            "multi-similarity": lambda: miners.MultiSimilarityMiner(0.1),
        }[fit.loss]()

    def __call__(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return self._loss(embeddings, labels, self._miner(embeddings, labels) if self._miner else None)


def _epoch(cfg: Config, learner: Learner, pools: list[Pool], loss: Loss, hand: Hand, course: list[str], epoch: int) -> dict[str, float]:
    """One epoch; seed and epoch determine the batches, so that a resumed training sees the same."""
    part = course[epoch - 1]
    rate = cfg.fit.learning_rate if part == CHARACTERS else cfg.fit.tuning_rate
    steps, lasting, past = _steps(cfg.fit, pools), course.count(part), epoch - 1 - course.index(part)
    random, total = np.random.default_rng([cfg.seed, epoch]), 0.0
    torch.manual_seed(cfg.seed * 1000 + epoch)
    learner.network.train()
    for step in tqdm(range(steps), cfg.candidate, unit="batch", postfix=f"epoch {epoch}, {part}"):
        runtime.set_rate(learner.optimizer, rate * runtime.warmed_cosine(past * steps + step, lasting * steps, WARMING))
        total += _step(learner, loss, hand, _batch(cfg.fit, random, pools))
        learner.average.update_parameters(learner.network)
    return {"loss": total / steps}


def _steps(fit: Fit, pools: list[Pool]) -> int:
    """As many batches as show every character once, or every engraving `oversample` times."""
    if len(pools) == 3:
        return ceil(len(pools[2].rows) * fit.oversample / (_share(fit) * fit.each))
    return ceil(len(pools[0].images) / fit.batch)


def _share(fit: Fit) -> int:
    """The number of engravings among the classes of a batch, in tuning."""
    return max(1, round(fit.engravings * fit.batch / fit.each))


def _batch(fit: Fit, random: np.random.Generator, pools: list[Pool]) -> batches.Batch:
    """Characters and symbols half and half, rotated by quarters; in tuning also engravings, which are not rotated."""
    own = _share(fit) if len(pools) == 3 else 0
    rest = fit.batch // fit.each - own
    classes = batches.sampled(random, pools[0], rest // 2, fit.each, True)
    classes += batches.sampled(random, pools[1], rest - rest // 2, fit.each, True)
    return batches.stacked(classes + (batches.sampled(random, pools[2], own, fit.each, False) if own else []))


def _step(learner: Learner, loss: Loss, hand: Hand, batch: batches.Batch) -> float:
    """One step down the gradient; returns the loss before it."""
    device = runtime.device_of(learner.network)
    with torch.no_grad():
        ink = hand(torch.from_numpy(batch.images).to(device))
    value = loss(learner.network(ink), torch.from_numpy(batch.labels).to(device))
    runtime.step(value, learner.network, learner.optimizer, CLIP)
    return float(value.detach())


def _embedded(network: Encoder, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Normalised images [n, side, side] -> embeddings [n, dimensions]."""
    network.eval()
    device = runtime.device_of(network)
    with torch.inference_mode():
        chunks = torch.split(torch.from_numpy(np.asarray(images)), JUDGED)
        return torch.cat([network(chunk.to(device)[:, None].float().div(255)).cpu() for chunk in chunks]).numpy()


def _judged(network: Encoder, valid: Split) -> dict[str, float]:
    """The figures of the validation split after an epoch."""
    outcomes = retrieval.outcomes(galleries.ranks(lambda images: _embedded(network, images), valid))
    figures = retrieval.metrics(outcomes)
    return {name: figures[name] for name in (retrieval.HEADLINE, "top1", "one_shot_within")}


def _few(writers: Writers) -> Writers:
    """The drawings of the first writers."""
    return Writers._make(values[writers.writers <= HANDS] for values in writers)


def _close(learner: Learner, part: str, everything: NDArray[np.uint8]) -> None:
    """At the end of a phase, store its averaged weights, or the embeddings of all drawings by a fold."""
    if part in (CHARACTERS, WHOLE):
        learner.done[part] = checkpoints.contiguous({name: value.cpu().clone() for name, value in learner.averaged.state_dict().items()})
    else:
        learner.folds[part] = torch.from_numpy(_embedded(learner.averaged, everything))


def _save(learner: Learner, folder: Path) -> None:
    checkpoints.save(folder, learner.parts)
    for name, tensors in learner.done.items():
        save_file(tensors, folder / f"done-{name}.safetensors")
    save_file(learner.folds, folder / "folds.safetensors")


def _resumed(cfg: Config, device: torch.device, course: list[str], log: Training) -> Learner:
    """The learner after the last epoch, or one at the start."""
    if not log.checkpoint:
        return _learner(cfg, device, CHARACTERS, {}, {})
    done = {name: load_file(path) for name in (CHARACTERS, WHOLE) if (path := log.checkpoint / f"done-{name}.safetensors").exists()}
    part = course[len(log.history) - 1]
    begun = part if CHARACTERS in done else CHARACTERS
    learner = _learner(cfg, device, begun, done, load_file(log.checkpoint / "folds.safetensors"))
    checkpoints.load(log.checkpoint, learner.parts)
    return learner


class Served(nn.Module):
    """Images [n, side, side] of bytes -> embeddings [n, dimensions]."""

    def __init__(self, network: Encoder) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        return self.network(pictures[:, None].float().div(255))


def _written(network: Encoder, train: Split, valid: Split, folds: dict[str, NDArray[np.float32]], out: Path) -> Description:
    """Write and prove the exported network, and the index of the engravings that it knows."""
    (out / "native").mkdir()
    save_file(checkpoints.contiguous(network.state_dict()), out / "native/encoder.safetensors")
    proof = _exported(network, np.asarray(valid.images[:PROOF]), out / "model.onnx")
    _indexed(train, out)
    folders.write_json(out / "catalogue.json", train.catalogue)
    unseen.write(out, folds)
    return Description(
        served=SERVED,
        native=NATIVE,
        input={"shape": [None, CONVENTION.side, CONVENTION.side], "dtype": "uint8"},
        output={"kind": "embedding", "dimensions": network(torch.zeros(1, 1, CONVENTION.side, CONVENTION.side)).shape[1]},
        preprocessing=CONVENTION,
        proof=proof,
    )


def _exported(network: Encoder, pictures: NDArray[np.uint8], path: Path) -> Proof:
    """Write model.onnx; compare its embeddings of real drawings with those of PyTorch."""
    served, example = Served(network).eval(), torch.from_numpy(pictures)
    with torch.inference_mode():
        native = served(example).numpy()
    exports.write(served, (example[:2],), path, ["pictures"], ["embeddings"])
    return prove(native, inference.session(path).run(None, {"pictures": pictures})[0], TOLERANCE)


def _indexed(train: Split, out: Path) -> None:
    """Index the drawings of train, the official images and those of the catalogue, as the exported network embeds them."""
    names = train.classes
    entries = [Entry(names[label], "drawn", name) for label, name in zip(train.labels, train.names, strict=True)]
    entries += [Entry(names[label], "official", name) for label, name in zip(train.official.labels, train.official.names, strict=True)]
    entries += [Entry(row["picture"], "catalogue", f"catalogue/{row['picture']}") for row in train.catalogue["pictures"]]
    images, encoder = np.concatenate([train.images, train.official.images, train.catalogue_images]), inference.session(out / "model.onnx")
    answers = [encoder.run(None, {"pictures": images[start : start + JUDGED]})[0] for start in range(0, len(images), JUDGED)]
    index.write(out, entries, np.concatenate(answers), folders.sha256(out / "model.onnx"))
