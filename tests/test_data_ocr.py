"""Transcribed lines become packed splits: whole receipts in one split each, what is said of them, what is refused, what a look notices."""

import io
import json
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import mlcroissant
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as unhurried
from hypothesis import strategies as st
from PIL import Image

from pipelines import configs
from pipelines.datasets import archives, cards, sources, splits
from pipelines.datasets.splits import SPLITS, TooFewGroups
from pipelines.families.ocr import data, embedded, examples
from pipelines.families.ocr.parts import transcribed
from pipelines.families.ocr.parts.transcribed import BadLines, BadTable
from pipelines.lineage import sources as lineage_sources
from pipelines.stages import look

RECEIPTS, LINES = 40, 3
HEAD = "file\ttext\tgroup"
TEXTS = ("TOTAL RM 12.50", '5"X8" (BB-5882)', "é")  # the last one of each receipt has a character that no reader knows


def strip(seed: int, kind: str = "PNG") -> bytes:
    """A grey picture of its own size and content."""
    random = np.random.default_rng(seed)
    stream = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (20 + seed % 7, 60 + seed % 11), np.uint8)).save(stream, kind)
    return stream.getvalue()


def row(receipt: int, line: int) -> str:
    return f"r{receipt:02}_{line}.png\t {TEXTS[line]} \treceipt{receipt:02}"


