"""How an embedding is scored: drawings among one or five of each class, or the official images; one-shot trials on unseen characters."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipelines.families.gravures.examples import Split, Writers
from pipelines.metrics import retrieval
from pipelines.metrics.retrieval import Ranks

SEED = 0  # of the choice of a gallery, and of the trials
EACH = {"one": 1, "five": 5}  # drawings a class in a gallery
WAYS, TRIALS = 20, 400  # of one-shot trials, Lake et al. 2015
Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def ranks(embed: Embed, examples: Split) -> dict[str, Ranks]:
    """{kind: (rank [n] of the right class, precision [n])} for each gallery and kind of trial."""
    queries, gallery = embed(examples.images), examples.gallery
    found = {}
    for kind, each in EACH.items():
        rows = retrieval.few(gallery.labels, each, SEED)
        found[kind] = retrieval.ranks(queries, examples.labels, embed(gallery.images[rows]), gallery.labels[rows])
    if len(examples.official.labels):
        asked = np.isin(examples.labels, examples.official.labels)
        found["official"] = retrieval.ranks(
            queries[asked], examples.labels[asked], embed(examples.official.images), examples.official.labels
        )
    return found | _trials(embed, examples.writers)


def _trials(embed: Embed, writers: Writers) -> dict[str, Ranks]:
    """One-shot trials over all alphabets of the split, and within one, among WAYS characters or as many as there are."""
    embeddings, labels = embed(writers.images), (writers.labels, writers.alphabets, writers.writers)
    found = {}
    for kind, within in (("writers", False), ("writers_within", True)):
        ways = min(WAYS, _most(writers, within))
        found[kind] = retrieval.places(retrieval.one_shot(embeddings, *labels, ways=ways, trials=TRIALS, seed=SEED, within=within))
    return found


def _most(writers: Writers, within: bool) -> int:
    """The number of characters in all alphabets, or in the largest one."""
    characters = {tuple(pair) for pair in zip(writers.alphabets.tolist(), writers.labels.tolist(), strict=True)}
    alphabets = [alphabet for alphabet, _ in characters]
    return max(map(alphabets.count, alphabets)) if within else len(characters)
