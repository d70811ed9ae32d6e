"""Small PDFs, written byte by byte: valid ones, and ones that are broken in many ways. The same bytes every time."""

import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from PIL import Image

from tests import corpus
from tests.corpus import Body

A4 = (595, 842)  # points
KIND = "application/pdf"


def letter(marks: Sequence[tuple[float, float, float, float]], size: tuple[float, float] = A4) -> bytes:
    """A PDF of one page with black rectangles at x, y, w, h in points, y from the top."""
    return paper([ink(marks, size)], size)


def ink(marks: Sequence[tuple[float, float, float, float]], size: tuple[float, float] = A4) -> bytes:
    """The content of a page: black rectangles."""
    return b"".join(b"%g %g %g %g re f\n" % (x, size[1] - y - h, w, h) for x, y, w, h in marks)


def paper(contents: Sequence[bytes], size: tuple[float, float] = A4, extra: bytes = b"") -> bytes:
    """A PDF with one page for each content; `extra` goes into every page's dictionary."""
    kids = b" ".join(b"%d 0 R" % (3 + 2 * number) for number in range(len(contents)))
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(contents), kids)]
    for number, content in enumerate(contents):
        page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %g %g]/Contents %d 0 R%s>>"
        objects += [page % (*size, 4 + 2 * number, extra), stream(content)]
    return file(objects)


def stream(content: bytes, words: bytes = b"") -> bytes:
    """The object of a stream."""
    return b"<</Length %d%s>>\nstream\n%s\nendstream" % (len(content), words, content)


def packed(content: bytes) -> bytes:
    """The object of a stream that is deflated."""
    return stream(zlib.compress(content, 9), b"/Filter/FlateDecode")


def file(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """Objects numbered from 1, their table and the trailer; the first is the catalogue."""
    parts, offsets = [b"%PDF-1.7\n"], []
    for number, content in enumerate(objects, 1):
        offsets.append(sum(map(len, parts)))
        parts.append(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    end = b"trailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, sum(map(len, parts)))
    return b"".join([*parts, head, table, end])


def encrypted() -> bytes:
    """A PDF that asks for a password: RC4 of 40 bits, with random keys."""
    key = b"/Encrypt<</Filter/Standard/V 1/R 2/O<%s>/U<%s>/P -4>>/ID[<00><00>]" % (b"41" * 32, b"42" * 32)
    intact = paper([ink([(50, 50, 100, 100)])])
    return intact.replace(b"/Root 1 0 R", b"/Root 1 0 R" + key)


def scanned(picture: Image.Image) -> bytes:
    """A page that is one picture, as scanners write them."""
    content = np.asarray(picture.convert("L")).tobytes()
    words = b"/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/FlateDecode" % picture.size
    return file(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Contents 4 0 R/Resources<</XObject<</I 5 0 R>>>>>>" % A4,
            stream(b"%d 0 0 %d 0 0 cm /I Do" % A4),
            stream(zlib.compress(content), words),
        ]
    )


def signed() -> bytes:
    """A page whose only ink is the appearance of a filled signature field."""
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 100 50]"
    return file(
        [
            b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[5 0 R]/SigFlags 3>>>>",
            b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Annots[5 0 R]>>",
            stream(b""),
            b"<</Type/Annot/Subtype/Widget/FT/Sig/T(s)/F 132/Rect[100 100 200 150]/P 3 0 R/AP<</N 6 0 R>>>>",
            stream(b"0 0 100 50 re f", form),
        ]
    )


def slow() -> bytes:
    """A page of so many strokes that it takes a quarter of a minute."""
    return paper([strokes(100_000)])


def strokes(count: int) -> bytes:
    """The content of a page: one long line, many times."""
    return b"0 0 m 500 800 l S " * count


def bombs() -> Iterator[Body]:
    """Small to send, large or long to read."""
    large = scanned(Image.new("L", (9, 9))).replace(b"/Width 9/Height 9", b"/Width 30000/Height 30000")
    yield Body("pdf with a picture of 30,000 x 30,000", large, KIND)
    yield Body("pdf with 100 MB of drawing in 100 kB", paper([b""]).replace(stream(b""), packed(b"0 0 9 9 re f " * 8_000_000)), KIND)
    yield Body("pdf with a form in itself", paper([b"/F Do"], extra=b"/Resources<</XObject<</F 5 0 R>>>>").replace(b"xref", b"", 1), KIND)
    yield Body("pdf with deep arrays", paper([b"[" * 500_000]), KIND)
    yield Body("pdf with deep dictionaries", file([b"<</Type/Catalog/Pages 2 0 R/X" + b"[" * 500_000 + b">>"]), KIND)
    yield Body("pdf with deep states", paper([b"q " * 1_000_000]), KIND)


def trees() -> Iterator[Body]:
    """Page trees that are none."""
    catalogue = b"<</Type/Catalog/Pages 2 0 R>>"
    nodes = {
        "no pages": b"<</Type/Pages/Count 0/Kids[]>>",
        "a page tree of itself": b"<</Type/Pages/Count 1/Kids[2 0 R]>>",
        "more pages than there are": b"<</Type/Pages/Count 3/Kids[9 0 R]>>",
        "minus one page": b"<</Type/Pages/Count -1/Kids[9 0 R]>>",
        "two thousand million pages": b"<</Type/Pages/Count 2147483647/Kids[9 0 R]>>",
        "a tree that is a number": b"7",
    }
    yield from (Body(f"pdf with {name}", file([catalogue, node]), KIND) for name, node in nodes.items())


def sizes() -> Iterator[Body]:
    """Pages of sizes that no printer has."""
    for size in [(0, 0), (0.01, 0.01), (1, 14_400), (14_400, 14_400), (1e9, 1e9), (-595, -842), (1e-30, 1e30)]:
        yield Body(f"pdf of {size[0]:g} x {size[1]:g} points", letter([(1, 1, 9, 9)], size), KIND)
    for words in (b"/Rotate 90", b"/Rotate 45", b"/Rotate 999999999999", b"/UserUnit 75000", b"/CropBox[0 0 1e30 1]", b"/MediaBox 7"):
        yield Body(f"pdf with {words.decode()}", paper([ink([(50, 50, 99, 99)])], extra=words), KIND)


def damaged(times: int = 8) -> Iterator[Body]:
    """Valid PDFs cut, flipped and mutated, and files that only begin like a PDF."""
    intact = Body("pdf", letter([(100, 600, 200, 60)]), KIND)
    for body in (intact, intact._replace(name="scan", content=scanned(corpus.noise(40)))):
        yield body
        yield from corpus.cut(body)
        yield from corpus.flipped(body, times)
        yield from corpus.mutated(body, times)
    texts = {"a mark": b"%PDF-", "a mark and an end": b"%PDF-1.7\n%%EOF", "a mark and zeros": b"%PDF-1.7" + bytes(10**6)}
    texts |= {"bytes before": b"\xef\xbb\xbf\n\n" + intact.content, "bytes behind": intact.content + bytes(10**5)}
    texts |= {
        "no table": intact.content.partition(b"xref")[0],
        "another table": intact.content.replace(b"startxref\n", b"startxref\n9"),
    }
    yield from (Body(f"pdf: {name}", content, KIND) for name, content in texts.items())
    yield Body("pdf, encrypted", encrypted(), KIND)
    yield Body("pdf of 500 pages", paper([b""] * 500), KIND)
    yield Body("pdf under a picture's name", intact.content)


GROUPS: dict[str, Callable[[], Iterator[Body]]] = {each.__name__: each for each in (damaged, trees, sizes, bombs)}
