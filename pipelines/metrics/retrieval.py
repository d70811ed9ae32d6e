"""How an embedding is scored in retrieval: the rank of the right class, average precision, one-shot accuracy.

Outcomes have a row for each query and kind of gallery: {"kind": [n], "rank": [n], "precision": [n], "query": [n]}. The kinds "one" (a
gallery of one drawing a class), "writers" and "writers_within" (one-shot trials) have figures of their own; others prefix their name.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.metrics.sheets import SHOWN, sheet
from pipelines.metrics.statistics import Rows, reliability, wilson

HEADLINE = "retrieval"  # what the gate compares: seen classes saturate, so half of it is characters of alphabets never trained on
PLAIN, WITHIN = "one", "writers_within"
ONE_SHOT = {"writers": "one_shot_random", WITHIN: "one_shot_within"}
FIRST = (1, 5, 10)  # ranks that are reported
RESAMPLES, SEED = 1000, 0  # of the rows, for the headline's interval
PERPLEXITY = 30.0  # of t-SNE, van der Maaten and Hinton 2008
Outcomes = dict[str, NDArray[Any]]
Embeddings = NDArray[np.float32]
Labels = NDArray[np.integer]
Ranks = tuple[NDArray[np.int64], NDArray[np.float64]]


class NotInGallery(LookupError):
    """Queries whose class the gallery does not have."""


class TooFewDrawings(ValueError):
    """Too few characters or writers for a one-shot trial."""


class Answers(NamedTuple):
    """The nearest member of the gallery to each query: its class, similarity and row; `labels` are the true classes. All [n]."""

    labels: Labels
    said: Labels
    similarity: NDArray[np.float32]
    rows: NDArray[np.int64]


def few(labels: Labels, each: int, seed: int) -> NDArray[np.int64]:
    """Rows of `each` examples a class, all where there are fewer; a class's own choice does not depend on the others."""
    chosen = [np.random.default_rng([seed, int(label)]).permutation(np.flatnonzero(labels == label))[:each] for label in np.unique(labels)]
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


def ranks(queries: Embeddings, labels: Labels, gallery: Embeddings, gallery_labels: Labels) -> Ranks:
    """For each query [n, d] in a gallery [m, d] the rank of its class, from 1, by its best member, and the average precision.

    Manning, Raghavan, Schuetze 2008, 8.4. Of equal similarities the right one comes last, so that a constant embedding finds nothing.
    Raises NotInGallery.
    """
    _known(labels, gallery_labels)
    order = np.argsort(gallery_labels, kind="stable")
    classes, starts = np.unique(gallery_labels[order], return_index=True)
    similarities = _similarities(queries, gallery[order])
    best = np.maximum.reduceat(similarities, starts, axis=1)
    own = best[np.arange(len(labels)), np.searchsorted(classes, labels)]
    relevant = np.asarray(labels)[:, None] == gallery_labels[order]
    precision = [_precision(row, right) for row, right in zip(similarities, relevant, strict=True)]
    return (best >= own[:, None]).sum(1), np.array(precision, float)


def _known(labels: Labels, gallery_labels: Labels) -> None:
    if missing := sorted(set(np.unique(labels).tolist()) - set(np.unique(gallery_labels).tolist())):
        raise NotInGallery(
            f"The gallery lacks {len(missing)} classes of the queries, such as {', '.join(map(str, missing[:5]))}. "
            "Add a member of each, or leave these queries out."
        )


def _similarities(queries: Embeddings, gallery: Embeddings) -> NDArray[np.float32]:
    """Cosine of unit vectors [n, m]; NaN is similar to nothing."""
    return np.nan_to_num(queries @ gallery.T, nan=-np.inf)


def _precision(similarities: NDArray[np.float32], relevant: NDArray[np.bool_]) -> float:
    """Mean over the relevant members of the share of relevant ones among all that are as similar."""
    right = np.sort(similarities[relevant])
    as_similar = len(similarities) - np.searchsorted(np.sort(similarities), right)
    return float(((len(right) - np.searchsorted(right, right)) / as_similar).mean())


