"""Engravings become packed splits: by number, by alphabet, what is said of them, what is refused by name, what a look notices."""

import csv
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlcroissant
import numpy as np
import pytest
from PIL import Image

from pipelines import configs
from pipelines.datasets import archives, cards, sources
from pipelines.families.gravures import data, embedded, examples
from pipelines.families.gravures.parts import alphabets, drawing, engravings, lenses, shapes, symbols
from pipelines.stages import look

CLASSES = ("bell", "fish", "key")
DRAWINGS = 13  # of each class, numbered 0 to 12, not padded: 10 comes after 9
PEOPLE = 20
LETTERS = {"images_background/Ash": 3, "images_background/Willow": 2, "images_evaluation/Yew": 2}  # Willow is for validation
SAID = "{path: %s, description: Drawn., licence: CC0, citation: nobody}"
TABLE = (
    "lens_id,lens_name,index_code,image\n7,alpha,15,one.png\n8,beta,1591,one.png\n9,gamma,167,two.png\n10,delta,16,lost.png\n11,eps,16,\n"
)


def png(grey: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, "PNG")
    return stream.getvalue()


def sketch(shape: str, seed: int, side: int = 64) -> bytes:
    symbol = symbols.composed(shape, "", "inside", np.random.default_rng(0))
    return png(drawing.drawn(symbol, np.random.default_rng(seed), side))


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """lenses/ below the mirror, as gravures.tar is laid out: three classes, official pictures of two of them and a fourth, a catalogue."""
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    root = tmp_path / "lenses"
    for number, name in enumerate(CLASSES):
        for index in range(DRAWINGS):
            put(root / f"drawn/{name}/{name}_{index}.png", sketch(name, 100 * number + index, 64 if index % 2 else 300))
    for name in ("bell", "fish", "tree"):
        put(root / f"official/{name}.png", sketch(name, 900))
    for number, name in enumerate(("one", "two", "three")):
        put(root / f"catalogue/images/{name}.png", sketch(CLASSES[number], 950))
    put(root / "catalogue/catalogue.csv", TABLE.encode())
    put(root / "classes.csv", b"class,name\n")
    return root


@pytest.fixture
def writers(folder: Path) -> Path:
    """letters/ below the mirror, as Omniglot is laid out: three alphabets, twenty people."""
    root = folder.with_name("letters")
    for row, (alphabet, count) in enumerate(LETTERS.items()):
        for character in range(1, count + 1):
            for writer in range(1, PEOPLE + 1):
                shape = list(shapes.NAMED)[10 * row + character]
                put(root / alphabet / f"character{character:02}/{character:04}_{writer:02}.png", sketch(shape, writer))
    return root


def pack(out: Path, *words: str, sources: str = "folder", path: str = "lenses") -> dict[str, Any]:
    out.mkdir(parents=True)
    own = ["~data.folders.gravures", f"data.folders.own={SAID % path}", f"data.omniglot={SAID % 'letters'}", f"data.sources=[{sources}]"]
    return data.prepare(configs.compose(["family=gravures", *own, *words]), out)


def loaded(out: Path) -> dict[str, examples.Split]:
    return {split: examples.load(out, split) for split in examples.SPLITS}


def test_the_last_drawings_by_number_are_for_test_and_those_before_them_for_validation(folder: Path, tmp_path: Path) -> None:
    card = pack(tmp_path / "out")
    parts = loaded(tmp_path / "out")
    numbers = {"train": range(8), "valid": range(8, 10), "test": range(10, 13)}
    for split, found in parts.items():
        assert found.names == tuple(f"drawn/{name}/{name}_{number}.png" for name in CLASSES for number in numbers[split])
        assert [found.classes[label] for label in found.labels] == [name.split("/")[1] for name in found.names]
        assert (found.images.shape, found.images.dtype) == ((len(found.names), 64, 64), np.uint8)
        assert card["classes"][split] == {**dict.fromkeys(CLASSES, len(numbers[split])), "tree": 0}
    assert card["counts"] == {split: len(found) for split, found in parts.items()} == {"train": 24, "valid": 6, "test": 9}


