"""Label files as boxes: YOLO's text, Pascal VOC's XML, and GEDI's, the format of the Tobacco-800 ground truth.

Sources: https://github.com/AlexeyAB/darknet#how-to-train-to-detect-your-custom-objects,
http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html, https://tc11.cvc.uab.es/datasets/Tobacco800_1
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from xml.parsers import expat

from pipelines.datasets import boxes
from pipelines.datasets.boxes import BadBox, Boxes

LARGEST = 1_000_000  # bytes of a label file: about ten thousand boxes
MARKS = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"  # byte order marks and blanks, which may come before an XML's first <
ZONE = "DL"  # GEDI calls its zones DLSignature, DLLogo ...
YOLO = "class x_center y_center width height, the last four as fractions of the page"


class BadLabel(ValueError):
    """A malformed label file; the message names the file, the line and the fault."""


class Row(NamedTuple):
    """One labelled box: its line in the file, its class as written, and x, y, w, h in pixels of the page."""

    line: int
    label: str
    box: tuple[float, float, float, float]


@dataclass
class Element:
    """One XML element, without its namespace."""

    name: str
    line: int
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)
    text: str = ""

    def all(self, name: str) -> Iterator["Element"]:
        """Every element of that name below this one, at any depth."""
        for child in self.children:
            if child.name == name:
                yield child
            yield from child.all(name)


class _Fault(ValueError):
    """A fault and its line; read() adds the name of the file."""

    def __init__(self, line: int, words: str) -> None:
        super().__init__(words)
        self.line = line


def read(name: str, content: bytes, height: int, width: int, known: Sequence[str]) -> Boxes:
    """The boxes [k, 4] of a label file of any known format, in pixels of its page of height x width; an empty file has none.

    `known` are the class names, in the order of their indices. Raises BadLabel, naming the file and the line.
    """
    check_size(name, len(content))
    try:
        found = _xml(content, height, width, known) if content.lstrip(MARKS)[:1] == b"<" else _yolo(content, height, width, known)
        return boxes.rows([_inside(row, height, width) for row in found])
    except _Fault as fault:
        raise BadLabel(f"{name}, line {fault.line}: {fault}.") from fault


def check_size(name: str, size: int) -> None:
    """Raises BadLabel for a label file over LARGEST bytes."""
    if size > LARGEST:
        raise BadLabel(f"{name} has {size} bytes; a label file has at most {LARGEST}. Remove it.")


def _inside(row: Row, height: int, width: int) -> Boxes:
    try:
        return boxes.inside(row.box, height, width)
    except BadBox as fault:
        raise _Fault(row.line, f"the box {fault}") from fault


def _yolo(content: bytes, height: int, width: int, known: Sequence[str]) -> Iterator[Row]:
    for line, text in enumerate(_text(content).splitlines(), 1):
        if words := text.split():
            if len(words) != 5:
                raise _Fault(line, f"{len(words)} words, wanted 5: {YOLO}")
            x, y, w, h = (_number(word, line) for word in words[1:])
            yield Row(line, _class(words[0], line, known), ((x - w / 2) * width, (y - h / 2) * height, w * width, h * height))


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Fault(content[: error.start].count(b"\n") + 1, f"byte {error.start} is not UTF-8. Wanted: {YOLO}, or XML") from error


def _number(word: str, line: int) -> float:
    try:
        return float(word)
    except ValueError as error:
        raise _Fault(line, f"{word[:40]!r} is not a number") from error


def _class(word: str, line: int, known: Sequence[str]) -> str:
    """A class by its name or its index."""
    if word in known:
        return word
    if word.isdecimal() and int(word) < len(known):
        return known[int(word)]
    choices = ", ".join(f"{index} ({name})" for index, name in enumerate(known))
    raise _Fault(line, f"class {word[:40]!r} is unknown; known: {choices}")


def _xml(content: bytes, height: int, width: int, known: Sequence[str]) -> Iterator[Row]:
    root = _parsed(content)
    if root.name not in FORMATS:
        raise _Fault(root.line, f"<{root.name}> is no known format; known: {', '.join(f'<{name}>' for name in FORMATS)}")
    yield from FORMATS[root.name](root, height, width, known)


def _voc(root: Element, height: int, width: int, known: Sequence[str]) -> Iterator[Row]:
    for size in root.all("size"):
        _same_page(size, (_only(size, "width").text, _only(size, "height").text), height, width)
    for found in root.all("object"):
        name, box = _only(found, "name"), _only(found, "bndbox")
        left, top, right, bottom = (_number(edge.text, edge.line) for edge in (_only(box, key) for key in ("xmin", "ymin", "xmax", "ymax")))
        yield Row(box.line, _class(name.text, name.line, known), (left, top, right - left, bottom - top))


def _gedi(root: Element, height: int, width: int, known: Sequence[str]) -> Iterator[Row]:
    """Zones of other classes, such as DLLogo, are ignored."""
    pages = list(root.all("DL_PAGE"))
    if len(pages) != 1:
        raise _Fault(root.line, f"{len(pages)} pages (DL_PAGE), wanted one a file")
    _same_page(pages[0], (pages[0].attributes.get("width", "0"), pages[0].attributes.get("height", "0")), height, width)
    for zone in pages[0].all("DL_ZONE"):
        label = _attribute(zone, "gedi_type").removeprefix(ZONE).lower()
        if label in known:
            x, y, w, h = (_number(_attribute(zone, key), zone.line) for key in ("col", "row", "width", "height"))
            yield Row(zone.line, label, (x, y, w, h))


FORMATS = {"annotation": _voc, "GEDI": _gedi}


def _same_page(where: Element, size: tuple[str, str], height: int, width: int) -> None:
    """Tools that do not know the size write 0."""
    found = tuple(_number(word, where.line) for word in size)
    if found not in {(0, 0), (width, height)}:
        raise _Fault(where.line, f"labels of a page of {found[0]:g} x {found[1]:g} pixels, but the image has {width} x {height}")


def _only(above: Element, name: str) -> Element:
    found = [child for child in above.children if child.name == name]
    if len(found) != 1:
        raise _Fault(above.line, f"<{above.name}> has {len(found)} <{name}>, wanted one")
    return found[0]


def _attribute(element: Element, name: str) -> str:
    if name not in element.attributes:
        raise _Fault(element.line, f"<{element.name}> has no {name}")
    return element.attributes[name]


def _parsed(content: bytes) -> Element:
    """The root of an XML file. A document type is rejected, as it may define entities."""
    parser = expat.ParserCreate()
    open_ = [Element("", 0, {})]

    def start(name: str, attributes: dict[str, str]) -> None:
        open_.append(Element(name.rpartition(":")[2], parser.CurrentLineNumber, attributes))
        open_[-2].children.append(open_[-1])

    def end(_: str) -> None:
        found = open_.pop()
        found.text = found.text.strip()

    def text(words: str) -> None:
        open_[-1].text += words

    def doctype(*_: object) -> None:
        raise _Fault(parser.CurrentLineNumber, "a DOCTYPE is not read. Remove it")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, doctype
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise _Fault(error.lineno, f"not XML ({expat.errors.messages[error.code]})") from error
    return open_[0].children[0]
