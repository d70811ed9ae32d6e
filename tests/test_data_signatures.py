"""Scanned pages become packed splits: whole documents in one split each, what is said of them, and what a look notices."""

import functools
import io
import json
import tarfile
from pathlib import Path

import mlcroissant
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines import configs
from pipelines.artifacts import cache
from pipelines.datasets import archives, cards, labelled, labels, sources
from pipelines.datasets.splits import SPLITS, TooFewGroups
from pipelines.families.signatures import data, embedded, examples
from pipelines.lineage import sources as lineage_sources
from pipelines.stages import look

LETTERS, PAGES = 30, 2
HEIGHT, WIDTH = 310, 240
YOLO = "0 0.5 0.8 0.25 0.1\n"  # x 90, y 232.5, w 60, h 31
VOC = (
    "<annotation><size><width>240</width><height>310</height></size><object><name>signature</name>"
    "<bndbox><xmin>90</xmin><ymin>232</ymin><xmax>150</xmax><ymax>263</ymax></bndbox></object></annotation>"
)
GEDI = (
    '<GEDI><DL_DOCUMENT><DL_PAGE width="240" height="310"><DL_ZONE gedi_type="DLLogo"/>'
    '<DL_ZONE gedi_type="DLSignature" col="90" row="232" width="60" height="31"/></DL_PAGE></DL_DOCUMENT></GEDI>'
)
LABELS = {0: ("txt", YOLO), 1: ("xml", VOC), 2: ("xml", GEDI), 3: ("txt", "")}
SAID = "{path: letters, description: Thirty letters., licence: CC0, citation: nobody}"


def scan(seed: int) -> bytes:
    blocks = np.random.default_rng(seed).integers(100, 256, (31, 24), np.uint8).repeat(10, 0).repeat(10, 1)
    stream = io.BytesIO()
    Image.fromarray(blocks).save(stream, "PNG")
    return stream.getvalue()


def add(folder: Path, letter: int, pages: int = PAGES) -> None:
    """A letter of so many pages, its labels in one of the formats; every fourth has no signature."""
    suffix, text = LABELS[letter % 4]
    for page in range(1, pages + 1):
        name = f"letter{letter:02}-page{page}"
        (folder / f"images/{name}.png").write_bytes(scan(100 * letter + page))
        (folder / f"labels/{name}.{suffix}").write_text(text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """letters/images/ and letters/labels/ below the mirror: thirty letters of two pages, all formats."""
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    for name in ("images", "labels"):
        (tmp_path / "letters" / name).mkdir(parents=True)
    for letter in range(LETTERS):
        add(tmp_path / "letters", letter)
    return tmp_path / "letters"


def pack(out: Path, *words: str, said: str = SAID) -> dict[str, object]:
    out.mkdir(parents=True)
    own = ["~data.folders.tobacco800", "~data.folders.gsa", f"data.folders.letters={said}"]
    return data.prepare(configs.compose(["family=signatures", *own, *words]), out)


def packed(out: Path) -> dict[str, list[examples.Page]]:
    return {split: examples.load(out, split).pages for split in SPLITS}


def documents(out: Path) -> dict[str, set[str]]:
    return {split: {page.document for page in pages} for split, pages in packed(out).items()}


def test_pages_are_packed_as_they_came_with_boxes_in_pixels(folder: Path, tmp_path: Path) -> None:
    card = pack(tmp_path / "out")
    parts = packed(tmp_path / "out")
    assert card["counts"] == {split: len(pages) for split, pages in parts.items()}
    assert sum(card["counts"].values()) == LETTERS * PAGES
    for page in (page for pages in parts.values() for page in pages):
        assert page.content == (folder / "images" / page.name).read_bytes()
        assert (page.source, page.height, page.width) == ("letters", HEIGHT, WIDTH)
        wanted = [[90, 232, 60, 31]] if int(page.document[-2:]) % 4 < 3 else np.empty((0, 4))
        np.testing.assert_allclose(page.boxes, wanted, atol=0.51)


def test_a_tar_below_any_folder_gives_the_same_data(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as archive:
        archive.add(folder, "some/where")
    assert pack(tmp_path / "a")["hash"] == pack(tmp_path / "b", said=SAID.replace("letters,", "all.tar.gz,"))["hash"]


def test_no_document_is_in_two_splits(folder: Path, tmp_path: Path) -> None:
    pack(tmp_path / "out")
    found = list(documents(tmp_path / "out").values())
    assert all(found)
    assert sum(map(len, found)) == len(set.union(*found)) == LETTERS


def test_a_document_keeps_its_split_when_others_come(folder: Path, tmp_path: Path) -> None:
    pack(tmp_path / "few")
    for letter in range(LETTERS, 2 * LETTERS):
        add(folder, letter, 1)
    pack(tmp_path / "many")
    before, after = documents(tmp_path / "few"), documents(tmp_path / "many")
    assert all(before[split] < after[split] for split in SPLITS)


PAGE = functools.cache(lambda: configs.compose(["family=signatures"]).data)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(min_size=1), unique=True), st.floats(0.05, 0.6), st.floats(0.05, 0.35))
def test_a_place_depends_on_the_name_and_the_shares_alone(names: list[str], train: float, valid: float) -> None:
    page = PAGE().model_copy(update={"train": train, "valid": valid, "pinned": {"a": "test"}})
    more = page.model_copy(update={"train": min(0.64, train + 0.02)})
    for name in names:
        assert data._split_of(page, name) in ({"test"} if name == "a" else set(SPLITS))
        assert data._split_of(page, name) != "train" or data._split_of(more, name) == "train"