def one_shot(
    embeddings: Embeddings,
    labels: Labels,
    alphabets: Labels,
    writers: Labels,
    ways: int = 20,
    trials: int = 400,
    seed: int = 0,
    within: bool = False,
) -> NDArray[np.int64]:
    """The rank [trials] of the true character among `ways` (Lake, Salakhutdinov, Tenenbaum 2015).

    In a trial one writer draws all characters (of one alphabet with `within`), and another draws one of them, the query. A character
    that the first has not drawn is taken from a third. Arrays have a row for each drawing. Raises TooFewDrawings.
    """
    random = np.random.default_rng(seed)
    drawn = _drawn(labels, writers)
    groups = _groups(drawn, labels, alphabets, ways, within)
    return np.array([_place(embeddings, [drawn[name] for name in _few(random, groups, ways)], random) for _ in range(trials)])


def _drawn(labels: Labels, writers: Labels) -> dict[int, dict[int, int]]:
    """{character: {writer: row}} of the characters that two have drawn."""
    drawn: dict[int, dict[int, int]] = {}
    for row, (label, writer) in enumerate(zip(labels.tolist(), writers.tolist(), strict=True)):
        drawn.setdefault(label, {}).setdefault(writer, row)
    return {label: rows for label, rows in sorted(drawn.items()) if len(rows) > 1}


def _groups(drawn: dict[int, dict[int, int]], labels: Labels, alphabets: Labels, ways: int, within: bool) -> list[list[int]]:
    """The characters that a trial chooses among: all, or those of each alphabet with `ways` or more."""
    home = dict(zip(labels.tolist(), alphabets.tolist(), strict=True))
    groups = [[label for label in drawn if home[label] == alphabet] for alphabet in sorted(set(home.values()))] if within else [list(drawn)]
    if not (large := [group for group in groups if len(group) >= ways]):
        most = max((len(group) for group in groups), default=0)
        where = "one alphabet" if within else "all alphabets"
        raise TooFewDrawings(f"ways={ways}, but {where} has at most {most} characters drawn by two writers. Choose fewer ways.")
    return large


def _few(random: np.random.Generator, groups: list[list[int]], ways: int) -> list[int]:
    group = groups[int(random.integers(len(groups)))]
    return random.choice(group, ways, replace=False).tolist()


def _place(embeddings: Embeddings, characters: list[dict[int, int]], random: np.random.Generator) -> int:
    """The rank of the first character, by the drawing of a random writer."""
    writers = random.permutation(sorted({writer for rows in characters for writer in rows})).tolist()
    asking = next(writer for writer in writers if writer in characters[0])
    support = [next(rows[writer] for writer in writers if writer in rows and writer != asking) for rows in characters]
    similarities = _similarities(embeddings[[characters[0][asking]]], embeddings[support])[0]
    return int((similarities >= similarities[0]).sum())


def outcomes(parts: Mapping[str, Ranks]) -> Outcomes:
    """Rows of all kinds, from {kind: (rank [n], precision [n])}."""
    sizes = [len(rank) for rank, _ in parts.values()]
    return {
        "kind": np.repeat(list(parts), sizes),
        "rank": np.concatenate([rank for rank, _ in parts.values()]),
        "precision": np.concatenate([precision for _, precision in parts.values()]),
        "query": np.concatenate([np.arange(size) for size in sizes]),
    }


def places(rank: NDArray[np.int64]) -> Ranks:
    """Ranks of one-shot trials with their precision, for outcomes()."""
    return rank, 1 / rank


def headline(outcomes: Outcomes) -> float:
    """The mean of mAP with a gallery of one drawing a class, and of one-shot accuracy within an alphabet.

    Of a resample with rows of one kind alone that figure; with none 0.
    """
    kind = outcomes["kind"]
    figures = (outcomes["precision"][kind == PLAIN], outcomes["rank"][kind == WITHIN] == 1)
    there = [float(figure.mean()) for figure in figures if len(figure)]
    return sum(there) / len(there) if there else 0.0


def metrics(outcomes: Outcomes) -> dict[str, float]:
    """The headline and top1 with its 95 % interval, top5, top10 and map of each kind, "one" without a prefix; one-shot accuracy."""
    low, high = interval(outcomes)
    figures = {HEADLINE: headline(outcomes), f"{HEADLINE}_low": low, f"{HEADLINE}_high": high}
    for kind in dict.fromkeys(outcomes["kind"].tolist()):
        rows = outcomes["kind"] == kind
        figures |= _figures(kind, outcomes["rank"][rows], outcomes["precision"][rows])
    return figures


