"""Hostile input, made when asked for: broken, oversized and rare pictures, JSON and multipart bodies. The same bytes every time."""

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from tests.forms import ORIENTATION, encoded

SEED = 20  # of everything random here
KILOBYTE = 1024
BOUNDARY = b"frontier"
FORM = f"multipart/form-data; boundary={BOUNDARY.decode()}"
LARGE = (4800, 5000)  # pixels: 24 megapixels, just under the limit of 25


class Body(NamedTuple):
    """What is sent to an endpoint."""

    name: str
    content: bytes
    kind: str = "image/png"

    @property
    def is_picture(self) -> bool:
        return self.kind.startswith("image/")


FORMATS: dict[str, tuple[str, str, dict[str, object]]] = {  # name: Pillow's name, media type, options
    "png": ("PNG", "image/png", {}),
    "jpeg": ("JPEG", "image/jpeg", {"quality": 95}),
    "jpeg-progressive": ("JPEG", "image/jpeg", {"quality": 95, "progressive": True}),
    "webp": ("WEBP", "image/webp", {"quality": 95}),
    "webp-lossless": ("WEBP", "image/webp", {"lossless": True}),
    "gif": ("GIF", "image/gif", {}),
    "tiff": ("TIFF", "image/tiff", {}),
    "tiff-lzw": ("TIFF", "image/tiff", {"compression": "tiff_lzw"}),
    "bmp": ("BMP", "image/bmp", {}),
    "ppm": ("PPM", "image/x-portable-pixmap", {}),
    "ico": ("ICO", "image/x-icon", {}),
    "tga": ("TGA", "image/x-tga", {}),
    "pcx": ("PCX", "image/x-pcx", {}),
    "dds": ("DDS", "image/vnd-ms.dds", {}),
    "qoi": ("QOI", "image/qoi", {}),
    "sgi": ("SGI", "image/sgi", {}),
    "mpo": ("MPO", "image/mpo", {}),
    "jpeg2000": ("JPEG2000", "image/jp2", {}),
    "avif": ("AVIF", "image/avif", {}),
}
READ = ("png", "jpeg", "jpeg-progressive", "webp", "webp-lossless", "mpo")  # an MPO begins with a complete JPEG


def written() -> list[str]:
    """The formats that this Pillow writes: JPEG 2000 and AVIF are not in every build."""
    Image.init()
    return [name for name, (kind, _, _) in FORMATS.items() if kind in Image.SAVE]


def noise(side: int, mode: str = "RGB") -> Image.Image:
    """Nothing compresses it: a file has about as many bytes as the picture has."""
    return Image.frombytes(mode, (side, side), np.random.default_rng(SEED).bytes(side * side * len(Image.new(mode, (1, 1)).getbands())))


def intact(name: str, side: int = 96) -> Body:
    """A good picture in one format."""
    kind, media_type, options = FORMATS[name]
    return Body(name, encoded(noise(side), kind, **options), media_type)


def cut(body: Body) -> Iterator[Body]:
    """Truncated at every kilobyte, and by its last byte."""
    for size in [*range(0, len(body.content), KILOBYTE), len(body.content) - 1]:
        yield body._replace(name=f"{body.name} cut at {size} bytes", content=body.content[:size])


def flipped(body: Body, times: int) -> Iterator[Body]:
    """With one to eight bytes changed at random."""
    random = np.random.default_rng([SEED, len(body.content)])
    for number in range(times):
        content = bytearray(body.content)
        for place in random.integers(0, len(content), random.integers(1, 9)):
            content[place] = random.integers(0, 256)
        yield body._replace(name=f"{body.name} flipped {number}", content=bytes(content))


