"""Pictures and their labels: three formats, a folder or a tar, and everything that can be wrong, by file and line."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.datasets import labelled, labels
from tests.forms import ORIENTATION, encoded

KNOWN = ["signature"]
HEIGHT, WIDTH = 400, 200
BOX = (20, 100, 60, 30)  # x, y, w, h
YOLO = "0 0.25 0.2875 0.3 0.075\n"
VOC = """<annotation>
  <filename>a.png</filename>
  <size><width>200</width><height>400</height><depth>1</depth></size>
  <object>
    <name>signature</name>
    <bndbox>
      <xmin>20</xmin><ymin>100</ymin><xmax>80</xmax><ymax>130</ymax>
    </bndbox>
  </object>
</annotation>
"""
GEDI = """<?xml version="1.0" encoding="UTF-8"?>
<GEDI xmlns="http://lamp.cfar.umd.edu/media/projects/GEDI/" GEDI_version="2.4" GEDI_date="07/29/2013">
  <USER name="someone" date="04/01/2009" dateFormat="mm/dd/yyyy hh:mm"> </USER>
  <DL_DOCUMENT src="a.tif" NrOfPages="1" docTag="xml">
    <DL_PAGE gedi_type="DL_PAGE" src="a.tif" pageID="1" width="200" height="400">
      <DL_ZONE gedi_type="DLLogo" id="None" col="0" row="0" width="50" height="50"> </DL_ZONE>
      <DL_ZONE gedi_type="DLSignature" id="None" col="20" row="100" width="60" height="30" AuthorID="s1" Overlapped="No"> </DL_ZONE>
    </DL_PAGE>
  </DL_DOCUMENT>
