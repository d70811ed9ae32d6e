"""Hostile TIFF files: damaged, endless, oversized, and of rare kinds."""

import struct
from collections.abc import Callable, Iterator

from PIL import Image

from tests import corpus
from tests.corpus import Body
from tests.forms import encoded

KIND = "image/tiff"
COMPRESSIONS = ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4"]


def many(pages: int, picture: Image.Image | None = None, **options: object) -> bytes:
    """The same page, so many times."""
    one = picture or Image.new("L", (32, 32), 255)
    return encoded(one, "TIFF", save_all=True, append_images=[one] * (pages - 1), **options)


def directory(entries: list[tuple[int, int, int, int]], after: int = 0, count: int | None = None) -> bytes:
    """Entries of tag, type, how many values, and value or where they are; then where the next one is."""
    head = struct.pack("<H", len(entries) if count is None else count)
    return head + b"".join(struct.pack("<HHLL", *entry) for entry in entries) + struct.pack("<L", after)


def file(*parts: bytes, first: int = 8) -> bytes:
    return struct.pack("<2sHL", b"II", 42, first) + b"".join(parts)


def page(width: int = 8, height: int = 8, **more: int) -> list[tuple[int, int, int, int]]:
    """The entries of a grey page whose pixels begin with the file."""
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: height, 279: min(width * height, 2**32 - 1)}
    tags |= {int(key.removeprefix("tag")): value for key, value in more.items()}
    return [(tag, 4, 1, value) for tag, value in sorted(tags.items())]


def chained(pages: int) -> bytes:
    """Directories one after the other, by hand: Pillow takes its time for thousands."""
    size = len(directory(page()))
    return file(*(directory(page(), 8 + size * number if number < pages else 0) for number in range(1, pages + 1)), bytes(64))


def damaged() -> Iterator[Body]:
    """Valid files, then the same ones cut, flipped and mutated."""
    for compression in COMPRESSIONS:
        picture = corpus.noise(40).convert("1" if compression == "group4" else "L")
        intact = Body(f"tiff {compression}", many(2, picture, compression=compression), KIND)
        yield intact
        yield from corpus.cut(intact)
        yield from corpus.flipped(intact, 20)
        yield from corpus.mutated(intact, 20)


def oversized() -> Iterator[Body]:
    """Small to send, large or long to read."""
    texts = {
        "of itself": file(directory(page(), 8), bytes(99)),
        "of 60,000 entries": file(directory([(number, 7, 700_000, 0) for number in range(60_000)]), bytes(99)),
        "of 400 entries of 9 MB": file(directory([(number, 7, 9_000_000, 8) for number in range(400)]), bytes(9_000_000)),
        "of two million numbers": file(directory([*page(), (40_000, 3, 2_000_000, 8)]), bytes(4_000_000)),
        "with an exif of 60,000 entries": file(directory([*page(), (34665, 4, 1, 200)]).ljust(192, b"\0"), directory([], count=60_000)),
        "with an exif of itself": file(directory([*page(), (34665, 4, 1, 8)]), bytes(99)),
        "of 100,000 x 100,000": file(directory(page(100_000, 100_000)), bytes(99)),
        "of no pixels": file(directory(page(0, 0)), bytes(99)),
        "with tiles of 2 thousand million": file(directory(page(tag322=2**31 - 1, tag323=2**31 - 1, tag324=8, tag325=99)), bytes(99)),
        "of a billion samples": file(directory(page(tag277=2**30)), bytes(99)),
        "of another compression": file(directory(page(tag259=34_712)), bytes(99)),
        "of no compression there is": file(directory(page(tag259=9)), bytes(99)),
        "without entries": file(directory([]), bytes(99)),
        "that begins behind its end": file(first=2**32 - 1),
        "that begins nowhere": file(first=0),
        "that is a mark": b"II*\0",
        "of 64 bits": b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**63),
        "of 100 pages": many(100),
        "of 5,000 pages": chained(5000),
        "of 24 megapixels, four times": many(4, Image.new("1", corpus.LARGE, 1), compression="group4"),
    }
    yield from (Body(f"tiff {name}", content, KIND) for name, content in texts.items())


def rare() -> Iterator[Body]:
    """Depths, colours and orders that few people send."""
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "I;16", "F"):
        picture = Image.new(mode, (32, 32)) if mode in {"LAB", "I;16", "YCbCr"} else corpus.noise(32).convert(mode)
        yield Body(f"tiff {mode}", encoded(picture, "TIFF"), KIND)
    yield Body("tiff of 64 bits, whole", encoded(corpus.noise(32), "TIFF", big_tiff=True), KIND)
    yield Body("tiff under another name", many(2), "image/png")
    yield Body("png under a tiff's name", corpus.intact("png").content, KIND)


GROUPS: dict[str, Callable[[], Iterator[Body]]] = {f"tiffs, {each.__name__}": each for each in (damaged, oversized, rare)}
