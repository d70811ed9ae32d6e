"""What is served: NumPy and ONNX Runtime, no training framework. The graph divides by 255, and its vectors have length 1."""

import json
import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.families.gravures.parts import additions, index
from pipelines.families.gravures.parts.index import Entry, Match, Space
from pipelines.families.gravures.picture import Convention
from pipelines.models import inference, manifests

Embeddings = NDArray[np.float32]
logger = logging.getLogger("atelier.gravures")


class Predictor:
    """A loaded model folder, and the engravings that were added on this machine, embedded by this model."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.manifest = folder, manifests.verified(folder)
        self.convention = Convention(**self.manifest["preprocessing"])
        self.catalogue: dict[str, Any] = json.loads(manifests.file(folder, self.manifest, "catalogue").read_text())
        self._session = inference.session(manifests.file(folder, self.manifest, "model"))
        self._own = index.read(folder, self.manifest)
        self._refreshing = threading.Lock()
        self._stamp, self._added, self._space = self._loaded()

    @property
    def space(self) -> Space:
        """All engravings with the latest additions; where those are damaged, as before."""
        if self._stamp != additions.stamp():
            with self._refreshing:
                self._refresh(additions.stamp())
        return self._space

    @property
    def added(self) -> list[str]:
        """The names of the added engravings."""
        return self._added

    def predict(self, pictures: NDArray[np.uint8]) -> Embeddings:
        """Images [n, side, side], ink 255 on 0 -> embeddings [n, 256] of length 1."""
        embeddings: Embeddings = self._session.run(None, {"pictures": pictures})[0]
        return embeddings

    def nearest(self, embedding: Embeddings, k: int) -> list[Match]:
        """The k engravings most similar to an embedding [256], best first; all where there are fewer."""
        return self.space.nearest(embedding, k)

    def _refresh(self, stamp: tuple[int, ...]) -> None:
        """Reload the additions, once for each change."""
        if self._stamp == stamp:
            return
        try:
            self._stamp, self._added, self._space = self._loaded()
        except additions.BrokenAdditions:
            self._stamp = stamp
            logger.exception("gravures retains its engravings")

    def _loaded(self) -> tuple[tuple[int, ...], list[str], Space]:
        """The model's own engravings and the added ones."""
        stamp, added = additions.stamp(), additions.read()
        entries, vectors = self._own
        more = [Entry(name, "added", None) for name in added.names]
        return stamp, added.names, Space([*entries, *more], np.concatenate([vectors, self._embedded(added.pictures)]))

    def _embedded(self, pictures: NDArray[np.uint8]) -> Embeddings:
        return self.predict(pictures) if len(pictures) else np.empty((0, self.manifest["output"]["dimensions"]), np.float32)