def test_a_pinned_document_is_where_the_page_says(folder: Path, tmp_path: Path) -> None:
    for index, split in enumerate(SPLITS):
        card = pack(tmp_path / str(index), f"++data.pinned={{letter07: {split}}}")
        assert "letter07" in documents(tmp_path / str(index))[split]
        assert card["pinned"]["letter07"] == split


def test_the_lease_of_fifty_pages_is_pinned_to_train() -> None:
    page = PAGE()
    assert data._split_of(page, "gsa_LAL45056") == "train"
    assert page.pinned == {"gsa_LAL45056": "train"}


def test_a_manifest_keeps_pages_of_other_names_together(folder: Path, tmp_path: Path) -> None:
    rows = "".join(f"{path.name},lease{index % 20:02}\n" for index, path in enumerate(sorted((folder / "images").iterdir())))
    (folder / "manifest.csv").write_text(f"file,document\n{rows}")
    pack(tmp_path / "out")
    assert set.union(*documents(tmp_path / "out").values()) == {f"lease{index:02}" for index in range(20)}


def test_pages_of_one_document_leave_nothing_for_the_other_splits(folder: Path, tmp_path: Path) -> None:
    rows = "".join(f"{path.name},lease\n" for path in (folder / "images").iterdir())
    (folder / "manifest.csv").write_text(f"file,document\n{rows}")
    with pytest.raises(TooFewGroups, match=r"1 groups \(60 examples\) leave nothing for .*data\.pinned"):
        pack(tmp_path / "out")


def test_a_limit_takes_from_all_of_a_split(folder: Path, tmp_path: Path) -> None:
    card = pack(tmp_path / "out", "data.limit=10")
    train = packed(tmp_path / "out")["train"]
    assert card["counts"]["train"] == len(train) == 10
    assert len({page.document for page in train}) >= 8


def test_the_card_says_what_the_page_says_and_what_was_found(folder: Path, tmp_path: Path) -> None:
    card, parts = pack(tmp_path / "out"), packed(tmp_path / "out")
    (source,) = cards.read(tmp_path / "out")["sources"]
    assert (card["description"], source["licence"], source["sha256"]) == ("Thirty letters.", "CC0", archives.fingerprint(folder))
    assert card["classes"] == {split: {"signature": sum(len(page.boxes) for page in pages)} for split, pages in parts.items()}
    assert card["documents"] == {split: len(found) for split, found in documents(tmp_path / "out").items()}
    assert card["duplicates"] == {"train/valid": 0, "train/test": 0, "valid/test": 0}
    facts = card["by_source"]["letters"]
    assert (facts["pages"], facts["documents"], facts["colour"]) == (card["counts"], card["documents"], 0)
    assert facts["per_page"] == {"0": 14, "1": 46}
    assert len(facts["width"]) == len(facts["height"]) == 11
    assert facts["width"][0] == facts["width"][10] == 60 / WIDTH