def mutated(body: Body, times: int) -> Iterator[Body]:
    """With a random slice taken out, repeated, or replaced by noise; often in the header, where it matters."""
    random = np.random.default_rng([SEED, len(body.content), times])
    for number in range(times):
        start = int(len(body.content) * random.random() ** 3)
        end = start + int(random.integers(1, 64))
        middle = [b"", body.content[start:end] * int(random.integers(2, 50)), random.bytes(end - start)][number % 3]
        yield body._replace(name=f"{body.name} mutated {number}", content=body.content[:start] + middle + body.content[end:])


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, *chunks: bytes, colour: int = 0, depth: int = 8) -> bytes:
    """A PNG written byte by byte: signature, header and these chunks."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks)


def rows(width: int, height: int, bits: int = 8) -> bytes:
    """The black pixels of a PNG of so many bits a pixel, and its end."""
    squeezer = zlib.compressobj(1)
    row = bytes(1 + (width * bits + 7) // 8)
    return chunk(b"IDAT", b"".join(squeezer.compress(row) for _ in range(height)) + squeezer.flush()) + chunk(b"IEND", b"")


def black(size: tuple[int, int], colour: int = 0, depth: int = 8, *chunks: bytes) -> bytes:
    """A complete black PNG: tiny as a file, and as large in memory as its header says."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    return png(*size, *chunks, rows(*size, samples * depth), colour=colour, depth=depth)


