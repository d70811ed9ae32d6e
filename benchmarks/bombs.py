"""What sixteen bombs of each kind at once add to a service's memory: small to send, large or long to read."""

import io
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx
from PIL import Image

from benchmarks import harness, services

AT_ONCE = 16
LARGE = (4900, 4900)  # pixels: 24 megapixels, as many as digits reads
PAGE = 40  # megapixels that signatures reads


class Bomb(NamedTuple):
    """A family's service, the name of the bomb, its content type and bytes."""

    family: str
    name: str
    kind: str
    content: bytes


def bombs() -> Iterator[Bomb]:
    """One of each kind that is decoded, and of each that is refused before."""
    for mode in ("1", "L", "RGB", "RGBA"):
        yield Bomb("digits", f"png of 24 megapixels, {mode}", "image/png", _encoded(Image.new(mode, LARGE), "PNG"))
    yield Bomb("digits", "jpeg of 24 megapixels", "image/jpeg", _encoded(Image.new("RGB", LARGE), "JPEG", progressive=True))
    yield Bomb("digits", "webp of 24 megapixels", "image/webp", _encoded(Image.new("RGB", LARGE), "WEBP", lossless=True))
    yield Bomb("digits", "png of 400 megapixels", "image/png", _encoded(Image.new("1", (20_000, 20_000)), "PNG"))
    yield Bomb("digits", "json of 250 kB of brackets", "application/json", b"[" * 250_000)
    yield Bomb("signatures", "pdf of 100 MB of drawing in 100 kB", "application/pdf", _pdf(b"0 0 9 9 re f " * 8_000_000))
    yield Bomb("signatures", "pdf of a million states", "application/pdf", _pdf(b"q " * 1_000_000))


def _encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def _pdf(drawing: bytes) -> bytes:
    """A letter with this drawing, compressed."""
    packed = zlib.compress(drawing, 9)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R>>",
        b"<</Length %d/Filter/FlateDecode>>\nstream\n%s\nendstream" % (len(packed), packed),
    ]
    parts = [b"%%PDF-1.7\n", *(b"%d 0 obj\n%s\nendobj\n" % (number, words) for number, words in enumerate(objects, 1))]
    return b"".join([*parts, b"trailer<</Root 1 0 R>>\n"])


def measure() -> Iterator[harness.Row]:
    """Megabytes that the service, and the processes that it starts for documents, hold more at the most."""
    found = list(bombs())
    for family in dict.fromkeys(bomb.family for bomb in found):
        with tempfile.TemporaryDirectory() as scratch:
            service = services.Service(services.ours(family), Path(scratch, "log"))
            try:
                for bomb in (bomb for bomb in found if bomb.family == family):
                    growth, statuses = _growth(service, bomb)
                    name = f"memory under {AT_ONCE} bombs: {bomb.name}"
                    yield harness.row(name, "MB", "less", [growth], statuses=statuses, family=family, bytes=len(bomb.content))
            finally:
                service.stop()


def _growth(service: services.Service, bomb: Bomb) -> tuple[float, dict[str, int]]:
    """Megabytes, and how often each status was answered."""
    before, most, over = service.memory_mb(), [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            most[0] = max(most[0], service.memory_mb())

    watching = threading.Thread(target=watch)
    watching.start()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = list(pool.map(lambda _: _sent(service, bomb), range(AT_ONCE)))
    time.sleep(0.1)
    over.set()
    watching.join()
    return max(0.0, most[0] - before), {status: statuses.count(status) for status in sorted(set(statuses))}


def _sent(service: services.Service, bomb: Bomb) -> str:
    headers = {"Content-Type": bomb.kind}
    try:
        return str(httpx.post(f"{service.address}/predict", content=bomb.content, headers=headers, timeout=120).status_code)
    except httpx.HTTPError as error:
        return type(error).__name__