def test_drawings_are_brought_and_their_files_kept_as_they_came(folder: Path, tmp_path: Path) -> None:
    pack(tmp_path / "out")
    for found in loaded(tmp_path / "out").values():
        for image, name in zip(found.images, found.names, strict=True):
            content = examples.picture(tmp_path / "out", name)
            assert content == (folder / name).read_bytes()
            grey = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
            np.testing.assert_array_equal(image, examples.CONVENTION.from_grey(grey))


def test_every_split_has_the_gallery_the_official_pictures_and_the_catalogue(folder: Path, tmp_path: Path) -> None:
    card = pack(tmp_path / "out")
    train, *others = loaded(tmp_path / "out").values()
    for found in others:
        np.testing.assert_array_equal(found.gallery.images, train.images)
        assert found.gallery.names == train.names
        assert [found.classes[label] for label in found.official.labels] == ["bell", "fish", "tree"]
        assert found.official.names == ("official/bell.png", "official/fish.png", "official/tree.png")
        assert found.catalogue_images.shape == (3, 64, 64)
        assert [row["picture"] for row in found.catalogue["pictures"]] == ["one.png", "three.png", "two.png"]
    assert (card["official"], card["catalogue"], card["lenses"], card["lenses_without_picture"]) == (3, 3, 5, 2)


def test_a_lens_whose_picture_is_missing_is_kept_without_one(folder: Path, tmp_path: Path) -> None:
    pack(tmp_path / "out")
    found = examples.load(tmp_path / "out", "test").catalogue["lenses"]
    assert found[1] == {"verre_id": 8, "name": "beta", "index_code": "1591", "picture": "one.png"}
    assert [lens["picture"] for lens in found] == ["one.png", "one.png", "two.png", None, None]