</GEDI>
"""
FORMATS = {"yolo.txt": YOLO, "voc.xml": VOC, "gedi.xml": GEDI}


def scan(seed: int = 0, colour: bool = False, **options: object) -> bytes:
    """A page of random grey blocks, 200 wide and 400 high."""
    blocks = np.random.default_rng(seed).integers(100, 256, (HEIGHT // 20, WIDTH // 20), np.uint8).repeat(20, 0).repeat(20, 1)
    page = Image.fromarray(blocks)
    if colour:
        page = page.convert("RGB")
        page.paste((20, 20, 220), (50, 50, 100, 100))
    return encoded(page, "PNG", **options)


def put(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def boxes_of(name: str, text: str | bytes) -> np.ndarray:
    return labels.read(name, text if isinstance(text, bytes) else text.encode(), HEIGHT, WIDTH, KNOWN)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_known_by_its_content(name: str) -> None:
    np.testing.assert_allclose(boxes_of("a.label", FORMATS[name]), [BOX], atol=1e-4)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_xml_in_any_encoding(encoding: str) -> None:
    np.testing.assert_allclose(boxes_of("a.xml", VOC.encode(encoding)), [BOX])


@pytest.mark.parametrize("text", ["", "\n\n", " \r\n"])
def test_an_empty_label_is_a_page_without_boxes(text: str) -> None:
    assert boxes_of("a.txt", text).shape == (0, 4)


def test_yolo_takes_a_name_for_a_number_and_any_line_end() -> None:
    assert len(boxes_of("a.txt", "signature 0.5 0.5 0.2 0.1\r\n\r\n0 0.5 0.5 0.2 0.1\r\n")) == 2


def test_a_size_of_zero_is_one_that_a_tool_did_not_know() -> None:
    text = VOC.replace("<width>200", "<width>0").replace("<height>400", "<height>0")
    np.testing.assert_allclose(boxes_of("a.xml", text), [BOX])


fractions = st.floats(0, 1).map(lambda value: round(value, 6))


@settings(deadline=None)
@given(st.lists(st.tuples(fractions, fractions, fractions, fractions), max_size=4))
def test_what_yolo_says_comes_back_or_is_named(rows: list[tuple[float, float, float, float]]) -> None:
    """Corners as fractions, written and read again."""
    boxes = [(min(a, c), min(b, d), abs(a - c), abs(b - d)) for a, b, c, d in rows]
    text = "".join(f"0 {x + w / 2:.6f} {y + h / 2:.6f} {w:.6f} {h:.6f}\n" for x, y, w, h in boxes)
    try:
        found = boxes_of("a.txt", text)
    except labels.BadLabel as error:
        assert "less than a pixel" in str(error)
    else:
        np.testing.assert_allclose(found / [WIDTH, HEIGHT, WIDTH, HEIGHT], np.reshape(boxes, (-1, 4)), atol=1e-5)


@settings(deadline=None)
@given(
    st.binary(max_size=300)
    | st.sampled_from([VOC, GEDI, YOLO]).flatmap(lambda text: st.integers(0, len(text)).map(lambda at: text[:at].encode()))
)
def test_any_bytes_give_boxes_or_a_bad_label(content: bytes) -> None:
    try:
        assert boxes_of("a.txt", content).shape[1] == 4
    except labels.BadLabel as error:
        assert str(error).startswith("a.txt, line ")


BAD_YOLO = {
    "0 0.5 0.5 0.2": "4 words, wanted 5",
    "0 0.5 0.5 0.2 0.1 0.9": "6 words, wanted 5",
    "1 0.5 0.5 0.2 0.1": r"class '1' is unknown; known: 0 \(signature\)",
    "-1 0.5 0.5 0.2 0.1": "class '-1' is unknown",
    "stamp 0.5 0.5 0.2 0.1": "class 'stamp' is unknown",
    "0 0.5 0.5 wide 0.1": "'wide' is not a number",
    "0 nan 0.5 0.2 0.1": "not all finite numbers",
    "0 0.5 0.5 inf 0.1": "not all finite numbers",
    "0 0.95 0.5 0.2 0.1": "leaves the page, which is 200 x 400 pixels",
    "0 100 200 60 30": "leaves the page",
    "0 0.5 0.5 0 0.1": "less than a pixel",
    "0 0.5 0.5 0.2 -0.1": "less than a pixel",
}


@pytest.mark.parametrize("line", BAD_YOLO)
def test_a_bad_line_is_named_with_its_file(line: str) -> None:
    with pytest.raises(labels.BadLabel, match=rf"labels/a\.txt, line 3: .*{BAD_YOLO[line]}"):
        boxes_of("labels/a.txt", f"{YOLO}\n{line}\n{YOLO}")


def test_rounding_at_the_edge_is_no_fault() -> None:
    np.testing.assert_allclose(boxes_of("a.txt", "0 0.1 0.95 0.2004 0.1001"), [[0, 359.98, 40.04, 40.02]], atol=0.01)


BAD_VOC = {
    ("<name>signature", "<name>stamp"): "line 5: class 'stamp' is unknown",
    ("<xmax>80", "<xmax>280"): "line 6: the box .*leaves the page",
    ("<xmax>80", "<xmax>20"): "line 6: the box .*less than a pixel",
    ("<xmax>80</xmax>", ""): "line 6: <bndbox> has 0 <xmax>",
    ("<xmin>20", "<xmin>left"): "line 7: 'left' is not a number",
    ("<width>200", "<width>2000"): "line 3: labels of a page of 2000 x 400 pixels, but the image has 200 x 400",
    ("<name>signature</name>", ""): "line 4: <object> has 0 <name>",
    ("</object>", ""): "line 10: not XML",
    ("annotation", "drawing"): "line 1: <drawing> is no known format; known: <annotation>, <GEDI>",
}


@pytest.mark.parametrize("change", BAD_VOC, ids=str)
def test_bad_xml_is_named_with_its_line(change: tuple[str, str]) -> None:
    with pytest.raises(labels.BadLabel, match=rf"a\.xml, {BAD_VOC[change]}"):
        boxes_of("a.xml", VOC.replace(*change))


BAD_GEDI = {
    ('row="100" ', ""): "line 7: <DL_ZONE> has no row",
    ('row="100"', 'row="390"'): "line 7: the box .*leaves the page",
    ('width="200"', 'width="2560"'): "line 5: labels of a page of 2560 x 400",
    ("DL_PAGE", "DL_SHEET"): "line 2: 0 pages",
}


@pytest.mark.parametrize("change", BAD_GEDI, ids=str)
def test_bad_ground_truth_is_named_with_its_line(change: tuple[str, str]) -> None:
    with pytest.raises(labels.BadLabel, match=rf"a\.xml, {BAD_GEDI[change]}"):
        boxes_of("a.xml", GEDI.replace(*change))


LAUGHS = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;&b;">]>'
ENTITY = '<!DOCTYPE annotation SYSTEM "file:///etc/passwd">'


@pytest.mark.parametrize("doctype", [LAUGHS, ENTITY])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused(doctype: str, encoding: str) -> None:
    with pytest.raises(labels.BadLabel, match="line 1: a DOCTYPE is not read"):
        boxes_of("a.xml", (doctype + VOC).encode(encoding))


def test_a_huge_label_is_refused_unread() -> None:
    with pytest.raises(labels.BadLabel, match=r"a\.txt has 1200024 bytes; a label file has at most 1000000"):
        boxes_of("a.txt", YOLO * 50001)


LAYOUTS = {
    "beside": {"a.png": scan(1), "a.txt": YOLO, "b.png": scan(2), "b.xml": VOC},
    "sibling": {"images/a.png": scan(1), "labels/a.txt": YOLO, "images/b.png": scan(2), "labels/b.xml": GEDI},
    "voc": {"JPEGImages/a.png": scan(1), "Annotations/a.xml": VOC, "JPEGImages/b.png": scan(2), "Annotations/b.xml": VOC},
    "more": {
        "images/a.png": scan(1),
        "labels/a.txt": YOLO,
        "images/b.png": scan(2),
        "labels/b.txt": YOLO,
        "labels/classes.txt": "signature\n",
        "labels_all/a.txt": "1 0 0 0 0",
        "labels_tight/a.txt": "",
        ".DS_Store": b"",
        "__MACOSX/images/._a.png": b"",
        "README.md": "what this is",
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_and_a_tar_give_the_same_pages(tmp_path: Path, layout: str) -> None:
    folder = put(tmp_path / "folder", LAYOUTS[layout])
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        archive.add(folder, "some/where")
    ours, theirs = (labelled.read(path, KNOWN) for path in (folder, tmp_path / "all.tar"))
    assert [page.name for page in ours] == [page.name for page in theirs] == ["a.png", "b.png"]
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.document, mine.content, mine.height, mine.width) == (other.document, other.content, HEIGHT, WIDTH)
        np.testing.assert_allclose(mine.boxes, [BOX], atol=1e-4)
        np.testing.assert_array_equal(mine.boxes, other.boxes)


def test_folders_of_pictures_keep_their_names_apart(tmp_path: Path) -> None:
    files = {f"images/{part}/a.png": scan(1) for part in ("x", "y")} | {f"labels/{part}/a.txt": "" for part in ("x", "y")}
    assert [page.name for page in labelled.read(put(tmp_path, files), KNOWN)] == ["x/a.png", "y/a.png"]


UNPAIRED = {
    "no label": ({"a.png": scan(), "b.png": scan(), "b.txt": ""}, r"1 files have no label file: a\.png\."),
    "no picture": ({"a.png": scan(), "a.txt": "", "b.txt": ""}, r"1 files label no image: b\.txt\."),
    "lost": ({"a.png": scan(), "a.txt": "", "labels/b.txt": ""}, r"1 files label no image: labels/b\.txt\."),
    "two": ({"a.png": scan(), "a.txt": "", "a.xml": VOC}, r"2 files label an image twice: a\.txt; a\.xml\."),
    "both": ({"images/a.png": scan(), "images/a.txt": "", "labels/a.txt": ""}, r"label an image twice: images/a\.txt; labels/a\.txt\."),
    "nothing": ({"README.md": "soon"}, r"holds no image\. Names of images end in \.bmp"),
}


@pytest.mark.parametrize("case", UNPAIRED)
def test_pictures_and_labels_that_do_not_pair_are_named(tmp_path: Path, case: str) -> None:
    files, words = UNPAIRED[case]
    with pytest.raises(labelled.Unpaired, match=words):
        labelled.read(put(tmp_path, files), KNOWN)


@pytest.mark.parametrize("content", [b"", b"a letter, I believe", scan()[:-200]])
def test_a_broken_picture_is_named(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(labelled.BrokenPicture, match=r"images/a\.png cannot be decoded"):
        labelled.read(put(tmp_path, {"images/a.png": content, "labels/a.txt": ""}), KNOWN)


def test_a_page_that_lies_on_its_side_is_measured_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    lying = encoded(Image.new("L", (HEIGHT, WIDTH), 200), "JPEG", exif=exif)
    (page,) = labelled.read(put(tmp_path, {"a.jpg": lying, "a.txt": YOLO}), KNOWN)
    assert (page.height, page.width) == (HEIGHT, WIDTH)
    np.testing.assert_allclose(page.boxes, [BOX], atol=1e-4)


def test_colour_is_seen(tmp_path: Path) -> None:
    grey = encoded(Image.new("RGB", (WIDTH, HEIGHT), (200, 190, 195)), "JPEG")
    pages = labelled.read(
        put(tmp_path, {"a.png": scan(colour=True), "a.txt": "", "b.png": scan(), "b.txt": "", "c.jpg": grey, "c.txt": ""}), KNOWN
    )
    assert [page.colour for page in pages] == [True, False, False]


DOCUMENTS = {
    "aah97e00-page02_2.jpg": "aah97e00",
    "adh36e00_2.jpg": "adh36e00",
    "letter-3.png": "letter",
    "letter page 12.png": "letter",
    "letter.png": "letter",
    "x/letter_page2.tif": "letter",
    "IMG_20240131.jpg": "IMG_20240131",
    "page2.png": "page2",
    "7.png": "7",
    "lease-2_of_3.png": "lease-2_of",
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_the_name_without_its_page(name: str) -> None:
    assert labelled.document(name, {}) == DOCUMENTS[name]


@pytest.mark.parametrize("place", ["manifest.csv", "images/manifest.csv"])
def test_a_manifest_tells_the_document(tmp_path: Path, place: str) -> None:
    files = {"images/a.png": scan(), "labels/a.txt": "", place: "document,file\nlease 7,a.png\n"}
    assert labelled.read(put(tmp_path, files), KNOWN)[0].document == "lease 7"


BAD_MANIFESTS = {
    "file,document\nb.png,lease\n": r"manifest\.csv names no document for a\.png",
    "file,document\na.png,\n": r"manifest\.csv names no document for a\.png",
    "file,lease\na.png,7\n": r"manifest\.csv is not a table of file and document \(KeyError",
    "file,document\na.png\n": r"manifest\.csv is not a table",
    "": r"manifest\.csv names no document for a\.png",
}


@pytest.mark.parametrize("text", BAD_MANIFESTS)
def test_a_manifest_that_does_not_tell_is_named(tmp_path: Path, text: str) -> None:
    files = {"images/a.png": scan(), "labels/a.txt": "", "manifest.csv": text}
    with pytest.raises(labelled.BadManifest, match=BAD_MANIFESTS[text]):
        labelled.read(put(tmp_path, files), KNOWN)