def write(folder: Path, rows: list[str]) -> None:
    (folder / "labels.tsv").write_text("\n".join([HEAD, *rows, ""]), "utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """lines/labels.tsv and lines/images/ below the mirror: forty receipts of three lines."""
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    (tmp_path / "lines/images").mkdir(parents=True)
    fill(tmp_path / "lines", RECEIPTS)
    return tmp_path / "lines"


def fill(folder: Path, receipts: int) -> None:
    for receipt in range(receipts):
        for line in range(LINES):
            (folder / f"images/r{receipt:02}_{line}.png").write_bytes(strip(LINES * receipt + line))
    write(folder, [row(receipt, line) for receipt in range(receipts) for line in range(LINES)])


@cache
def page() -> configs.Config:
    return configs.compose(["family=ocr", "data.folder=lines"])


def pack(out: Path, **keys: Any) -> dict[str, Any]:
    """The folder packed as the page says, with these keys of `data`."""
    out.mkdir(parents=True)
    return data.prepare(page().model_copy(update={"data": page().data.model_copy(update=keys)}), out)


def packed(out: Path) -> dict[str, list[examples.Line]]:
    return {split: list(examples.load(out, split)) for split in SPLITS}


def groups(out: Path) -> dict[str, set[str]]:
    return {split: {line.group for line in lines} for split, lines in packed(out).items()}


def test_lines_are_packed_in_their_own_size_with_their_texts(folder: Path, tmp_path: Path) -> None:
    card, parts = pack(tmp_path / "out"), packed(tmp_path / "out")
    assert card["counts"] == {split: len(lines) for split, lines in parts.items()}
    assert sum(card["counts"].values()) == RECEIPTS * 2
    for line in (line for lines in parts.values() for line in lines):
        receipt, number = int(line.name[1:3]), int(line.name[4])
        assert (line.text, line.group, line.source) == (TEXTS[number], f"receipt{receipt:02}", "folder")
        np.testing.assert_array_equal(line.picture, np.asarray(Image.open(folder / "images" / line.name)))


def test_a_split_is_read_from_the_disk_not_into_memory(folder: Path, tmp_path: Path) -> None:
    pack(tmp_path / "out")
    split = examples.load(tmp_path / "out", "train")
    assert np.shares_memory(split.pictures[0], split.pictures._content) and isinstance(split.pictures._content.base, np.memmap)
    assert [picture.shape for picture in split.pictures[2:4]] == [split.pictures[2].shape, split.pictures[3].shape]
    assert split.pictures[-1].shape == split.pictures[len(split) - 1].shape


@pytest.mark.parametrize("name", ["all.tar", "all.tar.xz"])
@pytest.mark.parametrize("below", ["", "set"])
def test_a_tar_gives_the_same_data(folder: Path, tmp_path: Path, name: str, below: str) -> None:
    with tarfile.open(tmp_path / name, "w:xz" if name.endswith("xz") else "w") as archive:
        archive.add(folder, below or ".")
    assert pack(tmp_path / "a")["hash"] == pack(tmp_path / "b", folder=name)["hash"]


def test_no_receipt_is_in_two_splits_and_each_keeps_its_own_when_others_come(folder: Path, tmp_path: Path) -> None:
    pack(tmp_path / "few")
    fill(folder, 2 * RECEIPTS)
    pack(tmp_path / "many")
    before, after = groups(tmp_path / "few"), groups(tmp_path / "many")
    assert sum(map(len, before.values())) == len(set.union(*before.values())) == RECEIPTS
    assert all(before[split] < after[split] for split in SPLITS)


@unhurried(deadline=None, max_examples=30)
@given(st.lists(st.text(min_size=1), unique=True), st.floats(0.02, 0.4))
def test_a_place_depends_on_the_name_and_the_shares_alone(names: list[str], valid: float) -> None:
    for name in names:
        before, after = (splits.assigned(name, {"test": 0.2, "valid": share}, "train") for share in (valid, valid + 0.05))
        assert before in SPLITS
        assert before == after or (before, after) == ("train", "valid")


def test_lines_of_one_receipt_leave_nothing_for_the_other_splits(folder: Path, tmp_path: Path) -> None:
    write(folder, [row(0, line) for line in range(2)])
    with pytest.raises(TooFewGroups, match=r"1 groups \(2 examples\) leave nothing for .*Add lines of other pages"):
        pack(tmp_path / "out")


def test_a_limit_takes_from_all_of_a_split(folder: Path, tmp_path: Path) -> None:
    fill(folder, 99)
    card = pack(tmp_path / "out", limit=50)
    assert card["counts"]["train"] == 50
    assert len(groups(tmp_path / "out")["train"]) >= 40


def test_the_card_says_what_was_found_and_what_was_passed_over(folder: Path, tmp_path: Path) -> None:
    card, parts = pack(tmp_path / "out"), packed(tmp_path / "out")
    (source,) = cards.read(tmp_path / "out")["sources"]
    assert source["sha256"] == archives.fingerprint(folder)
    assert (source["licence"], card["description"]) == (page().data.licence, page().data.description)
    assert "MIT" in lineage_sources.checked(source)
    assert card["groups"] == {split: len(found) for split, found in groups(tmp_path / "out").items()}
    assert card["classes"] == {split: data.lengths(line.text for line in lines) for split, lines in parts.items()}
    assert sum(card["classes"]["train"].values()) == card["classes"]["train"]["9 to 16"] == card["counts"]["train"]
    assert set(card["duplicates"].values()) == {0}
    passed_over = card["by_source"]["folder"]["passed_over"]
    assert passed_over["beyond_alphabet"]["characters"] == {"é": RECEIPTS}
    assert passed_over["beyond_alphabet"]["count"] == len(passed_over["beyond_alphabet"]["lines"]) == RECEIPTS
    assert passed_over["broken"] == {"count": 0, "lines": {}}


def test_the_same_picture_in_two_splits_is_told(folder: Path, tmp_path: Path) -> None:
    for receipt in range(RECEIPTS):
        (folder / f"images/r{receipt:02}_0.png").write_bytes(strip(0))
    assert set(pack(tmp_path / "out")["duplicates"].values()) == {1}


def test_croissant_reads_the_metadata(folder: Path, tmp_path: Path) -> None:
    pack(tmp_path / "out")
    dataset = mlcroissant.Dataset(jsonld=json.loads((tmp_path / "out" / cards.CROISSANT).read_text()))
    wanted = {f"{split}{end}" for split in SPLITS for end in (".json", "-pictures.bin")}
    assert {file.name for file in dataset.metadata.distribution} == wanted


BEGUN = f"{HEAD}\nr00_0.png\tA\t0\n"
TABLES = {
    "a column is missing": ("file\ttext\nr00_0.png\tA\n", r"labels\.tsv has no column group; its first row names 'file, text'"),
    "commas": ("file,text,group\nr00_0.png,A,0\n", r"no column file, text, group; .* tab separated"),
    "a quoted head": ('"file"\t"text"\t"group"\n', r"no column .*are quoted"),
    "quoted texts": (f'{BEGUN}r00_1.png\t"5""X8"""\t0\n', r'row 3: "5""X8""" was quoted by a CSV writer'),
    "a tab in a text": (f"{BEGUN}r00_1.png\tA\tB\t0\n", r"row 3: 4 fields, and the first row has 3"),
    "a line break in a text": (f"{BEGUN}r00_1.png\tA\nB\t0\n", r"row 3: 2 fields"),
    "no row": (f"{HEAD}\n", r"no row below its first"),
    "nothing at all": ("", r"no column file, text, group"),
    "a file twice": (f"{BEGUN}r00_0.png\tB\t0\n", r"1 files more than once: r00_0\.png\. Keep one row"),
    "a file twice by another path": (f"{BEGUN}./r00_0.png\tB\t0\n", r"1 files more than once"),
    "no group": (f"{BEGUN}r00_1.png\tB\t \n", r"row 3: no group\. Name the page"),
    "no file": (f"{BEGUN}\tB\t0\n", r"row 3: '' is no image below images/"),
    "a path above": (f"{BEGUN}../labels.tsv\tB\t0\n", r"row 3: '\.\./labels\.tsv' is no image below images/"),
    "a path above by a detour": (f"{BEGUN}a/../../labels.tsv\tB\t0\n", r"is no image below images/"),
    "a path from the root": (f"{BEGUN}/etc/passwd\tB\t0\n", r"row 3: '/etc/passwd' is no image below"),
}


