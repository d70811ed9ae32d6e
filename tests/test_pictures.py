"""Pictures from strangers: every allowed kind is read as it looks, everything else is refused with a reason."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from serving import pictures
from serving.problems import Refusal

MEGAPIXELS = 50
FORMATS = ("PNG", "JPEG", "WEBP")
ORIENTATION = 0x0112  # the EXIF tag
STORED = {  # EXIF orientation: how the upright picture lies in such a file (CIPA DC-008, 4.6.4 A)
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def drawing() -> Image.Image:
    """White, 48 wide and 32 high, with a black square towards the upper left: no turn or mirror of it looks the same."""
    picture = Image.new("L", (48, 32), 255)
    picture.paste(0, (8, 8, 24, 24))
    return picture


def transparent(picture: Image.Image, mode: str) -> Image.Image:
    """The ink of a picture alone, on transparent black."""
    layers = Image.new("LA", picture.size, (0, 0))
    layers.putalpha(picture.point(lambda value: 255 - value))
    return layers.convert(mode)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def turned(picture: Image.Image, orientation: int, kind: str) -> bytes:
    """A file whose EXIF says how to turn it upright."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(picture.transpose(STORED[orientation]), kind, exif=exif)


def deep(picture: Image.Image) -> Image.Image:
    """With 16 bits a pixel."""
    return Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)


def read(content: bytes) -> NDArray[np.uint8]:
    return pictures.grey(pictures.opened(content, MEGAPIXELS))


def refused(content: bytes, limit: float = MEGAPIXELS) -> Refusal:
    with pytest.raises(Refusal) as caught:
        pictures.grey(pictures.opened(content, limit))
    return caught.value


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, *chunks: bytes, colour: int = 0) -> bytes:
    """A PNG by hand: signature, header (8 bits a channel) and these chunks."""
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks)


def rows(width: int, height: int) -> bytes:
    return chunk(b"IDAT", zlib.compress(bytes(height * (width + 1)))) + chunk(b"IEND", b"")


def assert_looks_like_the_drawing(grey: NDArray[np.uint8], error: float = 0) -> None:
    """Within a mean absolute error, in 255ths."""
    assert grey.dtype == np.uint8
    assert grey.shape == (32, 48)
    assert np.abs(grey.astype(int) - np.asarray(drawing())).mean() <= error


def black(mode: str) -> Image.Image:
    """A second frame, which nobody should see."""
    return Image.new(mode, (48, 32), 0)


FORMS: dict[str, Callable[[Image.Image], bytes]] = {
    "png": lambda picture: encoded(picture, "PNG"),
    "png-rgb": lambda picture: encoded(picture.convert("RGB"), "PNG"),
    "png-palette": lambda picture: encoded(picture.convert("P"), "PNG"),
    "png-palette-transparent": lambda picture: encoded(picture.convert("P"), "PNG", transparency=255),
    "png-1-bit": lambda picture: encoded(picture.convert("1"), "PNG"),
    "png-16-bit": lambda picture: encoded(deep(picture), "PNG"),
    "png-rgba": lambda picture: encoded(transparent(picture, "RGBA"), "PNG"),
    "png-grey-alpha": lambda picture: encoded(transparent(picture, "LA"), "PNG"),
    "png-animated": lambda picture: encoded(picture, "PNG", save_all=True, append_images=[black("L")]),
    "jpeg": lambda picture: encoded(picture, "JPEG"),
    "jpeg-rgb": lambda picture: encoded(picture.convert("RGB"), "JPEG"),
    "jpeg-cmyk": lambda picture: encoded(picture.convert("CMYK"), "JPEG"),
    "jpeg-progressive": lambda picture: encoded(picture, "JPEG", progressive=True),
    "webp": lambda picture: encoded(picture.convert("RGB"), "WEBP"),
    "webp-lossless": lambda picture: encoded(picture.convert("RGB"), "WEBP", lossless=True),
    "webp-rgba": lambda picture: encoded(transparent(picture, "RGBA"), "WEBP", lossless=True),
    "webp-animated": lambda picture: encoded(picture.convert("RGB"), "WEBP", save_all=True, append_images=[black("RGB")]),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_allowed_form_is_read_as_it_looks(form: str) -> None:
    assert_looks_like_the_drawing(read(FORMS[form](drawing())), error=3)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("orientation", STORED)
def test_exif_turns_a_picture_upright(orientation: int, kind: str) -> None:
    assert_looks_like_the_drawing(read(turned(drawing().convert("RGB"), orientation, kind)), error=3)


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
