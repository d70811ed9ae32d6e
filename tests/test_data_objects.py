"""Class folders become packed arrays: what is in them, what is said of them, what is refused by name."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines import configs
from pipelines.datasets import archives, cards, sources
from pipelines.families.objects import data, examples
from pipelines.stages import look
from tests.forms import ORIENTATION, encoded

CLASSES = ("cat", "dog", "owl")
COUNTS = {"train": 30, "test": 4}


def picture(seed: int, size: tuple[int, int] = (32, 32), mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(values).convert(mode)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pictures/<split>/<class>/NN.png below the mirror: 30 and 4 a class."""
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    for split, count in COUNTS.items():
        for number, name in enumerate(CLASSES):
            place = tmp_path / "pictures" / split / name
            place.mkdir(parents=True)
            for index in range(count):
                (place / f"{index:02}.png").write_bytes(encoded(picture(1000 * number + index + (500 if split == "test" else 0))))
    return tmp_path / "pictures"


def pack(out: Path, *words: str) -> dict[str, object]:
    out.mkdir(parents=True)
    return data.prepare(configs.compose(["family=objects", "data.folder=pictures", "data.valid=0.2", *words]), out)


def test_class_folders_are_packed_with_their_labels(folder: Path, tmp_path: Path) -> None:
    card = pack(tmp_path / "out")
    train, valid, test = (examples.load(tmp_path / "out", split) for split in ("train", "valid", "test"))
    assert len(train.labels) + len(valid.labels) == 90
    assert len(valid.labels) > 5
    assert isinstance(train.images, np.memmap)
    assert examples.classes(tmp_path / "out") == list(CLASSES)
    assert card["counts"] == {"train": len(train.labels), "valid": len(valid.labels), "test": 12}
    for index, label in enumerate(test.labels):
        np.testing.assert_array_equal(test.images[index], np.asarray(picture(1000 * int(label) + 500 + index % 4)))