@pytest.mark.parametrize("what", TABLES)
def test_a_bad_table_is_refused_by_row(folder: Path, tmp_path: Path, what: str) -> None:
    content, words = TABLES[what]
    (folder / "labels.tsv").write_text(content)
    with pytest.raises(BadTable, match=words):
        pack(tmp_path / "out", skip_broken=True)


def test_a_table_that_is_not_utf8_is_refused_by_row(folder: Path, tmp_path: Path) -> None:
    (folder / "labels.tsv").write_bytes(f"{BEGUN}r00_1.png\tcafé\t0\n".encode("latin-1"))
    with pytest.raises(BadTable, match=r"row 3: byte 0xe9 is not UTF-8\. .*iconv"):
        pack(tmp_path / "out")


@pytest.mark.parametrize("place", ["elsewhere/deeper/labels.tsv", "labels.csv"])
def test_a_folder_without_a_table_is_named(folder: Path, tmp_path: Path, place: str) -> None:
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    (folder / "labels.tsv").rename(folder / place)
    with pytest.raises(BadTable, match=r"lines holds no labels\.tsv, neither at its root .*Wanted: labels\.tsv"):
        pack(tmp_path / "out")


def test_two_tables_are_named(folder: Path, tmp_path: Path) -> None:
    (folder / "more").mkdir()
    (folder / "more/labels.tsv").write_text(BEGUN)
    with pytest.raises(BadTable, match=r"2 tables: labels\.tsv; more/labels\.tsv\. Name the folder of one"):
        pack(tmp_path / "out")


def test_tables_of_windows_and_spreadsheets_are_read(folder: Path, tmp_path: Path) -> None:
    once = pack(tmp_path / "a")["hash"]
    text = (folder / "labels.tsv").read_text()
    (folder / "labels.tsv").write_bytes("\ufeff".encode() + text.replace("\n", "\r\n").encode() + b"\r\n")
    assert pack(tmp_path / "b")["hash"] == once


def test_marks_in_texts_are_what_they_are(folder: Path, tmp_path: Path) -> None:
    text = (folder / "labels.tsv").read_text().replace("TOTAL RM 12.50", '"TOTAL ""RM"', 1)
    (folder / "labels.tsv").write_text(text)
    pack(tmp_path / "out")
    assert '"TOTAL ""RM"' in {line.text for lines in packed(tmp_path / "out").values() for line in lines}


def huge() -> bytes:
    """A PNG of a few kilobytes that would be 36 megapixels."""
    stream = io.BytesIO()
    Image.new("1", (6000, 6000)).save(stream, "PNG")
    return stream.getvalue()


PICTURES = {
    "text": (b"no picture", r"r00_0\.png is no picture"),
    "half": (strip(0)[:300], r"r00_0\.png is no whole picture"),
    "empty": (b"", r"r00_0\.png is no picture"),
    "flat": (strip(0)[:16] + (60).to_bytes(4, "big") + (2).to_bytes(4, "big") + strip(0)[24:], r"r00_0\.png is no "),
    "huge": (huge(), r"36 megapixels; a line has at most 25"),
    "missing": (None, r"r00_0\.png is not in images/"),
}


@pytest.mark.parametrize("what", PICTURES)
def test_a_picture_that_cannot_be_used_is_named_or_passed_over(folder: Path, tmp_path: Path, what: str) -> None:
    content, words = PICTURES[what]
    path = folder / "images/r00_0.png"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(BadLines, match=rf"1 lines of labels\.tsv cannot be used: .*{words}.*data\.skip_broken=true"):
        pack(tmp_path / "a")
    card = pack(tmp_path / "b", skip_broken=True)
    assert sum(card["counts"].values()) == RECEIPTS * 2 - 1
    assert list(card["by_source"]["folder"]["passed_over"]["broken"]["lines"]) == ["r00_0.png"]


def test_a_line_two_pixels_high_is_no_line() -> None:
    stream = io.BytesIO()
    Image.new("L", (60, 2)).save(stream, "PNG")
    with pytest.raises(ValueError, match="60 x 2 pixels are too few"):
        transcribed._picture(stream.getvalue())


