"""Images of engravings: the original files, where data/gravures is on this machine, and what was added after training."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response

from pipelines.families.gravures import examples
from pipelines.families.gravures.parts import additions
from pipelines.families.gravures.parts.index import Entry, Match
from serving.pages import routes as page_routes
from serving.problems import Refusal

DATA = Path("data", "gravures")
ABSENT = "The pictures of the data are not on this machine; `dvc repro ingest@gravures` makes them from the data set."
KINDS = ("png", "jpeg", "webp", "gif", "bmp")
FILE = {
    "description": "Successful Response",
    "content": {f"image/{kind}": {"schema": {"type": "string", "format": "binary"}} for kind in KINDS},
}
ADDED = "added/"  # before the name of an added engraving
SHOWN = 80  # characters of a name that a refusal repeats


def name_of(match: Match | Entry) -> str | None:
    """The name of the image that shows a match, or an entry of the index; None where it has none."""
    return f"{ADDED}{match.engraving}" if match.kind == "added" else match.picture


class Added:
    """The images of added engravings; they are read again after a change."""

    def __init__(self) -> None:
        self._stamp: tuple[int, ...] | None = None
        self._files: dict[str, bytes] = {}

    def files(self) -> dict[str, bytes]:
        """{name: PNG, dark on light}; none where the file of additions is damaged, which the model says."""
        if (stamp := additions.stamp()) != self._stamp:
            try:
                names, images = additions.read()
            except additions.BrokenAdditions:
                names, images = [], np.empty((0, 0, 0), np.uint8)
            self._files, self._stamp = {f"{ADDED}{name}": _png(255 - image) for name, image in zip(names, images, strict=True)}, stamp
        return self._files


def _png(image: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


class Pictures:
    """The packed images, whose names are read again after another ingest, and the added ones."""

    def __init__(self, folder: Path = DATA) -> None:
        self.folder, self.added = folder, Added()
        self._stamp, self._names = 0, frozenset[str]()

    def names(self) -> frozenset[str]:
        """The names of all images; none without data/."""
        path = self.folder / examples.PLACES
        try:
            stamp = path.stat().st_mtime_ns
            if stamp != self._stamp:
                self._names, self._stamp = frozenset(json.loads(path.read_text())), stamp
        except FileNotFoundError:
            self._names, self._stamp = frozenset(), 0
        return self._names

    def address(self, name: str | None) -> str | None:
        """The address of an image, relative to the service; None where it has none."""
        return f"picture/{quote(name)}" if name in self.names() or name in self.added.files() else None

    def answer(self, name: str, request: Request) -> Response:
        """The original file, or 304 where the client has it. Raises Refusal 404."""
        content = self._file(name)
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {**page_routes.HEADERS, "ETag": tag}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind(content), headers=headers)

    def _file(self, name: str) -> bytes:
        if added := self.added.files().get(name):
            return added
        if name not in self.names():
            words = f"There is no picture {name[:SHOWN]!r} among {len(self.names())}. Answers of /match have the addresses."
            raise Refusal(404, "no picture", words if self.names() else f"{name[:SHOWN]!r} cannot be shown. {ABSENT}")
        try:
            return examples.picture(self.folder, name)
        except examples.NoPicture as gone:
            raise Refusal(404, "no picture", str(gone)) from gone


def kind(content: bytes) -> str:
    """The media type of an image, read from its header."""
    try:
        found: Any = Image.open(io.BytesIO(content), formats=[kind.upper() for kind in KINDS]).get_format_mimetype()
    except OSError:
        found = None
    return found or "application/octet-stream"