def test_the_same_page_in_two_documents_is_told(folder: Path, tmp_path: Path) -> None:
    for letter in range(LETTERS):
        (folder / f"images/letter{letter:02}-page1.png").write_bytes(scan(0))
    assert set(pack(tmp_path / "out")["duplicates"].values()) == {1}


def test_croissant_reads_the_metadata(folder: Path, tmp_path: Path) -> None:
    pack(tmp_path / "out")
    dataset = mlcroissant.Dataset(jsonld=json.loads((tmp_path / "out" / cards.CROISSANT).read_text()))
    assert {file.name for file in dataset.metadata.distribution} == {f"{split}.{kind}" for split in SPLITS for kind in ("bin", "json")}


BAD = {
    "labels/letter00-page1.txt": (f"{YOLO}0 0.95 0.5 0.2 0.1\n", labels.BadLabel, r"labels/letter00-page1\.txt, line 2: the box .*leaves"),
    "labels/letter01-page1.xml": (VOC.replace("signature", "stamp"), labels.BadLabel, r"letter01-page1\.xml, line 1: class 'stamp'"),
    "labels/letter02-page2.xml": (GEDI.replace('row="232"', 'row="300"'), labels.BadLabel, r"letter02-page2\.xml, line 1: the box"),
    "images/letter03-page1.png": ("no picture", labelled.BrokenPicture, r"images/letter03-page1\.png cannot be decoded"),
    "labels/letter99.txt": ("", labelled.Unpaired, r"label no image: labels/letter99\.txt"),
    "images/letter99.png": ("", labelled.Unpaired, r"no label file: images/letter99\.png"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_by_name(folder: Path, tmp_path: Path, name: str) -> None:
    text, kind, words = BAD[name]
    (folder / name).write_text(text)
    with pytest.raises(kind, match=words):
        pack(tmp_path / "out")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    with pytest.raises(sources.MissingData, match=r"letters.*DATA_MIRROR"):
        pack(tmp_path / "out")


@pytest.mark.slow
def test_drawn_letters_repeat_and_have_signatures_in_every_split(tmp_path: Path) -> None:
    found = [pack(tmp_path / name, "data.sources=[embedded]", "run=demo") for name in ("a", "b")]
    assert found[0]["hash"] == found[1]["hash"]
    assert sum(found[0]["counts"].values()) == embedded.LETTERS * embedded.PAGES
    for limit in (10, 100, 400):
        card = pack(tmp_path / str(limit), "data.sources=[embedded]", f"data.limit={limit}")
        assert min(count["signature"] for count in card["classes"].values()) >= 3


def test_drawn_boxes_hold_the_ink() -> None:
    for page in embedded.drawn():
        ink = np.asarray(Image.open(io.BytesIO(page.content))) < 120
        for x, y, w, h in page.boxes.round().astype(int):
            inner = ink[y : y + h, x : x + w]
            assert inner[:4].any() and inner[-4:].any() and inner[:, :4].any() and inner[:, -4:].any()


@pytest.fixture
def looking(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose page names two folders and a store; returns the report of the look."""
    monkeypatch.delenv("MONGO_URL", raising=False)
    root = folder.parent / "project"
    both = "folders: {old: {path: letters}, new: {path: others}}"
    pages = {"family": f"data: {{sources: [folder], {both}}}", "full": "run: full", "demo": "data: {sources: [embedded]}"}
    pages["stored"] = "data: {sources: [mongo], stores: {letters: {dataset: tobacco}}}"
    for name, text in pages.items():
        path = root / "conf" / ("family/signatures.yaml" if name == "family" else f"run/{name}.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(root)
    return root / "reports/signatures/sources.json"


def looked(report: Path, run: str = "full") -> dict[str, dict[str, dict[str, str]]]:
    look.main("signatures", run)
    found: dict[str, dict[str, dict[str, str]]] = json.loads(report.read_text())
    return found


def test_a_look_sees_a_new_page_in_its_folder_alone(looking: Path, folder: Path) -> None:
    (folder.parent / "others").mkdir()
    first = looked(looking)["folders"]
    assert first["old"] == {"folder": "letters", "sha256": archives.fingerprint(folder)}
    add(folder, LETTERS)
    second = looked(looking)["folders"]
    assert second["new"] == first["new"]
    assert second["old"]["sha256"] == archives.fingerprint(folder) != first["old"]["sha256"]


def test_where_a_folder_is_not_here_its_last_look_stands(looking: Path, folder: Path) -> None:
    first = looked(looking)["folders"]
    assert first["new"] == {"folder": "others", "sha256": None}
    folder.rename(folder.with_name("elsewhere"))
    assert looked(looking)["folders"] == first


def test_a_run_on_drawn_letters_needs_no_look(looking: Path) -> None:
    assert looked(looking, "demo") == {}


def test_a_store_is_looked_at_where_there_is_one(looking: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked(looking, "stored") == {"stores": {"letters": {"dataset": "tobacco", "sha256": None}}}
    stored(monkeypatch, [])
    first = looked(looking, "stored")
    assert first == {"stores": {"letters": {"dataset": "tobacco", "sha256": "f" * 64}}}
    monkeypatch.delenv("MONGO_URL")
    assert looked(looking, "stored") == first


def stored(monkeypatch: pytest.MonkeyPatch, pages: list[tuple[str, bytes, bytes]], manifest: bytes | None = None) -> None:
    """An image store that holds these; the real one is tested in test_imagestore.py."""
    from pipelines.imagestore import datasets

    monkeypatch.setenv("MONGO_URL", "mongodb://nowhere")
    monkeypatch.setattr(datasets, "labelled", lambda dataset: iter(pages))
    monkeypatch.setattr(datasets, "manifest", lambda dataset: manifest)
    monkeypatch.setattr(datasets, "fingerprint", lambda dataset: "f" * 64)
    monkeypatch.setattr(datasets, "size", lambda dataset: 5)


STORE = ["data.sources=[mongo]", "data.stores={letters: {dataset: tobacco, description: Stored., licence: CC0, citation: nobody}}"]


def of_folder(folder: Path) -> list[tuple[str, bytes, bytes]]:
    labels = {path.stem: path.read_bytes() for path in (folder / "labels").iterdir()}
    return [(path.name, path.read_bytes(), labels[path.stem]) for path in sorted((folder / "images").iterdir())]


@pytest.mark.parametrize("manifest", [False, True])
def test_the_image_store_gives_the_same_data_as_the_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manifest: bool
) -> None:
    pages, table = of_folder(folder), b"file,document\n"
    table += b"".join(f"{name},lease{index % 20}\n".encode() for index, (name, _, _) in enumerate(pages))
    if manifest:
        (folder / "manifest.csv").write_bytes(table)
    stored(monkeypatch, pages, table if manifest else None)
    assert pack(tmp_path / "a")["hash"] == pack(tmp_path / "b", *STORE)["hash"]
    assert cards.read(tmp_path / "b")["sources"][0]["kind"] == "mongo"


def test_a_bad_label_in_the_store_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(monkeypatch, [("a.png", scan(0), b"0 0.5 0.5 0.1")])
    with pytest.raises(labels.BadLabel, match=r"the label of a\.png, line 1: 4 words"):
        pack(tmp_path / "out", *STORE)


def test_lineage_checks_folders_and_stores(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = pack(tmp_path / "a")["sources"]
    assert "CC0" in lineage_sources.checked(source)
    add(folder, LETTERS)
    with pytest.raises(ValueError, match="holds other files than were ingested"):
        lineage_sources.checked(source)
    kept = {"kind": "mongo", "path": "tobacco", "url": "mongo:tobacco", "sha256": "f" * 64, "licence": "CC0"}
    monkeypatch.delenv("MONGO_URL", raising=False)
    with pytest.raises(cache.NotHere, match="MONGO_URL"):
        lineage_sources.checked(kept)
    stored(monkeypatch, [])
    assert "mongo:tobacco" in lineage_sources.checked(kept)
    with pytest.raises(ValueError, match="holds other files"):
        lineage_sources.checked({**kept, "sha256": "0" * 64})