def test_a_line_without_text_is_named(folder: Path, tmp_path: Path) -> None:
    write(folder, ["r00_0.png\t  \treceipt00", *(row(receipt, 1) for receipt in range(RECEIPTS))])
    with pytest.raises(BadLines, match=r"r00_0\.png has no text"):
        pack(tmp_path / "out")


def test_many_bad_lines_are_counted(folder: Path, tmp_path: Path) -> None:
    for path in (folder / "images").iterdir():
        path.unlink()
    with pytest.raises(BadLines, match=rf"{RECEIPTS * LINES} lines .* and {RECEIPTS * LINES - archives.LISTED} more"):
        pack(tmp_path / "out")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    with pytest.raises(sources.MissingData, match=r"lines is not there.*DATA_MIRROR"):
        pack(tmp_path / "a")


@pytest.fixture
def project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without a mirror whose service has kept flags: forty pictures, each its own group, one of them without text."""
    monkeypatch.delenv("DATA_MIRROR")
    monkeypatch.chdir(folder.parent)
    flags = folder.parent / "data/feedback/ocr"
    (flags / "images").mkdir(parents=True)
    for number in range(40):
        flag(flags, number, "" if number == 7 else f"FLAGGED {number}")
    return flags


def flag(folder: Path, number: int, text: str) -> None:
    table = folder / "labels.tsv"
    rows = table.read_text() if table.exists() else f"{HEAD}\n"
    (folder / f"images/{number:064}.jpg").write_bytes(strip(1000 + number, "JPEG"))
    table.write_text(f"{rows}{number:064}.jpg\t{text}\t{number:064}\n")
    (folder / "flags.jsonl").write_text("{}\n" * number)


def test_flags_are_trained_on_beside_the_folder(project: Path, tmp_path: Path) -> None:
    card = pack(tmp_path / "out", sources=["folder", "feedback"])
    assert [source["source"] for source in card["sources"]] == ["folder", "feedback"]
    assert sum(card["by_source"]["feedback"]["lines"].values()) == 40
    assert card["by_source"]["folder"]["lines"]["train"] > 40
    texts = {line.name: line.text for lines in packed(tmp_path / "out").values() for line in lines if line.source == "feedback"}
    assert texts[f"{7:064}.jpg"] == "" and texts[f"{8:064}.jpg"] == "FLAGGED 8"


@pytest.mark.usefixtures("folder")
def test_without_flags_the_error_says_how_they_get_there(tmp_path: Path) -> None:
    with pytest.raises(sources.MissingData, match=r"data/feedback/ocr is not there.*press Flag.*take feedback out of data\.sources"):
        pack(tmp_path / "out", sources=["feedback"])


def test_a_look_sees_a_new_flag(project: Path, tmp_path: Path) -> None:
    own = (Path(__file__).parents[1] / "conf/family/ocr.yaml").read_text()
    for name, text in {"family/ocr.yaml": own, "run/full.yaml": "data: {sources: [feedback]}"}.items():
        (tmp_path / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / name).write_text(text)
    found = []
    for number in (40, 41):
        look.main("ocr", "full")
        found.append(json.loads((tmp_path / "reports/ocr/sources.json").read_text())["feedback"])
        assert found[-1] == {"folder": "data/feedback/ocr", "sha256": archives.fingerprint(project)}
        flag(project, number, "NEW")
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["data.folder=null"], "data.folder must name a folder or tar"),
        (["data.sources=[feedback]", "data.feedback=null"], "data.feedback.path must name the folder of flags"),
    ],
)
def test_a_source_without_its_place_is_refused(words: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        configs.compose(["family=ocr", *words])


def test_generated_lines_repeat_and_come_four_to_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LINES", 280)
    smoke = configs.compose(["family=ocr", "run=smoke", "data.sources=[embedded]"]).data
    found = [pack(tmp_path / name, **dict(smoke)) for name in ("a", "b")]
    assert found[0]["hash"] == found[1]["hash"]
    assert sum(found[0]["counts"].values()) == 280 and min(found[0]["counts"].values()) >= 16
    assert found[0]["duplicates"] == {"train/valid": 0, "train/test": 0, "valid/test": 0}
    assert "passed_over" not in found[0]["by_source"]["embedded"]
    assert all(len(names) == embedded.TOGETHER for names in together(tmp_path / "b").values())


def together(out: Path) -> dict[str, list[str]]:
    lines = [line for split in ("valid", "test") for line in packed(out)[split]]
    return {group: [line.name for line in lines if line.group == group] for group in {line.group for line in lines}}