def test_a_tar_below_any_folder_gives_the_same_data(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as archive:
        archive.add(folder, "some/where")
    assert pack(tmp_path / "a")["hash"] == pack(tmp_path / "b", "data.folder=all.tar.gz")["hash"]


def test_the_card_says_what_the_page_says_and_what_was_measured(folder: Path, tmp_path: Path) -> None:
    card = pack(tmp_path / "out", "data.licence=CC0", "data.description=Three animals.")
    train = examples.load(tmp_path / "out", "train").images / 255
    (source,) = cards.read(tmp_path / "out")["sources"]
    assert (card["description"], source["licence"], source["sha256"]) == ("Three animals.", "CC0", archives.fingerprint(folder))
    np.testing.assert_allclose(card["mean"], train.mean((0, 1, 2)), atol=1e-4)
    np.testing.assert_allclose(card["deviation"], train.std((0, 1, 2)), atol=1e-4)
    assert sum(card["classes"]["train"].values()) == card["counts"]["train"]


def test_the_page_of_the_family_tells_of_the_lossy_copy() -> None:
    assert "lossy" in configs.compose(["family=objects"]).data.description


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I;16"])
def test_pictures_of_any_mode_and_size_are_brought_to_32_x_32_in_colour(folder: Path, tmp_path: Path, mode: str) -> None:
    odd = Image.fromarray(np.full((60, 90), 40_000, np.uint16)) if mode == "I;16" else Image.new("RGB", (90, 60), "white").convert(mode)
    (folder / "test/cat/99.x").write_bytes(encoded(odd, "TIFF"))
    pack(tmp_path / "out")
    test = examples.load(tmp_path / "out", "test")
    assert test.images.shape == (13, 32, 32, 3)
    assert test.images[4].min() >= 250


def test_exif_turns_a_picture_upright(folder: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 3
    upright = picture(7)
    (folder / "test/cat/99.png").write_bytes(encoded(upright.transpose(Image.Transpose.ROTATE_180), exif=exif))
    pack(tmp_path / "out")
    np.testing.assert_array_equal(examples.load(tmp_path / "out", "test").images[4], np.asarray(upright))


BROKEN = {"empty": b"", "text": b"a cat, I believe", "cut": encoded(picture(1))[:-200], "head": b"\x89PNG\r\n\x1a\n"}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_named_and_passed_over_only_when_the_page_allows_it(folder: Path, tmp_path: Path, kind: str) -> None:
    (folder / "train/dog/broken.png").write_bytes(BROKEN[kind])
    with pytest.raises(data.BrokenPictures, match=r"1 files.*train/dog/broken\.png.*skip_broken=true"):
        pack(tmp_path / "a")
    card = pack(tmp_path / "b", "data.skip_broken=true")
    assert card["broken"] == ["train/dog/broken.png"]
    assert card["counts"]["test"] == 12
    assert card["counts"]["train"] + card["counts"]["valid"] == 90


def emptied(folder: Path) -> None:
    for split in COUNTS:
        (folder / split / "newt").mkdir()


def differing(folder: Path) -> None:
    (folder / "test/owl").rename(folder / "test/newt")


def alone(folder: Path) -> None:
    for split in COUNTS:
        for name in CLASSES[1:]:
            (folder / split / name).rename(folder / f"{split}-{name}")


def few(folder: Path) -> None:
    for path in folder.glob("train/*/*"):
        if path.name != "00.png" or path.parent.name == "owl":
            path.unlink()
    for split in COUNTS:
        (folder / split / "owl").rename(folder / f"{split}-owl")


def nested(folder: Path) -> None:
    (folder / "train/owl").rename(folder / "train/birds")
    (folder / "train/owl").mkdir()
    (folder / "train/birds").rename(folder / "train/owl/birds")


def loose(folder: Path) -> None:
    (folder / "test/owl/00.png").rename(folder / "test/00.png")


BAD = {
    nested: r"train/owl/birds/\d\d.png is in no class folder",
    loose: r"test/00.png is in no class folder",
    emptied: r"test/newt/ is an empty folder",
    differing: r"only one of them has: newt, owl",
    alone: r"1 classes were found \(cat\)",
    few: r"2 training images are too few",
}


@pytest.mark.parametrize("change", BAD, ids=lambda change: change.__name__)
def test_bad_folders_are_refused_by_name(folder: Path, tmp_path: Path, change: object) -> None:
    change(folder)
    with pytest.raises(data.BadFolders, match=BAD[change]):
        pack(tmp_path / "out", "data.valid=0.001")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    with pytest.raises(sources.MissingData, match=r"nowhere.*DATA_MIRROR"):
        pack(tmp_path / "out", f"data.folder={tmp_path}/nowhere")


def test_a_limit_takes_from_every_class(folder: Path, tmp_path: Path) -> None:
    pack(tmp_path / "out", "data.limit=50")
    train = examples.load(tmp_path / "out", "train")
    assert len(train.labels) == 50
    assert set(train.labels) == {0, 1, 2}


def test_a_picture_keeps_its_split_when_others_come(folder: Path, tmp_path: Path) -> None:
    pack(tmp_path / "few")
    for index in range(30, 60):
        (folder / f"train/cat/{index}.png").write_bytes(encoded(picture(5000 + index)))
    pack(tmp_path / "many")
    before, after = ({image.tobytes() for image in examples.load(tmp_path / name, "valid").images} for name in ("few", "many"))
    assert before < after


def cifar10(path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """An archive in the layout of the published one, 20 pictures a file; returns the first picture of the test."""
    random = np.random.default_rng(0)
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as archive:
        rows = {f"data_batch_{number}.bin": random.integers(0, 256, (20, data.ROW), np.uint8) for number in range(1, 6)}
        rows["test_batch.bin"] = random.integers(0, 256, (20, data.ROW), np.uint8)
        for found in rows.values():
            found[:, 0] = np.arange(20) % 3
        files = {name: found.tobytes() for name, found in rows.items()} | {"batches.meta.txt": b"owl\ncat\ndog\n\n"}
        for name, content in files.items():
            head = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            head.size = len(content)
            archive.addfile(head, io.BytesIO(content))
    content = path.read_bytes()
    origin = sources.Origin(data.CIFAR10.path, data.CIFAR10.urls, hashlib.sha256(content).hexdigest(), len(content))
    monkeypatch.setattr(data, "CIFAR10", origin)
    return rows["test_batch.bin"][0, 1:].reshape(3, 32, 32)


def test_the_published_archive_is_read_in_its_own_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    planes = cifar10(tmp_path / data.CIFAR10.path, monkeypatch)
    card = pack(tmp_path / "out", "data.sources=[cifar10]")
    test = examples.load(tmp_path / "out", "test")
    assert card["counts"]["train"] + card["counts"]["valid"] == 100
    assert examples.classes(tmp_path / "out")[test.labels[0]] == "owl"
    np.testing.assert_array_equal(test.images[0], np.stack(planes, -1))


def test_another_archive_than_the_published_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    (tmp_path / data.CIFAR10.path).parent.mkdir()
    (tmp_path / data.CIFAR10.path).write_bytes(b"something else")
    with pytest.raises(sources.ChecksumMismatch, match="other content than expected"):
        pack(tmp_path / "out", "data.sources=[cifar10]")


def test_drawn_shapes_repeat_and_hold_ten_classes(tmp_path: Path) -> None:
    cards_of = [pack(tmp_path / name, "data.sources=[embedded]") for name in ("a", "b")]
    assert cards_of[0]["hash"] == cards_of[1]["hash"]
    assert len(cards_of[0]["classes"]["train"]) == 10
    assert cards_of[0]["duplicates"] == {"train/valid": 0, "train/test": 0, "valid/test": 0}


@pytest.fixture
def looking(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose page names the folder; returns the report of the look."""
    root = folder.parent / "project"
    for name, text in {"family/objects.yaml": "data: {sources: [folder], folder: pictures}", "run/full.yaml": "run: full"}.items():
        (root / "conf" / name).parent.mkdir(parents=True)
        (root / "conf" / name).write_text(text)
    (root / "conf/run/demo.yaml").write_text("data: {sources: [embedded]}")
    monkeypatch.chdir(root)
    return root / "reports/objects/sources.json"


def looked(report: Path, run: str = "full") -> dict[str, str]:
    look.main("objects", run)
    found: dict[str, str] = json.loads(report.read_text())
    return found


def test_a_look_notices_what_changed_and_nothing_else(looking: Path, folder: Path) -> None:
    first = looked(looking)
    assert first == {"folder": "pictures", "sha256": archives.fingerprint(folder)} == looked(looking)
    (folder / "train/cat/new.png").write_bytes(encoded(picture(9)))
    assert looked(looking)["sha256"] not in {first["sha256"], None}


def test_a_look_reads_again_only_what_seems_changed(looking: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked(looking)
    monkeypatch.setattr(archives, "fingerprint", lambda path: pytest.fail(f"{path} was read again"))
    looked(looking)


def test_where_the_files_are_not_here_the_last_look_stands(looking: Path, folder: Path) -> None:
    first = looked(looking)
    folder.rename(folder.with_name("elsewhere"))
    assert looked(looking) == first
    looking.unlink()
    assert looked(looking) == {"folder": "pictures", "sha256": None}


def test_a_run_on_other_sources_needs_no_look(looking: Path) -> None:
    assert looked(looking, "demo") == {}
