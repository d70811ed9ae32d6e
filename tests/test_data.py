"""The packed data of digits and its card: stable splits, no leakage, metadata that others read."""

import gzip
import hashlib
import json
from pathlib import Path

import mlcroissant
import numpy as np
import pytest

from pipelines import configs
from pipelines.datasets import cards, sources
from pipelines.families.digits import data, examples


def idx(head: bytes, values: np.ndarray) -> bytes:
    return head + b"".join(int(side).to_bytes(4, "big") for side in values.shape) + values.astype(np.uint8).tobytes()


def pack(words: list[str], out: Path) -> dict[str, object]:
    out.mkdir(parents=True)
    return data.prepare(configs.compose(["family=digits", *words]), out)


def small_mnist(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int = 300) -> None:
    """A mirror of `count` + 100 pictures in the real idx format; the origins' checksums are made to fit."""
    random = np.random.default_rng(0)
    (folder / "mnist").mkdir()
    origins = {}
    for name, origin in data.ORIGINS.items():
        length = count if name.startswith("train") else 100
        values = random.integers(0, 256, (length, 28, 28)) if "images" in name else np.arange(length) % 10
        content = idx(b"\0\0\x08" + bytes([values.ndim]), values)
        (folder / f"mnist/{name}-ubyte.gz").write_bytes(gzip.compress(content))
        origins[name] = sources.Origin(origin.path, origin.urls, hashlib.sha256(content).hexdigest(), len(content))
    monkeypatch.setattr(data, "ORIGINS", origins)
    monkeypatch.setenv("DATA_MIRROR", str(folder))


def test_mnist_is_read_in_its_own_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_mnist(tmp_path, monkeypatch)
    card = pack(["data.sources=[mnist]", "data.valid=0.2"], tmp_path / "packed")
    train, valid, test = (examples.load(tmp_path / "packed", split) for split in ("train", "valid", "test"))
    assert len(train.labels) + len(valid.labels) == 300
    assert 30 < len(valid.labels) < 90
    assert test.images.shape == (100, 28, 28)
    assert list(test.labels[:12]) == [*range(10), 0, 1]
    assert card["counts"] == {"train": len(train.labels), "valid": len(valid.labels), "test": 100}
    assert card["duplicates"] == {"train/valid": 0, "train/test": 0, "valid/test": 0}


def test_a_picture_keeps_its_split_when_others_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, count in (("few", 200), ("many", 300)):
        (tmp_path / name).mkdir()
        with pytest.MonkeyPatch.context() as patch:
            small_mnist(tmp_path / name, patch, count)
            pack(["data.sources=[mnist]", "data.valid=0.2"], tmp_path / name / "packed")
    few, many = ({picture.tobytes() for picture in examples.load(tmp_path / name / "packed", "valid").images} for name in ("few", "many"))
    assert few < many


def test_duplicates_between_splits_are_counted() -> None:
    pictures = np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2)
    assert cards.duplicates({"train": pictures[:4], "test": pictures[2:]}) == {"train/test": 2}


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedded") / "digits"
    pack(["data.sources=[embedded]"], folder)
    return folder


def test_embedded_digits_look_like_mnist(embedded: Path) -> None:
    images = examples.load(embedded, "train").images
    assert images.dtype == np.uint8
    assert (images.reshape(len(images), -1).max(1) == 255).all()
    rows = (images.mean((0, 2)) * np.arange(28)).sum() / images.mean((0, 2)).sum()
    assert rows == pytest.approx(13.5, abs=0.5)


def test_the_card_adds_up_and_packing_repeats(embedded: Path, tmp_path: Path) -> None:
    card = cards.read(embedded)
    assert sum(card["counts"].values()) == 1797
    assert {split: sum(table.values()) for split, table in card["classes"].items()} == card["counts"]
    assert pack(["data.sources=[embedded]"], tmp_path / "again")["hash"] == card["hash"]
    assert pack(["data.sources=[embedded]", "data.limit=100"], tmp_path / "limited")["hash"] != card["hash"]


def test_croissant_reads_the_metadata(embedded: Path) -> None:
    described = json.loads((embedded / cards.CROISSANT).read_text())
    dataset = mlcroissant.Dataset(jsonld=described)
    assert dataset.metadata.name == "digits"
    assert not dataset.metadata.ctx.issues.errors
    files = {file["name"]: file["sha256"] for file in described["distribution"]}
    assert files == cards.read(embedded)["files"]
