"""How early a Predictor finds the right engraving, how well it separates unseen characters, and where it errs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from pipelines.families.gravures.examples import Split
from pipelines.families.gravures.parts import galleries, unseen
from pipelines.families.gravures.predict import Predictor
from pipelines.metrics import retrieval
from pipelines.metrics.retrieval import HEADLINE, Answers, Outcomes, Ranks, headline, metrics

__all__ = ["HEADLINE", "headline", "metrics", "outcomes", "sheets", "tables"]
BATCH = 256


def outcomes(predictor: Predictor, examples: Split) -> Outcomes:
    """The rank of each drawing and trial: {"kind", "rank", "precision", "query"}; of test also those of the folds' held-out classes."""
    found = galleries.ranks(_embed(predictor), examples)
    return retrieval.outcomes(found | (_unseen(predictor, examples) if examples.split == "test" else {}))


def _embed(predictor: Predictor) -> galleries.Embed:
    def embed(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        starts = tqdm(range(0, len(images), BATCH), desc="embedding", unit="batch", leave=False)
        return np.concatenate([predictor.predict(np.asarray(images[start : start + BATCH])) for start in starts])

    return embed


def _unseen(predictor: Predictor, examples: Split) -> dict[str, Ranks]:
    """Drawings of the classes that a fold holds out, among one or five drawings of every class."""
    folds = unseen.read(predictor.folder, predictor.manifest)
    held = unseen.folds(examples.gallery.labels, len(folds)) if folds else {}
    found = {
        (kind, fold): _left_out(folds[fold], examples, held[fold], each)
        for kind, each in {"unseen": 1, "unseen_five": 5}.items()
        for fold in folds
    }
    kinds = dict.fromkeys(kind for kind, _ in found)
    return {kind: _joined([ranks for (name, _), ranks in found.items() if name == kind]) for kind in kinds}


def _left_out(embeddings: NDArray[np.float32], examples: Split, held: tuple[int, ...], each: int) -> Ranks:
    """`embeddings` are those of every drawing: of train first, of test last."""
    gallery, queries = embeddings[: len(examples.gallery.labels)], embeddings[-len(examples) :]
    rows, asked = retrieval.few(examples.gallery.labels, each, galleries.SEED), np.isin(examples.labels, held)
    return retrieval.ranks(queries[asked], examples.labels[asked], gallery[rows], examples.gallery.labels[rows])


def _joined(parts: list[Ranks]) -> Ranks:
    ranks, precisions = zip(*parts, strict=True)
    return np.concatenate(ranks), np.concatenate(precisions)


def _answers(predictor: Predictor, examples: Split) -> tuple[Answers, NDArray[np.int64]]:
    """The answers by one drawing of each class, and the rows of these in the gallery."""
    embed, rows = _embed(predictor), retrieval.few(examples.gallery.labels, 1, galleries.SEED)
    gallery = embed(examples.gallery.images[rows])
    return retrieval.answers(embed(examples.images), examples.labels, gallery, examples.gallery.labels[rows]), rows


def tables(predictor: Predictor, examples: Split, outcomes: Outcomes) -> dict[str, list[dict[str, Any]]]:
    """Rows to plot: {"classes", "confusion", "reliability", "space"}: the last is the drawings and official pictures by t-SNE."""
    return {**retrieval.tables(_answers(predictor, examples)[0], examples.classes), "space": _space(predictor, examples)}


def _space(predictor: Predictor, examples: Split) -> list[dict[str, Any]]:
    pictures = np.concatenate([examples.gallery.images, examples.images, examples.official.images])
    labels = np.concatenate([examples.gallery.labels, examples.labels, examples.official.labels])
    return retrieval.space(_embed(predictor)(pictures), [examples.classes[label] for label in labels])


def sheets(predictor: Predictor, examples: Split, outcomes: Outcomes) -> dict[str, Image.Image]:
    """Images to look at: {"mistakes", "space"}."""
    answers, rows = _answers(predictor, examples)
    mistakes = retrieval.mistakes(answers, examples.images, examples.gallery.images[rows], examples.classes)
    return {"mistakes": mistakes, "space": retrieval.space_picture(_space(predictor, examples))}
