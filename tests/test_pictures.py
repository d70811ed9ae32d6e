"""Pictures from strangers: every allowed kind is read as it looks, everything else is refused with a reason."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from serving.inputs import pictures
from serving.problems import Refusal
from tests.corpus import black, chunk, exif, png, rows
from tests.forms import FORMS, ORIENTATION, STORED, deep, drawing, encoded, transparent, turned

MEGAPIXELS = 50
FORMATS = ("PNG", "JPEG", "WEBP")


def read(content: bytes) -> NDArray[np.uint8]:
    return pictures.grey(pictures.opened(content, MEGAPIXELS))


def refused(content: bytes, limit: float = MEGAPIXELS) -> Refusal:
    with pytest.raises(Refusal) as caught:
        pictures.grey(pictures.opened(content, limit))
    return caught.value


def assert_looks_like_the_drawing(grey: NDArray[np.uint8], error: float = 0) -> None:
    """Within a mean absolute error, in 255ths."""
    assert grey.dtype == np.uint8
    assert grey.shape == (32, 48)
    assert np.abs(grey.astype(int) - np.asarray(drawing())).mean() <= error


@pytest.mark.parametrize("form", FORMS)
def test_every_allowed_form_is_read_as_it_looks(form: str) -> None:
    assert_looks_like_the_drawing(read(FORMS[form](drawing())), error=3)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("orientation", STORED)
def test_exif_turns_a_picture_upright(orientation: int, kind: str) -> None:
    assert_looks_like_the_drawing(read(turned(drawing().convert("RGB"), orientation, kind)), error=3)


@pytest.mark.parametrize("colour", [0, 2])
def test_exif_after_the_pixels_turns_a_picture_too(colour: int) -> None:
    plain, end = black((48, 32), colour), chunk(b"IEND", b"")
    content = plain.removesuffix(end) + chunk(b"eXIf", exif(6)) + end
    decode = pictures.colour if colour else pictures.grey
    assert [decode(pictures.opened(file, MEGAPIXELS)).shape[:2] for file in (plain, content)] == [(32, 48), (48, 32)]


@pytest.mark.parametrize(
    ("picture", "kind"),
    [
        pytest.param(transparent(drawing(), "RGBA"), "PNG", id="png-rgba"),
        pytest.param(transparent(drawing(), "RGBA"), "WEBP", id="webp-rgba"),
        pytest.param(transparent(drawing(), "LA"), "PNG", id="png-grey-alpha"),
        pytest.param(deep(drawing()), "PNG", id="png-16-bit"),
        pytest.param(drawing().convert("P"), "PNG", id="png-palette"),
        pytest.param(drawing().convert("1"), "PNG", id="png-1-bit"),
        pytest.param(drawing().convert("CMYK"), "JPEG", id="jpeg-cmyk"),
    ],
)
def test_exif_turns_every_mode_upright(picture: Image.Image, kind: str) -> None:
    assert_looks_like_the_drawing(read(turned(picture, 6, kind)), error=3)


@pytest.mark.parametrize("kind", FORMATS)
def test_large_sides_are_reduced(kind: str) -> None:
    assert read(encoded(Image.new("L", (3000, 1500), 255), kind)).shape == (pictures.WORKING_SIDE // 2, pictures.WORKING_SIDE)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
@pytest.mark.parametrize("kind", FORMATS)
def test_the_thinnest_pictures_are_read(kind: str, size: tuple[int, int]) -> None:
    assert min(read(encoded(Image.new("L", size, 255), kind)).shape) == 1


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("form", FORMS)
def test_a_truncated_file_is_refused(form: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 48), np.uint8))
    whole = FORMS[form](noise)
    assert refused(whole[: int(len(whole) * share)]).status in {415, 422}


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
@settings(deadline=None, max_examples=60, derandomize=True)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(form: str, data: st.DataObject) -> None:
    content = bytearray(FORMS[form](drawing()))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    try:
        assert read(bytes(content)).dtype == np.uint8
    except Refusal as refusal:
        assert refusal.status in {413, 415, 422}


@pytest.mark.parametrize("side", [7072, 8000, 20_000])
def test_a_huge_picture_is_refused_from_its_header(side: int) -> None:
    content = png(side, side, chunk(b"IDAT", b""))
    assert len(content) < 100
    refusal = refused(content)
    assert refusal.status == 413
    assert f"{side} x {side}" in refusal.detail
    assert "50 megapixels" in refusal.detail


@pytest.mark.parametrize("kind", FORMATS)
def test_too_many_pixels_are_refused_by_the_limit_of_the_page(kind: str) -> None:
    content = encoded(Image.new("L", (40, 30), 255), kind)
    assert pictures.opened(content, limit_megapixels=0.0012).size == (40, 30)
    refusal = refused(content, limit=0.00119)
    assert refusal.status == 413
    assert "40 x 30" in refusal.detail
    assert "0.00119 megapixels" in refusal.detail


@pytest.mark.parametrize(
    "content",
    [
        encoded(drawing(), "GIF"),
        encoded(drawing(), "BMP"),
        encoded(drawing(), "TIFF"),
        encoded(drawing(), "ICO"),
        encoded(drawing(), "PPM"),
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>',
        b"a seven, I believe",
        b"%PDF-1.7\n",
        b"\x89PNG\r\n\x1a\n",
        b"\0" * 100,
        b"",
    ],
    ids=["gif", "bmp", "tiff", "ico", "ppm", "svg", "text", "pdf", "png-signature", "zeros", "nothing"],
)
def test_another_kind_is_refused(content: bytes) -> None:
    refusal = refused(content)
    assert refusal.status == 415
    assert "PNG, JPEG or WebP" in refusal.detail
    assert repr(content[:8]) in refusal.detail


@pytest.mark.parametrize(
    "content",
    [
        png(4, 3, rows(4, 3), colour=3),
        png(4, 3, chunk(b"IDAT", b"no zlib stream"), chunk(b"IEND", b"")),
        png(4, 3, chunk(b"IDAT", b""), chunk(b"fdAT", b"x")),
    ],
    ids=["palette-missing", "not-compressed", "frame-broken"],
)
def test_a_png_that_breaks_its_own_rules_is_refused(content: bytes) -> None:
    assert refused(content).status == 422


@pytest.mark.parametrize("length", range(0, 40, 2))
def test_broken_exif_never_raises_anything_but_a_refusal(length: int) -> None:
    exif = b"MM\0*" + struct.pack(">IHHHIHHHHII", 8, 2, ORIENTATION, 3, 1, 1, 0, 0x010E, 2, 9, 100)
    content = png(4, 3, chunk(b"eXIf", exif[:length]), rows(4, 3))
    try:
        assert read(content).shape == (3, 4)
    except Refusal as refusal:
        assert refusal.status == 422


def test_a_compressed_text_that_swells_is_refused() -> None:
    content = png(4, 3, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**7))), rows(4, 3))
    assert len(content) < 20_000
    assert refused(content).status == 415


def test_a_jpeg_of_very_many_scans_is_refused_before_it_is_decoded() -> None:
    assert read(scanned(pictures.SCANS)).shape == (32, 48)
    refusal = refused(scanned(pictures.SCANS + 1))
    assert refusal.status == 422
    assert "101 scans" in refusal.detail


def scanned(times: int) -> bytes:
    """A progressive JPEG whose last scan is repeated until it has so many."""
    plain = encoded(drawing(), "JPEG", progressive=True)
    scan = plain[plain.rindex(b"\xff\xda") : -2]
    return plain[:-2] + scan * (times - plain.count(b"\xff\xda")) + plain[-2:]


def test_what_takes_long_to_decode_is_not_light() -> None:
    small = encoded(drawing(), "PNG")
    texts = PngInfo()
    texts.add_text("comment", "x" * 1000, zip=True)
    assert pictures.light(small)
    assert pictures.light(b"no picture at all")
    assert not pictures.light(encoded(Image.new("1", (2000, 2000)), "PNG"))
    assert not pictures.light(scanned(pictures.LIGHT_SCANS + 1))
    assert not pictures.light(encoded(drawing(), "PNG", pnginfo=texts))
    assert not pictures.light(small + bytes(pictures.LIGHT_BYTES))


def test_of_a_png_with_two_headers_the_last_one_counts() -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2000, 2000, 8, 0, 0, 0, 0))
    content = png(1, 1, header, rows(2000, 2000))
    assert Image.open(io.BytesIO(content)).size == (2000, 2000)
    assert not pictures.light(content)