def interval(outcomes: Outcomes) -> tuple[float, float]:
    """95 % interval of the headline: percentiles over resamples of the rows of each kind (Efron 1979)."""
    random, kind = np.random.default_rng(SEED), outcomes["kind"]
    figures = (outcomes["precision"][kind == PLAIN], outcomes["rank"][kind == WITHIN] == 1)
    means = [figure[random.integers(0, len(figure), (RESAMPLES, len(figure)))].mean(1) for figure in figures if len(figure)]
    low, high = np.quantile(np.mean(means, 0), [0.025, 0.975]) if means else (0.0, 0.0)
    return float(low), float(high)


def _figures(kind: str, rank: NDArray[np.int64], precision: NDArray[np.float64]) -> dict[str, float]:
    right = float((rank == 1).mean())
    low, high = wilson(right, len(rank))
    if kind in ONE_SHOT:
        return {ONE_SHOT[kind]: right, f"{ONE_SHOT[kind]}_low": low, f"{ONE_SHOT[kind]}_high": high}
    prefix = "" if kind == PLAIN else f"{kind}_"
    top = {f"{prefix}top{place}": float((rank <= place).mean()) for place in FIRST}
    return {**top, f"{prefix}map": float(precision.mean()), f"{prefix}top1_low": low, f"{prefix}top1_high": high}


def answers(queries: Embeddings, labels: Labels, gallery: Embeddings, gallery_labels: Labels) -> Answers:
    """The nearest member of the gallery [m, d] to each query [n, d]."""
    similarities = _similarities(queries, gallery)
    rows = similarities.argmax(1)
    return Answers(labels, gallery_labels[rows], similarities[np.arange(len(rows)), rows], rows)


def tables(answers: Answers, names: Sequence[str]) -> dict[str, Rows]:
    """Rows to plot: {"classes": recall of each class among the queries, "confusion", "reliability"}."""
    pairs = zip(answers.labels.tolist(), answers.said.tolist(), strict=True)
    return {
        "classes": [_class_row(names[label], answers.said[answers.labels == label] == label) for label in np.unique(answers.labels)],
        "confusion": [{"actual": names[true], "predicted": names[said]} for true, said in pairs],
        "reliability": reliability(answers.similarity, answers.said == answers.labels),
    }


def _class_row(name: str, right: NDArray[np.bool_]) -> dict[str, Any]:
    return {"class": name, "examples": len(right), "recall": float(right.mean())}


def mistakes(answers: Answers, images: NDArray[np.uint8], gallery_images: NDArray[np.uint8], names: Sequence[str]) -> Image.Image:
    """Queries [n, side, side] beside their nearest of the gallery [m, side, side] where that is of another class, most similar first."""
    wrong = np.flatnonzero(answers.said != answers.labels)
    worst = wrong[np.argsort(-answers.similarity[wrong], kind="stable")][:SHOWN]
    captions = [f"{names[answers.said[row]]} {answers.similarity[row]:.2f}\nis {names[answers.labels[row]]}" for row in worst]
    title = f"{len(wrong)} of {len(images)} drawings have a nearest one of another class; the {len(worst)} most similar."
    return sheet(title, [_pair(images[row], gallery_images[answers.rows[row]]) for row in worst], captions, tile=2 * images.shape[1])


def _pair(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two squares side by side in a square."""
    half = len(left) // 2
    return np.pad(np.hstack([left, right]), ((half, len(left) - half), (0, 0)))


def space(embeddings: Embeddings, names: Sequence[str]) -> Rows:
    """The embeddings [n, d], n of 3 or more, laid out in a plane by t-SNE: rows of x, y, class. The same each time on one machine."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):  # several threads would add in a random order
        layout = TSNE(perplexity=min(PERPLEXITY, (len(embeddings) - 1) / 3), init="pca", random_state=0).fit_transform(embeddings)
    return [{"x": round(float(x), 3), "y": round(float(y), 3), "class": name} for (x, y), name in zip(layout, names, strict=True)]


def space_picture(rows: Rows) -> Image.Image:
    """The rows of space() as points, a colour for each class and its name at the middle of its points."""
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 12), layout="tight")
    canvas: Any = FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    axes.set_axis_off()
    names = sorted({row["class"] for row in rows})
    for number, name in enumerate(names):
        points = np.array([(row["x"], row["y"]) for row in rows if row["class"] == name])
        axes.scatter(*points.T, s=14, color=colormaps["hsv"](number / len(names)), linewidths=0)
        axes.text(*np.median(points, axis=0), name, fontsize=8, ha="center")
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
