"""The image store against a real server: what goes in comes out as the same bytes, whatever is cut, and never by half."""

import hashlib
import io
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gridfs import GridFSBucket
from PIL import Image
from pymongo import MongoClient

from pipelines import folders, gridfiles, imagestore, mongo, networkstore
from pipelines.datasets import archives, labelled, labels
from tests import ferret
from tests.conftest import environment

pytestmark = pytest.mark.slow

YOLO = b"0 0.5 0.5 0.25 0.25\n"
VOC = b"<annotation><size><width>64</width><height>48</height></size></annotation>"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ferret.Server]:
    with ferret.running(tmp_path_factory.mktemp("ferretdb")) as server:
        yield server


@pytest.fixture
def database(server: ferret.Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty store that MONGO_URL names."""
    monkeypatch.setenv("MONGO_URL", server.url)
    with MongoClient(server.url) as client:
        database = client.get_default_database()
        for name in database.list_collection_names():
            database.drop_collection(name)
        yield database


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    """Four pictures with labels of three kinds, one in capitals, and what else may lie about."""
    files = {f"images/page{number}.png": picture(number) for number in range(2)}
    files |= {"images/brief é 'x'.JPG": picture(2, "JPEG"), "images/deep/page.png": picture(3)}
    files |= {"labels/page0.txt": YOLO, "labels/page1.txt": b"", "labels/brief é 'x'.xml": VOC, "labels/deep/page.txt": YOLO * 2}
    files |= {"labels_tight/page0.txt": YOLO, "manifest.csv": b"file,document\r\n", "read me": b"", ".hidden/x.png": b"no picture"}
    return written(tmp_path / "letters", files)


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def picture(seed: int, kind: str = "PNG", size: tuple[int, int] = (48, 64)) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, size, np.uint8)).save(out, kind)
    return out.getvalue()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pages(folder: Path, count: int) -> Path:
    names = [f"{number:04}" for number in range(count)]
    return written(folder, {f"{name}.png": picture(int(name)) for name in names} | {f"{name}.txt": YOLO for name in names})


def storage(*words: str) -> list[str]:
    return [sys.executable, "-m", "pipelines.storage", *words]


def cut(command: list[str], enough: Callable[[], bool], url: str) -> None:
    """Run a command and kill it as soon as enough has happened."""
    with subprocess.Popen(command, env=environment(MONGO_URL=url), stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 500
        while not enough() and time.monotonic() < deadline:
            assert process.poll() is None, "the command ended before it could be cut"
            time.sleep(0.01)
        process.kill()


def test_a_folder_comes_out_as_it_went_in(database: Any, letters: Path, tmp_path: Path) -> None:
    put = imagestore.put("letters", letters)
    assert put == (4, 4, sum(map(len, contents(letters).values())), 8)
    assert imagestore.get("letters", tmp_path / "out") == put
    assert contents(tmp_path / "out") == contents(letters)
    assert imagestore.fingerprint("letters") == archives.fingerprint(letters)
    assert imagestore.size("letters") == archives.size(letters)
    assert not list(tmp_path.glob(".out*"))


def test_a_tar_comes_out_as_its_folder(database: Any, letters: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "letters.tar.gz", "w:gz") as archive:
        archive.add(letters, "all/letters")
    imagestore.put("letters", tmp_path / "letters.tar.gz")
    imagestore.get("letters", tmp_path / "out")
    assert contents(tmp_path / "out/all/letters") == contents(letters)


def test_what_readers_of_pages_are_given(database: Any, letters: Path) -> None:
    imagestore.put("letters", letters)
    found = list(imagestore.labelled("letters"))
    assert [name for name, _, _ in found] == ["brief é 'x'.JPG", "deep/page.png", "page0.png", "page1.png"]
    assert [label for _, _, label in found] == [VOC, YOLO * 2, YOLO, b""]
    assert all(content == (letters / "images" / name).read_bytes() for name, content, _ in found)
    assert imagestore.manifest("letters") == b"file,document\r\n"


def test_a_data_set_without_a_manifest(database: Any, tmp_path: Path) -> None:
    imagestore.put("pages", pages(tmp_path / "pages", 2))
    assert imagestore.manifest("pages") is None
    assert [name for name, _, _ in imagestore.labelled("pages")] == ["0000.png", "0001.png"]


def test_what_a_document_holds(database: Any, letters: Path) -> None:
    imagestore.put("letters", letters)
    document = database.images.find_one({"name": "images/page0.png"})
    assert (document["dataset"], document["label"]) == ("letters", YOLO)
    assert document["raw_image"] == (letters / "images/page0.png").read_bytes()
    with Image.open(io.BytesIO(document["resized_image"])) as resized:
        assert (resized.format, resized.mode, resized.size) == ("PNG", "L", (608, 608))


def test_nothing_is_sent_twice(database: Any, letters: Path) -> None:
    assert imagestore.put("letters", letters).fresh == 8
    assert imagestore.put("letters", letters).fresh == 0
    (letters / "labels/page0.txt").write_bytes(YOLO * 3)
    (letters / "labels_tight/page0.txt").unlink()
    assert imagestore.put("letters", letters).fresh == 1
    assert (database.images.count_documents({}), database.files.count_documents({})) == (4, 3)
    assert imagestore.fingerprint("letters") == archives.fingerprint(letters)


def test_data_sets_do_not_mix(database: Any, letters: Path, tmp_path: Path) -> None:
    imagestore.put("one", letters)
    assert imagestore.put("two", letters).fresh == 8
    imagestore.put("two", pages(tmp_path / "other", 1))
    imagestore.get("one", tmp_path / "out")
    assert contents(tmp_path / "out") == contents(letters)


def test_a_picture_that_no_document_can_hold(database: Any, tmp_path: Path) -> None:
    files = {"scan.bmp": picture(0, "BMP", (4100, 4100)), "scan.txt": YOLO}
    folder = written(tmp_path / "large", files)
    assert len(files["scan.bmp"]) > 16 << 20
    imagestore.put("large", folder)
    assert "raw_image" not in database.images.find_one({})
    (stored,) = GridFSBucket(database, "large").find({"filename": "scan.bmp"})
    assert stored.read() == files["scan.bmp"]
    assert imagestore.put("large", folder).fresh == 0
    imagestore.get("large", tmp_path / "out")
    assert contents(tmp_path / "out") == files
    for name in files:
        (folder / name).unlink()
    imagestore.put("large", pages(folder, 1))
    assert not database["large.chunks"].count_documents({})
    assert not database["large.files"].count_documents({})


def test_an_upload_that_is_killed_shows_nothing_and_goes_on(database: Any, server: ferret.Server, tmp_path: Path) -> None:
    folder = pages(tmp_path / "pages", 30)
    command = storage("put", "--dataset", "pages", "--from", str(folder))
    cut(command, lambda: database.images.count_documents({}) >= 3, server.url)
    sent = database.images.count_documents({})
    assert 3 <= sent < 30
    with pytest.raises(imagestore.UnknownDataset, match=r"no whole data set 'pages'. It has: none"):
        imagestore.fingerprint("pages")
    with pytest.raises(imagestore.UnknownDataset):
        list(imagestore.labelled("pages"))
    assert imagestore.put("pages", folder).fresh == 30 - sent
    imagestore.get("pages", tmp_path / "out")
    assert contents(tmp_path / "out") == contents(folder)


def test_an_old_data_set_stands_until_the_new_one_is_whole(
    database: Any, letters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imagestore.put("letters", letters)
    before = contents(letters)
    for name in ("page0", "page1"):
        (letters / f"images/{name}.png").write_bytes(picture(9))
    with monkeypatch.context() as patched:
        patched.setattr(imagestore, "_publish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            imagestore.put("letters", letters)
    imagestore.get("letters", tmp_path / "old")
    assert contents(tmp_path / "old") == before
    assert imagestore.put("letters", letters).fresh == 0
    imagestore.get("letters", tmp_path / "new")
    assert contents(tmp_path / "new") == contents(letters)


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_download_that_is_cut_leaves_nothing_under_its_name_and_goes_on(
    database: Any, letters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imagestore.put("letters", letters)
    write, done = imagestore._write, list[str]()

    def few(part: Path, row: imagestore.Row, content: bytes, label: bytes) -> None:
        if len(done) == 5:
            write(part, row, content[:5], label)
            raise KeyboardInterrupt
        done.append(row.name)
        write(part, row, content, label)

    with monkeypatch.context() as patched:
        patched.setattr(imagestore, "_write", few)
        with pytest.raises(KeyboardInterrupt):
            imagestore.get("letters", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert imagestore.get("letters", tmp_path / "out").fresh == 8 - 5
    assert contents(tmp_path / "out") == contents(letters)
    assert not list(tmp_path.glob(".out*"))


def test_what_is_there_already_is_not_written_over(database: Any, letters: Path, tmp_path: Path) -> None:
    for get in (imagestore.get, networkstore.get_cfg, networkstore.get_weights):
        with pytest.raises(imagestore.Occupied, match="letters is there already"):
            get("letters", letters)


def test_an_unknown_data_set_names_those_there_are(database: Any, letters: Path, tmp_path: Path) -> None:
    imagestore.put("letters", letters)
    with pytest.raises(imagestore.UnknownDataset, match=r"'leters'. It has: letters"):
        imagestore.get("leters", tmp_path / "out")


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        ({"a.png": b"broken", "a.txt": YOLO}, labelled.BrokenPicture, "a.png is no whole picture"),
        ({"a.png": picture(0)}, labelled.Unpaired, "have no label file: a.png"),
        ({"a.png": picture(0), "a.txt": bytes(labels.LARGEST + 1)}, labels.BadLabel, "a.txt has 1000001 bytes"),
        ({"a\\b.png": picture(0), "a\\b.txt": YOLO}, imagestore.UnsafeName, "no name below a folder"),
    ],
)
def test_what_is_no_data_set_is_refused(database: Any, tmp_path: Path, files: dict[str, bytes], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        imagestore.put("bad", written(tmp_path / "bad", files))
    with pytest.raises(imagestore.UnknownDataset):
        imagestore.size("bad")


def test_a_tar_that_climbs_is_refused(database: Any, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        member = tarfile.TarInfo("../evil.png")
        archive.addfile(member)
    with pytest.raises(imagestore.UnsafeName, match=r"\.\./evil\.png"):
        imagestore.put("bad", tmp_path / "bad.tar")


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt", "a/../../evil.txt", "a\\..\\evil.txt", "", "./evil.txt"])  # noqa: S108
@pytest.mark.parametrize("key", ["name", "label_name"])
def test_a_name_that_leaves_the_folder_is_not_written(database: Any, letters: Path, tmp_path: Path, key: str, name: str) -> None:
    imagestore.put("letters", letters)
    database.images.update_one({"name": "images/page0.png"}, {"$set": {key: name}})
    hashes = {row["name"]: row["sha256"] for kind in ("images", "files") for row in database[kind].find()}
    hashes |= {row["label_name"]: row["label_sha256"] for row in database.images.find()}
    database.datasets.update_one({}, {"$set": {"sha256": folders.hash_of(hashes)}})
    with pytest.raises((imagestore.UnsafeName, imagestore.Damaged)):
        imagestore.get("letters", tmp_path / "to/out")
    assert not list(tmp_path.rglob("evil*"))
    assert not (tmp_path / "to/out").exists()


@pytest.mark.parametrize("change", [{"$set": {"raw_image": b"other"}}, {"$set": {"label": b"other"}}, {"$unset": {"dataset": 1}}])
def test_what_was_changed_in_the_store_does_not_come_out(database: Any, letters: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    imagestore.put("letters", letters)
    database.images.update_one({"name": "images/page0.png"}, change)
    with pytest.raises(imagestore.Damaged, match="not what was put in"):
        imagestore.get("letters", tmp_path / "out")
    with pytest.raises(imagestore.Damaged):
        list(imagestore.labelled("letters"))
    assert not (tmp_path / "out").exists()


def test_a_cfg_comes_out_as_it_went_in_and_the_newest_of_its_name(database: Any, tmp_path: Path) -> None:
    path = written(tmp_path, {"tiny.cfg": b"[net]\r\nwidth=416\n"}) / "tiny.cfg"
    assert (networkstore.put_cfg(path), networkstore.put_cfg(path)) == (17, 0)
    path.write_bytes(b"[net]\nwidth=608\n")
    networkstore.put_cfg(path)
    networkstore.get_cfg("tiny.cfg", tmp_path / "out.cfg")
    assert (tmp_path / "out.cfg").read_bytes() == path.read_bytes()
    document = database.config.find_one({}, sort=[("date", 1)])
    assert (document["file_name"], document["configuration_file"]) == ("tiny.cfg", b"[net]\r\nwidth=416\n")
    with pytest.raises(networkstore.UnknownFile, match=r"no 'full.cfg' in config. It has: tiny.cfg"):
        networkstore.get_cfg("full.cfg", tmp_path / "full.cfg")
    assert not (tmp_path / "full.cfg").exists()


def test_files_that_cannot_be_put(database: Any, tmp_path: Path) -> None:
    with pytest.raises(networkstore.MissingFile, match=r"none.cfg is not a file"):
        networkstore.put_cfg(tmp_path / "none.cfg")
    with pytest.raises(networkstore.TooLarge, match=r"1000001 bytes; a cfg has at most 1000000. Weights are put in with weights="):
        networkstore.put_cfg(written(tmp_path, {"large.cfg": bytes(1_000_001)}) / "large.cfg")


def test_weights_are_gridfs_files(database: Any, tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(2 * gridfiles.CHUNK + 7)
    path = written(tmp_path, {"tiny.weights": content}) / "tiny.weights"
    assert (networkstore.put_weights(path), networkstore.put_weights(path)) == (len(content), 0)
    (stored,) = GridFSBucket(database, "weights").find({"filename": "tiny.weights"})
    assert stored.read() == content
    assert stored.metadata == {"sha256": hashlib.sha256(content).hexdigest()}
    path.write_bytes(b"")
    networkstore.put_weights(path)
    assert networkstore.get_weights("tiny.weights", tmp_path / "empty") == 0
    path.write_bytes(content)
    assert networkstore.put_weights(path) == 0
    networkstore.get_weights("tiny.weights", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content


def test_weights_that_are_cut_show_nothing_and_go_on(
    database: Any, server: ferret.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = np.random.default_rng(0).bytes(16 * gridfiles.CHUNK)
    path = written(tmp_path, {"full.weights": content}) / "full.weights"
    chunks = database["weights.chunks"]
    cut(storage("put", "--weights", str(path)), lambda: chunks.count_documents({}) >= 3, server.url)
    sent = chunks.count_documents({})
    assert 3 <= sent < 16
    with pytest.raises(networkstore.UnknownFile, match=r"no 'full.weights' in weights.files. It has: none"):
        networkstore.get_weights("full.weights", tmp_path / "out")
    assert (16 - sent) * gridfiles.CHUNK - networkstore.put_weights(path) in {0, gridfiles.CHUNK}  # one may have been on its way

    read, starts = gridfiles.read, list[int]()

    def short(*words: Any) -> Iterator[bytes]:
        starts.append(words[-1])
        yield next(read(*words))
        if len(starts) == 1:
            raise KeyboardInterrupt
        yield from list(read(*words))[1:]

    monkeypatch.setattr(gridfiles, "read", short)
    with pytest.raises(KeyboardInterrupt):
        networkstore.get_weights("full.weights", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    networkstore.get_weights("full.weights", tmp_path / "out")
    assert starts == [0, gridfiles.CHUNK]
    assert (tmp_path / "out").read_bytes() == content
    assert not list(tmp_path.glob(".out*"))


def test_weights_that_were_changed_do_not_come_out(database: Any, tmp_path: Path) -> None:
    path = written(tmp_path, {"tiny.weights": b"weights"}) / "tiny.weights"
    networkstore.put_weights(path)
    database["weights.chunks"].update_one({}, {"$set": {"data": b"strange"}})
    with pytest.raises(imagestore.Damaged, match="not what was put in"):
        networkstore.get_weights("tiny.weights", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.weights"]


def test_a_server_that_goes_in_the_middle_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, store = pages(tmp_path / "pages", 8), imagestore._store
    monkeypatch.setattr(mongo, "PATIENCE", mongo.PATIENCE | {"serverSelectionTimeoutMS": 500})
    with ferret.running(tmp_path / "ferretdb") as server, monkeypatch.context() as patched:
        patched.setenv("MONGO_URL", server.url)

        def fatal(*words: Any) -> None:
            store(*words)
            if words[2].name == "0003.png":
                server.process.kill()
                server.process.wait()

        patched.setattr(imagestore, "_store", fatal)
        with pytest.raises(mongo.StoreGone, match="the same command goes on where it was cut") as gone:
            imagestore.put("pages", folder)
        assert ferret.QUOTED not in str(gone.value)
    with ferret.running(tmp_path / "ferretdb") as server:
        monkeypatch.setenv("MONGO_URL", server.url)
        with pytest.raises(imagestore.UnknownDataset):
            imagestore.fingerprint("pages")
        assert imagestore.put("pages", folder).fresh == 8 - 4
        imagestore.get("pages", tmp_path / "out")
    assert contents(tmp_path / "out") == contents(folder)


def test_a_wrong_password_is_named_as_such_and_not_printed(server: ferret.Server, tmp_path: Path) -> None:
    url = server.url.replace(ferret.QUOTED, "wr0ng%40word")
    done = subprocess.run(
        storage("get", "--dataset", "letters", "--to", str(tmp_path / "out")),
        env=environment(MONGO_URL=url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("StoreRefused: the image store refuses: Authentication failed. Correct name and password in MONGO_URL")
    assert "wr0ng" not in done.stdout + done.stderr


@pytest.mark.parametrize("scheme", ["mongodb://", "mongodb+bad://", ""])
@pytest.mark.parametrize("place", ["keeper:hush/hush@127.0.0.1:1/atelier", "keeper:hu@sh@127.0.0.1/a", "127.0.0.1:hush"])
def test_a_broken_address_is_not_printed(monkeypatch: pytest.MonkeyPatch, scheme: str, place: str) -> None:
    monkeypatch.setenv("MONGO_URL", scheme + place)
    with pytest.raises(mongo.StoreNotSet, match="MONGO_URL is not an address of MongoDB") as error, mongo.opened():
        pass
    assert "hu" not in str(error.value).replace("the", "")


def test_no_address_and_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONGO_URL", raising=False)
    with pytest.raises(mongo.StoreNotSet, match="MONGO_URL is not set"), mongo.opened():
        pass
    monkeypatch.setattr(mongo, "PATIENCE", {"serverSelectionTimeoutMS": 200})
    monkeypatch.setenv("MONGO_URL", "mongodb://keeper:hush@127.0.0.1:1/atelier")
    with pytest.raises(mongo.StoreGone, match=r"does not answer: 127\.0\.0\.1:1: .*refused\. Start it") as error, mongo.opened():
        pass
    assert "hush" not in str(error.value)


def test_without_pymongo_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymongo", None)
    with pytest.raises(mongo.StoreNotInstalled, match="needs pymongo"), mongo.opened():
        pass


def test_the_command_tells_what_it_moved(database: Any, server: ferret.Server, letters: Path, tmp_path: Path) -> None:
    def ask(*words: str) -> str:
        done = subprocess.run(storage(*words), env=environment(MONGO_URL=server.url), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "100%" in done.stderr  # the progress bar
        return done.stdout

    told = ask("put", "--dataset", "letters", "--from", str(letters))
    assert told.startswith("letters: 4 labelled pictures and 4 other files, ")
    assert "8 sent" in told
    ask("get", "--dataset", "letters", "--to", str(tmp_path / "out"))
    assert contents(tmp_path / "out") == contents(letters)