def test_tags_in_git_are_of_the_content_not_of_the_name(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (folder / "catalogue/images/one.png").read_bytes()
    table = tmp_path / "tags.csv"
    with table.open("w", newline="") as file:
        digits = hashlib.sha256(content).hexdigest()[:12]
        rows = [
            ("one.png", digits, "bell", "bell arc", "e 67"),
            ("two.png", "0" * 12, "fish", "fish", ""),
            ("bell", "", "bell", "bell", ""),
        ]
        csv.writer(file).writerows([("engraving", "sha256", "class", "shapes", "letters"), *rows, ("three.png", "", "no class", "", "x")])
    monkeypatch.setattr(lenses, "TAGS", table)
    pack(tmp_path / "out")
    found = examples.load(tmp_path / "out", "test").catalogue
    assert found["pictures"] == [
        {"picture": "one.png", "class": "bell", "shapes": ["bell", "arc"], "letters": ["e", "67"]},
        {"picture": "three.png", "class": None, "shapes": [], "letters": ["x"]},
        {"picture": "two.png", "class": None, "shapes": [], "letters": []},
    ]
    assert found["classes"]["bell"] == {"shapes": ["bell"], "letters": []}
    assert found["classes"]["key"] == {"shapes": [], "letters": []}


def test_tags_may_come_with_a_catalogue(folder: Path, tmp_path: Path) -> None:
    put(folder / "catalogue/tags.csv", b"engraving,sha256,class,shapes,letters\none.png,,bell,bell,\n")
    pack(tmp_path / "out")
    assert examples.load(tmp_path / "out", "test").catalogue["pictures"][0]["class"] == "bell"


def test_a_tar_below_any_folder_gives_the_same_data(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as archive:
        archive.add(folder, "some/where")
    assert pack(tmp_path / "a")["hash"] == pack(tmp_path / "b", path="all.tar.gz")["hash"]


def test_class_folders_alone_are_enough(folder: Path, tmp_path: Path) -> None:
    whole = pack(tmp_path / "a")
    card = pack(tmp_path / "b", path="lenses/drawn")
    assert card["counts"] == whole["counts"]
    assert (card["official"], card["catalogue"], card["lenses"]) == (0, 0, 0)
    assert examples.load(tmp_path / "b", "test").classes == list(CLASSES)


def test_a_drawing_keeps_its_split_when_others_come_elsewhere(folder: Path, tmp_path: Path) -> None:
    pack(tmp_path / "few")
    for index in range(DRAWINGS, DRAWINGS + 9):
        put(folder / f"drawn/key/key_{index}.png", sketch("key", index + 5000))
    for index in range(6):
        put(folder / f"drawn/apple/{index}.png", sketch("fruit", index))
    pack(tmp_path / "many")
    few, many = loaded(tmp_path / "few"), loaded(tmp_path / "many")
    for split in examples.SPLITS:
        assert [name for name in few[split].names if "key" not in name] == [
            name for name in many[split].names if "key" not in name and "apple" not in name
        ]


@pytest.mark.parametrize(
    ("count", "wanted"), [(4, (2, 1, 1)), (5, (3, 1, 1)), (6, (2, 2, 2)), (10, (6, 2, 2)), (17, (10, 3, 4)), (40, (24, 6, 10))]
)
def test_shares_of_a_class(folder: Path, tmp_path: Path, count: int, wanted: tuple[int, ...]) -> None:
    for index in range(count):
        put(folder / f"drawn/boat/{index}.png", sketch("boat", index))
    card = pack(tmp_path / "out")
    assert tuple(card["classes"][split]["boat"] for split in examples.SPLITS) == wanted


def test_two_folders_are_one_set(folder: Path, tmp_path: Path) -> None:
    for index in range(5):
        put(tmp_path / f"mine/bell/mine{index}.png", sketch("bell", 3000 + index))
    card = pack(tmp_path / "out", f"data.folders.mine={SAID % 'mine'}")
    assert sum(table["bell"] for table in card["classes"].values()) == DRAWINGS + 5
    assert [source["source"] for source in card["sources"]] == ["own", "mine"]


def test_alphabets_are_split_whole_and_characters_numbered_once(writers: Path, tmp_path: Path) -> None:
    card = pack(tmp_path / "out", sources="folder,omniglot")
    parts = {split: found.writers for split, found in loaded(tmp_path / "out").items()}
    names = {split: list(table["alphabets"]) for split, table in card["writers"].items()}
    assert names == {"train": ["Ash"], "valid": ["Willow"], "test": ["Yew"]}
    assert {split: sorted(set(found.labels.tolist())) for split, found in parts.items()} == {
        "train": [0, 1, 2],
        "valid": [3, 4],
        "test": [5, 6],
    }
    for split, found in parts.items():
        assert len(found.images) == card["writers"][split]["pictures"] == PEOPLE * card["writers"][split]["characters"]
        assert sorted(found.writers[found.labels == found.labels[0]].tolist()) == list(range(1, PEOPLE + 1))
    assert card["writers_duplicates"] == {"train/valid": 0, "train/test": 0, "valid/test": 0}


def test_alphabets_without_a_published_test_are_split_by_their_names(writers: Path, tmp_path: Path) -> None:
    (writers / "images_evaluation/Yew").rename(writers / "Cedar")
    for name in ("Ash", "Willow"):
        (writers / "images_background" / name).rename(writers / name)
    for empty in ("images_background", "images_evaluation"):
        (writers / empty).rmdir()
    card = pack(tmp_path / "out", sources="folder,omniglot")
    assert {split: list(table["alphabets"]) for split, table in card["writers"].items()} == {
        "train": ["Ash"],
        "valid": ["Willow"],
        "test": ["Cedar"],
    }


def test_a_limit_keeps_two_drawings_a_class_and_whole_characters(writers: Path, tmp_path: Path) -> None:
    card = pack(tmp_path / "out", "data.limit=40", sources="folder,omniglot")
    assert {split: table["characters"] for split, table in card["writers"].items()} == {"train": 2, "valid": 2, "test": 2}
    for index in range(60):
        for number in range(6):
            put(tmp_path / f"lenses/drawn/more{index}/{number}.png", sketch("key", 6 * index + number))
    card = pack(tmp_path / "many", "data.limit=10")
    assert set(card["classes"]["train"].values()) == {0, 2}
    assert card["counts"] == {"train": 2 * 63, "valid": 10, "test": 10}


def test_the_card_says_what_the_page_says(writers: Path, tmp_path: Path) -> None:
    pack(tmp_path / "out", sources="folder,omniglot")
    card = cards.read(tmp_path / "out")
    assert card["description"] == "Drawn. Drawn."
    assert [(source["source"], source["licence"]) for source in card["sources"]] == [("own", "CC0"), ("omniglot", "CC0")]
    assert [source["sha256"] for source in card["sources"]] == [archives.fingerprint(tmp_path / name) for name in ("lenses", "letters")]
    assert card["duplicates"] == {"train/valid": 0, "train/test": 0, "valid/test": 0}


def test_a_drawing_in_two_splits_is_counted(folder: Path, tmp_path: Path) -> None:
    put(folder / "drawn/key/key_12.png", (folder / "drawn/key/key_0.png").read_bytes())
    assert pack(tmp_path / "out")["duplicates"]["train/test"] == 1


def test_croissant_reads_the_metadata(folder: Path, tmp_path: Path) -> None:
    pack(tmp_path / "out")
    described = json.loads((tmp_path / "out" / cards.CROISSANT).read_text())
    assert not mlcroissant.Dataset(jsonld=described).metadata.ctx.issues.errors
    assert {file["name"] for file in described["distribution"]} >= {"train-images.npy", "catalogue.json", "pictures.bin"}


def test_a_picture_that_is_not_here_is_named(folder: Path, tmp_path: Path) -> None:
    pack(tmp_path / "out")
    with pytest.raises(examples.NoPicture, match=r"has no image catalogue/lost.png"):
        examples.picture(tmp_path / "out", "catalogue/lost.png")
    with pytest.raises(examples.NoPicture, match=r"nowhere is not on this machine, so catalogue/one.png cannot be shown"):
        examples.picture(tmp_path / "nowhere", "catalogue/one.png")


# what is refused


def broken(root: Path) -> None:
    put(root / "drawn/key/key_3.png", b"\x89PNG\r\n\x1a\n")
    put(root / "drawn/key/key_4.png", sketch("key", 1)[:-40])


def blank(root: Path) -> None:
    put(root / "drawn/key/key_3.png", png(np.full((64, 64), 255, np.uint8)))


def black(root: Path) -> None:
    put(root / "catalogue/images/one.png", png(np.zeros((64, 64), np.uint8)))


def few(root: Path) -> None:
    for index in range(3, DRAWINGS):
        (root / f"drawn/key/key_{index}.png").unlink()


def one(root: Path) -> None:
    for index in range(1, DRAWINGS):
        (root / f"drawn/key/key_{index}.png").unlink()


def loose(root: Path) -> None:
    put(root / "drawn/key_99.png", sketch("key", 1))


def deep(root: Path) -> None:
    put(root / "drawn/key/old/key_99.png", sketch("key", 1))


def emptied(root: Path) -> None:
    (root / "drawn/newt").mkdir()


def undrawn(root: Path) -> None:
    for path in sorted(root.glob("drawn/*/*")):
        path.unlink()
    for path in [*root.glob("drawn/*"), root / "drawn"]:
        path.rmdir()


def lost(root: Path) -> None:
    put(root / "official/key/one.png", sketch("key", 1))


def elsewhere(root: Path) -> None:
    put(root / "catalogue/one.png", sketch("key", 1))


def table(text: str | bytes) -> Callable[[Path], None]:
    content = text if isinstance(text, bytes) else text.encode()
    return lambda root: put(root / "catalogue/catalogue.csv", content)


HEAD = "lens_id,lens_name,index_code,image\n"
BAD: dict[str, tuple[Callable[[Path], None], type[Exception], str]] = {
    "broken": (
        broken,
        data.BrokenPictures,
        r"2 files are broken or blank: drawn/key/key_3\.png \(.+\); drawn/key/key_4\.png \(.+\)\. Replace",
    ),
    "blank": (blank, data.BrokenPictures, r"drawn/key/key_3\.png \(blank\)"),
    "black": (black, data.BrokenPictures, r"catalogue/one\.png \(blank\)"),
    "few": (few, data.TooFewDrawings, r"key \(3, of which 1 train\).*add drawings"),
    "one": (one, data.TooFewDrawings, r"key \(1, of which 0 train\)"),
    "loose": (loose, engravings.BadFolders, r"drawn/key_99\.png is in no class folder"),
    "deep": (deep, engravings.BadFolders, r"drawn/key/old/key_99\.png is in no class folder"),
    "emptied": (emptied, engravings.BadFolders, r"drawn/newt/ is an empty folder"),
    "undrawn": (undrawn, data.TooFewDrawings, "There is no drawing. Wanted"),
    "official": (lost, engravings.BadFolders, r"official/key/one\.png is no official image"),
    "elsewhere": (elsewhere, engravings.BadFolders, r"catalogue/one\.png has no place in a catalogue"),
    "columns": (table("lens_id,name,code,image\n"), lenses.BadCatalogue, r"catalogue\.csv, line 1: index_code, lens_name is missing"),
    "empty": (table(""), lenses.BadCatalogue, r"line 1: image, index_code, lens_id, lens_name is missing"),
    "twice": (table(HEAD + "1,a,15,\n2,b,15,\n1,c,15,\n"), lenses.BadCatalogue, r"line 4: lens_id 1 is also in .*line 2"),
    "number": (table(HEAD + "x1,a,15,\n"), lenses.BadCatalogue, r"line 2: lens_id 'x1' is no number"),
    "nameless": (table(HEAD + "1,,15,\n"), lenses.BadCatalogue, r"line 2: lens 1 has no lens_name"),
    "code": (table(HEAD + "1,a,15,\n2,b,2.5,\n"), lenses.BadCatalogue, r"line 3: index_code '2\.5' is no refractive index"),
    "short": (table(HEAD + "1,a,15\n"), lenses.BadCatalogue, r"line 2: 4 values are wanted"),
    "long": (table(HEAD + "1,a,15,x.png,y\n"), lenses.BadCatalogue, r"line 2: 4 values are wanted"),
    "latin": (table(HEAD.encode() + b"1,\xe9,15,\n"), lenses.BadCatalogue, r"catalogue\.csv is no table .*Wanted: UTF-8"),
    "quotes": (table(HEAD + '1,"a"b,15,\n'), lenses.BadCatalogue, r"catalogue\.csv is no table"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_folders_are_refused_by_name(folder: Path, tmp_path: Path, kind: str) -> None:
    change, error, words = BAD[kind]
    change(folder)
    with pytest.raises(error, match=words):
        pack(tmp_path / "out")


def test_loose_files_among_class_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    put(folder / "drawn/readme.txt", b"my drawings")
    with pytest.raises(engravings.BadFolders, match=r"readme.txt is in no class folder"):
        pack(tmp_path / "out", path="lenses/drawn")


def test_two_files_of_one_name_are_refused(folder: Path, tmp_path: Path) -> None:
    put(tmp_path / "mine/bell/bell_0.png", sketch("bell", 1))
    with pytest.raises(engravings.BadFolders, match=r"drawn/bell/bell_0\.png \(2 files\)"):
        pack(tmp_path / "out", f"data.folders.mine={SAID % 'mine'}")


def unnumbered(root: Path) -> None:
    put(root / "images_background/Ash/character01/first.png", sketch("key", 1))


def shallow(root: Path) -> None:
    put(root / "0001_01.png", sketch("key", 1))


def repeated(root: Path) -> None:
    put(root / "images_background/Ash/character01/0009_01.png", sketch("key", 1))


def torn(root: Path) -> None:
    put(root / "images_background/Ash/character01/0001_01.png", b"no picture")


def unvalidated(root: Path) -> None:
    (root / "images_background/Willow").rename(root / "images_background/Elm")


BAD_LETTERS: dict[str, tuple[Callable[[Path], None], type[Exception], str]] = {
    "unnumbered": (unnumbered, alphabets.BadAlphabets, r"Ash/character01/first\.png is no character of an alphabet"),
    "shallow": (shallow, alphabets.BadAlphabets, r"0001_01\.png is no character"),
    "repeated": (repeated, alphabets.BadAlphabets, r"0001_01\.png and .*0009_01\.png are the same character by the same writer"),
    "torn": (torn, data.BrokenPictures, r"Ash/character01/0001_01\.png \(no picture\)"),
    "unvalidated": (unvalidated, data.TooFewDrawings, r"3 alphabets leave none for valid"),
}


@pytest.mark.parametrize("kind", BAD_LETTERS)
def test_bad_alphabets_are_refused_by_name(writers: Path, tmp_path: Path, kind: str) -> None:
    change, error, words = BAD_LETTERS[kind]
    change(writers)
    with pytest.raises(error, match=words):
        pack(tmp_path / "out", sources="folder,omniglot")


def test_files_that_are_not_there_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    with pytest.raises(sources.MissingData, match=r"nowhere.*DATA_MIRROR"):
        pack(tmp_path / "out", path=f"{tmp_path}/nowhere")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.folders={}"], "data.folders must say where it is"),
        (["data.omniglot=null"], "data.omniglot must say where it is"),
        (["data.valid=0.5", "data.test=0.5"], "leave no drawing for training"),
        (["data.sources=[]"], "data.sources"),
        (["data.limit=3"], "data.limit"),
    ],
)
def test_a_page_that_does_not_fit_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(configs.BadConfiguration, match=message):
        configs.compose(["family=gravures", *(words if words != ["data.folders={}"] else ["~data.folders.gravures"])])


# what is drawn here


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedded") / "gravures"
    pack(folder, "run=smoke", sources="embedded")
    return folder


def test_embedded_data_have_everything_and_repeat(made: Path, tmp_path: Path) -> None:
    card = cards.read(made)
    assert {split: count > 40 for split, count in card["counts"].items()} == dict.fromkeys(examples.SPLITS, True)
    assert min(table["characters"] for table in card["writers"].values()) >= 20
    assert card["duplicates"] == card["writers_duplicates"] == {"train/valid": 0, "train/test": 0, "valid/test": 0}
    assert (card["lenses"] > card["catalogue"] > card["official"] > 10, card["lenses_without_picture"]) == (True, 2)
    assert pack(tmp_path / "again", "run=smoke", sources="embedded")["hash"] == card["hash"]


def test_embedded_classes_are_all_different_and_some_have_no_drawing(made: Path) -> None:
    found = examples.load(made, "test")
    assert len(found.classes) == embedded.CLASSES
    drawn, official = set(found.gallery.labels.tolist()), set(found.official.labels.tolist())
    assert drawn | official == set(range(embedded.CLASSES))
    assert official - drawn
    assert drawn - official
    shown = {row["class"] for row in found.catalogue["pictures"]}
    assert shown == set(found.classes)
    assert all(marks["shapes"] for marks in found.catalogue["classes"].values())


def test_embedded_drawings_are_like_one_another_within_a_class(made: Path) -> None:
    """The nearest training drawing, by nothing but its pixels, is mostly of the same class."""
    found = examples.load(made, "test")
    near = [np.abs(found.gallery.images.astype(int) - image).sum((1, 2)).argmin() for image in found.images]
    right = found.gallery.labels[near] == found.labels
    assert 0.5 < right.mean() < 1


# what a look notices


@pytest.fixture
def looking(writers: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose page names both; returns the report of the look."""
    root = writers.parent / "project"
    page = f"data: {{sources: [folder, omniglot], folders: {{own: {SAID % 'lenses'}}}, omniglot: {SAID % 'letters'}}}"
    pages = {"family/gravures": page, "run/full": "run: full", "run/demo": "data: {sources: [embedded]}"}
    for name, text in pages.items():
        put(root / f"conf/{name}.yaml", text.encode())
    monkeypatch.chdir(root)
    return root / "reports/gravures/sources.json"


def looked(report: Path, run: str = "full") -> dict[str, dict[str, object]]:
    look.main("gravures", run)
    found: dict[str, dict[str, object]] = json.loads(report.read_text())
    return found


def test_a_look_notices_new_drawings_and_new_characters(looking: Path, folder: Path, writers: Path) -> None:
    first = looked(looking)
    letters = {"folder": "letters", "sha256": archives.fingerprint(writers)}
    assert first == {"folders": {"own": {"folder": "lenses", "sha256": archives.fingerprint(folder)}}, "omniglot": letters}
    put(writers / "images_background/Ash/character01/0001_21.png", sketch("key", 21))
    second = looked(looking)
    assert (second["folders"], second["omniglot"] == letters) == (first["folders"], False)
    writers.rename(writers.with_name("gone"))
    assert looked(looking) == second
    assert looked(looking, "demo") == {}
