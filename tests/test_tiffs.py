"""JPEG in TIFF: each strip is a JPEG with its own scan, and all together are one picture."""

import io

import numpy as np
import pytest
from PIL import Image

from pipelines import configs
from serving.inputs import pictures, tiffs
from serving.problems import Refusal
from tests import corpus
from tests import tiffs as made
from tests.forms import encoded

LIMITS = configs.serving("ocr")
A4 = Image.effect_noise((2480, 3508), 20)  # 300 dpi


def test_a_scan_of_300_dpi_is_read_however_many_strips_it_has() -> None:
    content = encoded(A4, "TIFF", compression="jpeg", tiffinfo={278: 16})
    assert content.count(b"\xff\xda") > 2 * pictures.SCANS
    page = tiffs.grey(tiffs.opened(content, 0, LIMITS), 512)
    assert page.shape[0] <= 512
    assert abs(float(page.mean()) - float(np.asarray(A4).mean())) < 2


def test_a_strip_of_very_many_scans_is_refused() -> None:
    inflated = corpus.scans((64, 64), 0.01)
    assert inflated.count(b"\xff\xda") > pictures.SCANS
    tags = [(256, 64), (257, 64), (258, 8), (259, 7), (262, 1), (273, 8), (277, 1), (278, 64), (279, len(inflated))]
    content = hostile(inflated, tags)
    with pytest.raises(Refusal, match="scans; at most 100 are read"):
        tiffs.opened(content, 0, LIMITS)


def test_strips_that_lie_over_each_other_are_refused() -> None:
    content = bytearray(encoded(A4, "TIFF", compression="jpeg", tiffinfo={278: 16}))
    picture = Image.open(io.BytesIO(bytes(content)))
    sizes = picture.tag_v2[279]  # type: ignore[attr-defined]
    at = content.index(b"".join(size.to_bytes(4, "little") for size in sizes[:8]))
    content[at : at + 4] = len(content).to_bytes(4, "little")
    with pytest.raises(Refusal, match="lie over each other"):
        tiffs.opened(bytes(content), 0, LIMITS)


def hostile(pixels: bytes, tags: list[tuple[int, int]]) -> bytes:
    """A TIFF of one page whose only strip are these bytes, 8 bytes from its beginning."""
    return made.file(pixels, made.directory([(tag, 4, 1, value) for tag, value in tags]), first=8 + len(pixels))
