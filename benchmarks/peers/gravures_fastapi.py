"""The champion's network, index and catalogue behind FastAPI and uvicorn, as a small service of its own would have them, all in memory.

Pictures are brought as ours are. Lenses are those of the picture itself, or of the pictures that show the class.
"""

import io
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from fastapi import FastAPI, UploadFile
from PIL import Image

from pipelines.families.gravures.parts import index
from pipelines.families.gravures.picture import Convention
from pipelines.models import manifests

LENSES = 20  # of a match, as ours


class Matcher:
    """One ONNX Runtime session, one matrix of embeddings, one dictionary of lenses."""

    def __init__(self, folder: Path) -> None:
        manifest = manifests.read(folder)
        self.convention = Convention(**manifest["preprocessing"])
        self.session = onnxruntime.InferenceSession(manifests.file(folder, manifest, "model"), providers=["CPUExecutionProvider"])
        self.entries, self.vectors = index.read(folder, manifest)
        self.lenses = _lenses(json.loads(manifests.file(folder, manifest, "catalogue").read_text()))

    def match(self, content: bytes, k: int) -> dict[str, Any]:
        """The k engravings most like a picture."""
        grey = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
        embedding = self.session.run(None, {"pictures": self.convention.from_grey(grey)[None]})[0][0]
        similarities = self.vectors @ embedding
        return {"success": True, "matches": self._ranked(similarities, k)}

    def _ranked(self, similarities: Any, k: int) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for row in np.argsort(-similarities):
            entry = self.entries[row]
            if len(found) == k:
                break
            lenses = self.lenses[entry.engraving]
            told = {"engraving": entry.engraving, "similarity": round(float(similarities[row]), 4), "lenses": lenses[:LENSES]}
            found.setdefault(entry.engraving, {"rank": len(found) + 1, **told, "lenses_total": len(lenses)})
        return list(found.values())


def _lenses(catalogue: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """{engraving: the lenses that bear it}."""
    shows = {picture["picture"]: picture["class"] for picture in catalogue["pictures"]}
    bearing: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for lens in catalogue["lenses"]:
        told = {key: lens[key] for key in ("verre_id", "name", "index_code")}
        for name in filter(None, (lens["picture"], shows.get(lens["picture"]))):
            bearing[name].append(told)
    return bearing


def in_threads() -> FastAPI:
    """POST /match, multipart field `image`: a plain function, which FastAPI runs in a thread."""
    matcher, app = Matcher(Path(os.environ["PEER_MODEL"])), FastAPI()

    @app.post("/match")
    def match(image: UploadFile, k: int = 10) -> Any:
        return matcher.match(image.file.read(), k)

    return app


def on_the_loop() -> FastAPI:
    """The same where the event loop itself does the work."""
    matcher, app = Matcher(Path(os.environ["PEER_MODEL"])), FastAPI()

    @app.post("/match")
    async def match(image: UploadFile, k: int = 10) -> Any:
        return matcher.match(await image.read(), k)

    return app