def segment(marker: int, content: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg(*segments: bytes) -> bytes:
    """A small JPEG with these segments before its own."""
    plain = encoded(noise(32), "JPEG")
    return plain[:2] + b"".join(segments) + plain[2:]


def scans(size: tuple[int, int], megabytes: float) -> bytes:
    """A progressive JPEG that repeats its last, nearly empty, scan: each repetition is a walk over all pixels."""
    plain = encoded(Image.new("L", size, 255), "JPEG", progressive=True)
    scan = plain[plain.rindex(b"\xff\xda") : -2]
    return plain[:-2] + scan * (int(megabytes * 1e6 - len(plain)) // len(scan)) + plain[-2:]


def webp(width: int, height: int) -> bytes:
    """The header of an extended, animated WebP that claims a size."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + sides


def animated(kind: str, frames: int) -> bytes:
    pictures = [Image.new("RGB", (32, 32), (number % 256, number // 256, 99)) for number in range(frames)]
    return encoded(pictures[0], kind, save_all=True, append_images=pictures[1:])


def exif(orientation: int) -> bytes:
    """One entry, written byte by byte: Pillow would not write every value."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, ORIENTATION, 3, 1, orientation, 0, 0)


def oversized_exif(entries: int, size: int) -> bytes:
    """Every entry claims the same bytes, nearly all there are: read naively, entries x size bytes of memory."""
    table = b"".join(struct.pack(">HHII", 1000 + number, 7, size - 200, 100) for number in range(entries))
    return (b"MM\0*" + struct.pack(">IH", 8, entries) + table).ljust(size, b"\0")


def originals() -> Iterator[Body]:
    """A good picture in every format."""
    yield from map(intact, written())


def truncations(side: int = 96) -> Iterator[Body]:
    """Every format, cut at every kilobyte."""
    for name in written():
        yield from cut(intact(name, side))


def flips(times: int = 10) -> Iterator[Body]:
    """Every format with a few bytes changed."""
    for name in written():
        yield from flipped(intact(name, 32), times)


def mutations(times: int = 10) -> Iterator[Body]:
    """The formats that are read, with slices taken out, repeated or replaced."""
    for name in READ:
        yield from mutated(intact(name, 64), times)


def claims() -> Iterator[Body]:
    """Headers that claim what is not there: huge sides, no sides at all."""
    for width, height in [(100_000, 100_000), (2**31 - 1, 1), (2**32 - 1, 2**32 - 1), (0, 0), (0, 9), (9, 0)]:
        yield Body(f"png of {width} x {height}", png(width, height, rows(9, 9)))
    start = (plain := encoded(noise(32), "JPEG")).index(b"\xff\xc0") + 5
    for height, width in [(65_535, 65_535), (0, 32), (32, 0), (65_500, 1)]:
        size = struct.pack(">HH", height, width)
        yield Body(f"jpeg of {width} x {height}", plain[:start] + size + plain[start + 4 :], "image/jpeg")
    for side in (1 << 24, 65_535, 16_383, 1):
        yield Body(f"webp of {side} x {side}", webp(side, side), "image/webp")


def bombs() -> Iterator[Body]:
    """Small to send, large to read; the sizes here cost little, large_bombs() goes to the limits."""
    zeros = zlib.compress(bytes(10**7), 9)
    yield Body("png of 400 megapixels in 50 kB", black((20_000, 20_000), depth=1))
    yield Body("png of 24 megapixels", black(LARGE))
    for name, content in {"zTXt": b"a\0\0" + zeros, "iTXt": b"a\0\1\0\0\0" + zeros, "iCCP": b"a\0\0" + zeros}.items():
        yield Body(f"png with a {name} of 10 MB in 10 kB", png(9, 9, chunk(name.encode(), content), rows(9, 9)))
    yield Body(
        "png with 64 zTXt", png(9, 9, *[chunk(b"zTXt", b"a%d\0\0" % n + zlib.compress(bytes(10**6))) for n in range(70)], rows(9, 9))
    )
    yield Body("png with 50,000 chunks", png(9, 9, chunk(b"abCd", b"") * 50_000, rows(9, 9)))
    yield Body("png with pixels left over", png(9, 9, rows(3000, 3000)))
    yield Body("jpeg with 90,000 segments", jpeg(segment(0xFE, b"") * 90_000), "image/jpeg")
    yield Body("jpeg with 500 kB of padding", jpeg(b"\xff" * 500_000), "image/jpeg")
    yield Body("jpeg with 20,000 scans", scans(LARGE, 1), "image/jpeg")


def large_bombs() -> Iterator[Body]:
    """As large as the limits of a body and of a picture allow."""
    for name, (colour, depth) in {"rgb": (2, 8), "grey-alpha": (4, 8), "rgba": (6, 8), "16-bit": (0, 16), "16-bit rgba": (6, 16)}.items():
        yield Body(f"png of 24 megapixels, {name}", black(LARGE, colour, depth))
    yield Body("png of 24 megapixels, transparent palette", black(LARGE, 3, 8, chunk(b"PLTE", bytes(768)), chunk(b"tRNS", bytes(256))))
    for size in [(24_000_000, 1), (1, 24_000_000)]:
        yield Body(f"png of {size[0]} x {size[1]}", black(size))
    for name in ("jpeg", "jpeg-progressive", "webp", "webp-lossless"):
        kind, media_type, options = FORMATS[name]
        yield Body(
            f"{name} of 24 megapixels", encoded(Image.linear_gradient("L").resize(LARGE).convert("RGB"), kind, **options), media_type
        )
    yield Body("jpeg of 24 megapixels, cmyk", encoded(Image.new("CMYK", LARGE), "JPEG"), "image/jpeg")
    yield Body("png with 800,000 chunks", png(9, 9, chunk(b"abCd", b"") * 800_000, rows(9, 9)))
    yield Body("png with 400,000 texts", png(9, 9, *[chunk(b"tEXt", b"%d\0" % n) for n in range(400_000)], rows(9, 9)))
    yield Body("jpeg with 2 million segments", jpeg(segment(0xE5, b"") * 2_000_000), "image/jpeg")
    yield Body("jpeg with 9 MB of padding", jpeg(b"\xff" * 9_000_000), "image/jpeg")
    yield Body("jpeg of 9 MB of scans", scans(LARGE, 9), "image/jpeg")
    yield Body("png with an exif of 9 MB", png(9, 9, chunk(b"eXIf", oversized_exif(60_000, 9_000_000)), rows(9, 9)))


def exifs() -> Iterator[Body]:
    """Every orientation, ones that do not exist, and EXIF that is none or too much, in each format that holds it."""
    plain = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
    turns = {f"orientation {value}": exif(value) for value in (*range(10), 65_535)}
    others = {"garbage": noise(9).tobytes(), "empty": b"", "cut": exif(6)[:15], "oversized": oversized_exif(4000, 60_000)}
    for name, content in {**turns, **others}.items():
        for kind, media_type in plain.items():
            yield Body(f"{kind} with exif {name}", encoded(noise(32), kind, exif=b"Exif\0\0" + content), media_type)
    parts = oversized_exif(5000, 600_000)
    pieces = [segment(0xE1, b"Exif\0\0" + parts[at : at + 65_000]) for at in range(0, len(parts), 65_000)]
    yield Body("jpeg with exif in ten parts", jpeg(*pieces), "image/jpeg")
    yield Body("jpeg with an oversized index of pictures", jpeg(segment(0xE2, b"MPF\0" + oversized_exif(5000, 65_000))), "image/jpeg")


def modes() -> Iterator[Body]:
    """Depths, colours and shapes that few people send."""
    deep = Image.fromarray(np.random.default_rng(SEED).integers(0, 2**16, (32, 32)).astype(np.uint16))
    yield Body("png of 16 bits", encoded(deep, "PNG"))
    yield Body("png of 16 bits, rgb", black((32, 32), colour=2, depth=16))
    for mode in ("1", "L", "LA", "P", "RGBA"):
        yield Body(f"png {mode}", encoded(noise(32).convert(mode), "PNG"))
    yield Body("png palette, transparent", encoded(noise(32).convert("P"), "PNG", transparency=bytes(range(256))))
    yield Body("png palette too short", png(9, 9, chunk(b"PLTE", bytes(3)), chunk(b"IDAT", zlib.compress(b"\0" + b"\xff" * 9)), colour=3))
    cmyk = encoded(noise(32).convert("CMYK"), "JPEG")
    yield Body("jpeg cmyk", cmyk, "image/jpeg")
    yield Body("jpeg ycck", ycck(cmyk), "image/jpeg")
    for size in [(1, 1), (1, 20_000), (20_000, 1)]:
        for kind in ("PNG", "JPEG") + (("WEBP",) if max(size) < 16_384 else ()):
            yield Body(f"{kind} of {size[0]} x {size[1]}", encoded(Image.new("L", size), kind), f"image/{kind.lower()}")
    yield Body("png animated", animated("PNG", 300))
    yield Body("webp animated", animated("WEBP", 300), "image/webp")
    yield Body("gif animated", animated("GIF", 300), "image/gif")


def ycck(cmyk: bytes) -> bytes:
    """The colours of a CMYK JPEG, said to be YCCK: the last byte of its Adobe segment."""
    end = cmyk.index(b"Adobe") + 12
    return cmyk[: end - 1] + b"\2" + cmyk[end:]


def polyglots() -> Iterator[Body]:
    """Two kinds in one file, and files that are no pictures at all."""
    picture = intact("png").content
    prefixes = {
        "pdf": b"%PDF-1.7\n",
        "html": b"<!doctype html><script>alert(1)</script>",
        "zip": b"PK\3\4",
        "gif": b"GIF89a",
        "bom": b"\xef\xbb\xbf",
    }
    for name, other in {**prefixes, "elf": b"\x7fELF", "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}.items():
        yield Body(f"{name}, then png", other + picture)
        yield Body(f"png, then {name}", picture + other)
        yield Body(name, other)
    yield Body("png in jpeg", intact("jpeg").content + picture, "image/jpeg")
    yield Body("html in a png", png(9, 9, chunk(b"tEXt", b"Comment\0" + prefixes["html"]), rows(9, 9)))
    yield Body("nothing", b"")
    yield Body("zeros", bytes(10**6))


def documents(size: int = 10**6) -> Iterator[Body]:
    """JSON of about `size` bytes that is deep, long, wide, or not quite JSON."""
    keys = ",".join(f'"{number:x}":0' for number in range(size // 12))
    texts = {
        "deep": b"[" * size,
        "deep and closed": b'{"image":' + b"[" * (size // 2) + b"]" * (size // 2) + b"}",
        "deep objects": b'{"image":' * (size // 9),
        "a long integer": b'{"image":' + b"9" * size + b"}",
        "a long fraction": b'{"image":0.' + b"9" * size + b"}",
        "a large exponent": b'{"image":[[1e999999999]]}',
        "a long string": b'{"image":"' + b"x" * size + b'"}',
        "a long key": b'{"' + b"x" * size + b'":0}',
        "many escapes": b'{"image":"' + rb"\u0000" * (size // 6) + b'"}',
        "half a surrogate": rb'{"image":"\ud800","\udfff":1}',
        "many lists": b'{"image":[' + b"[]," * (size // 3) + b"[]]}",
        "many objects": b'{"image":[' + b'{"":0},' * (size // 7) + b"{}]}",
        "many keys": b"{" + keys.encode() + b"}",
        "one key, many times": b"{" + b'"image":0,' * (size // 10) + b'"image":0}',
        "utf-16": json.dumps({"image": []}).encode("utf-16"),
        "utf-32": json.dumps({"image": []}).encode("utf-32"),
        "not utf-8": b'{"image":"\xff\xc0\x80"}',
        "nul": b'{"image":\0}',
        "white space": b" " * size,
        "two documents": b"{}{}",
        "comments": b'{"image":/* a seven */[]}',
        "rows of strings": json.dumps({"image": [["x" * (size // 784)] * 28] * 28}).encode(),
        "minus zero": json.dumps({"image": [[-0.0] * 28] * 28}).encode(),
        "tiny numbers": json.dumps({"image": [[5e-324] * 28] * 28}).encode(),
    }
    yield from (Body(f"json: {name}", content, "application/json") for name, content in texts.items())


def part(headers: bytes, content: bytes = b"seven") -> bytes:
    return b"--" + BOUNDARY + b"\r\n" + headers + b"\r\n\r\n" + content + b"\r\n"


def disposition(name: bytes, filename: bytes) -> bytes:
    return b'Content-Disposition: form-data; name="' + name + b'"; filename="' + filename + b'"'


def forms(size: int = 10**6) -> Iterator[Body]:
    """Multipart bodies of about `size` bytes that break the rules."""
    end, picture, image = b"--" + BOUNDARY + b"--\r\n", intact("png", 32).content, disposition(b"image", b"a.png")
    field = part(b'Content-Disposition: form-data; name="f"')
    names = b"".join(part(b'Content-Disposition: form-data; name="%d%s"' % (number, b"x" * 3000)) for number in range(8))
    texts = {
        "a thousand fields": field * 1000 + end,
        "many long names": names + end,
        "a thousand files": part(image, picture) * 1000 + end,
        "no end": part(image, picture),
        "cut in a header": part(image)[:40],
        "no parts": end,
        "only line ends": b"\r\n" * (size // 2),
        "only dashes": b"-" * size,
        "carriage returns": part(image, b"\r" * size) + end,
        "nearly boundaries": part(image, (b"\r\n--" + BOUNDARY[:-1]) * (size // 11)) + end,
        "a huge header": part(image + b"\r\nX: " + b"x" * size, picture) + end,
        "a huge header name": part(image + b"\r\n" + b"x" * size + b": x", picture) + end,
        "many headers": part(image + b"\r\nX: x" * (size // 6), picture) + end,
        "a huge name": part(disposition(b"\1" * size, b"a.png"), picture) + end,
        "nested": part(image + b"\r\nContent-Type: multipart/mixed; boundary=y", b"--y\r\n\r\n" + picture + b"\r\n--y--") + end,
        "base64": part(image + b"\r\nContent-Transfer-Encoding: base64", b"iVBORw0KGgo=") + end,
        "no disposition": part(b"X: x", picture) + end,
        "no name": part(b"Content-Disposition: form-data", picture) + end,
        "a name without an end": part(b'Content-Disposition: form-data; name="image', picture) + end,
        "many parameters": part(image + b'; a="1"' * (size // 7), picture) + end,
        "a coded name": part(b"Content-Disposition: form-data; name*=bogus''%ff; filename*=bogus''%ff%00", picture) + end,
        "after the end": part(image, picture) + end + b"x" * size,
    }
    filenames = [b"a\0.png", b"../../etc/passwd", rb"..\..\boot.ini", b"/dev/zero", b"CON", b"a\r\n.png", b"\xff\xfe", b"x" * 5000, b""]
    texts |= {f"filename {name[:20]!r}": part(disposition(b"image", name), picture) + end for name in filenames}
    yield from (Body(f"form: {name}", content, FORM) for name, content in texts.items())
    kinds = ["undefined", "rot13", "zlib", "idna", "utf-16", "punycode", "x" * 1000]
    yield from (Body(f"form: charset {kind[:20]}", part(image, picture) + end, f"{FORM}; charset={kind}") for kind in kinds)
    yield from (Body(f"form: {kind[20:60]}", part(image, picture) + end, kind) for kind in boundaries())


def boundaries() -> Iterator[str]:
    """Content types whose boundary is missing, empty, long or quoted."""
    for word in (
        "",
        "; boundary",
        "; boundary=",
        '; boundary=""',
        '; boundary="',
        "; boundary=" + "x" * 5000,
        f'; boundary="{BOUNDARY.decode()}"',
    ):
        yield "multipart/form-data" + word


QUICK: dict[str, Callable[[], Iterator[Body]]] = {
    each.__name__: each for each in (truncations, flips, mutations, claims, bombs, exifs, modes, polyglots, documents, forms)
}
LONG: dict[str, Callable[[], Iterator[Body]]] = {
    "truncations": lambda: truncations(200),
    "flips": lambda: flips(100),
    "mutations": lambda: mutations(500),
    "large bombs": large_bombs,
    "documents": lambda: documents(9_900_000),
    "forms": lambda: forms(9_000_000),
}
