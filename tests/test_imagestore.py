"""The image store against a real server: what goes in comes out as the same bytes, whatever is cut, and never by half."""

import fcntl
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

from pipelines import folders
from pipelines.datasets import archives, labelled, labels
from pipelines.imagestore import connection, datasets, downloads, gridfs, weights
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
    return [sys.executable, "-m", "atelier", *words]


def cut(command: list[str], enough: Callable[[], bool], url: str) -> None:
    """Run a command and kill it as soon as enough has happened."""
    with subprocess.Popen(command, env=environment(MONGO_URL=url), stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 500
        while not enough() and time.monotonic() < deadline:
            assert process.poll() is None, "the command ended before it could be cut"
            time.sleep(0.01)
        process.kill()


def test_a_folder_comes_out_as_it_went_in(database: Any, letters: Path, tmp_path: Path) -> None:
    put = datasets.put("letters", letters)
    assert put == (4, 4, sum(map(len, contents(letters).values())), 8)
    assert datasets.get("letters", tmp_path / "out") == put
    assert contents(tmp_path / "out") == contents(letters)
    assert datasets.fingerprint("letters") == archives.fingerprint(letters)
    assert datasets.size("letters") == archives.size(letters)
    assert not list(tmp_path.glob(".out*"))


def test_a_tar_comes_out_as_its_folder(database: Any, letters: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "letters.tar.gz", "w:gz") as archive:
        archive.add(letters, "all/letters")
    datasets.put("letters", tmp_path / "letters.tar.gz")
    datasets.get("letters", tmp_path / "out")
    assert contents(tmp_path / "out/all/letters") == contents(letters)


def test_what_readers_of_pages_are_given(database: Any, letters: Path) -> None:
    datasets.put("letters", letters)
    found = list(datasets.labelled("letters"))
    assert [name for name, _, _ in found] == ["brief é 'x'.JPG", "deep/page.png", "page0.png", "page1.png"]
    assert [label for _, _, label in found] == [VOC, YOLO * 2, YOLO, b""]
    assert all(content == (letters / "images" / name).read_bytes() for name, content, _ in found)
    assert datasets.manifest("letters") == b"file,document\r\n"


def test_a_data_set_without_a_manifest(database: Any, tmp_path: Path) -> None:
    datasets.put("pages", pages(tmp_path / "pages", 2))
    assert datasets.manifest("pages") is None
    assert [name for name, _, _ in datasets.labelled("pages")] == ["0000.png", "0001.png"]


def test_what_a_document_holds(database: Any, letters: Path) -> None:
    datasets.put("letters", letters)
    document = database.images.find_one({"name": "images/page0.png"})
    assert (document["dataset"], document["label"]) == ("letters", YOLO)
    assert document["raw_image"] == (letters / "images/page0.png").read_bytes()
    with Image.open(io.BytesIO(document["resized_image"])) as resized:
        assert (resized.format, resized.mode, resized.size) == ("PNG", "L", (608, 608))


def test_nothing_is_sent_twice(database: Any, letters: Path) -> None:
    assert datasets.put("letters", letters).transferred == 8
    assert datasets.put("letters", letters).transferred == 0
    (letters / "labels/page0.txt").write_bytes(YOLO * 3)
    (letters / "labels_tight/page0.txt").unlink()
    assert datasets.put("letters", letters).transferred == 1
    assert (database.images.count_documents({}), database.files.count_documents({})) == (4, 3)
    assert datasets.fingerprint("letters") == archives.fingerprint(letters)


def test_data_sets_do_not_mix(database: Any, letters: Path, tmp_path: Path) -> None:
    datasets.put("one", letters)
    assert datasets.put("two", letters).transferred == 8
    datasets.put("two", pages(tmp_path / "other", 1))
    datasets.get("one", tmp_path / "out")
    assert contents(tmp_path / "out") == contents(letters)


def test_a_picture_that_no_document_can_hold(database: Any, tmp_path: Path) -> None:
    files = {"scan.bmp": picture(0, "BMP", (4100, 4100)), "scan.txt": YOLO}
    folder = written(tmp_path / "large", files)
    assert len(files["scan.bmp"]) > 16 << 20
    datasets.put("large", folder)
    assert "raw_image" not in database.images.find_one({})
    (stored,) = GridFSBucket(database, "large").find({"filename": "scan.bmp"})
    assert stored.read() == files["scan.bmp"]
    assert datasets.put("large", folder).transferred == 0
    datasets.get("large", tmp_path / "out")
    assert contents(tmp_path / "out") == files
    for name in files:
        (folder / name).unlink()
    datasets.put("large", pages(folder, 1))
    assert not database["large.chunks"].count_documents({})
    assert not database["large.files"].count_documents({})


def test_an_upload_that_is_killed_shows_nothing_and_goes_on(database: Any, server: ferret.Server, tmp_path: Path) -> None:
    folder = pages(tmp_path / "pages", 30)
    command = storage("store-put", "--dataset", "pages", "--from", str(folder))
    cut(command, lambda: database.images.count_documents({}) >= 3, server.url)
    sent = database.images.count_documents({})
    assert 3 <= sent < 30
    with pytest.raises(downloads.NotStored, match=r"no complete data set 'pages'. It has: none"):
        datasets.fingerprint("pages")
    with pytest.raises(downloads.NotStored):
        list(datasets.labelled("pages"))
    assert datasets.put("pages", folder).transferred == 30 - sent
    datasets.get("pages", tmp_path / "out")
    assert contents(tmp_path / "out") == contents(folder)


def test_an_old_data_set_stands_until_the_new_one_is_whole(
    database: Any, letters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets.put("letters", letters)
    before = contents(letters)
    for name in ("page0", "page1"):
        (letters / f"images/{name}.png").write_bytes(picture(9))
    with monkeypatch.context() as patched:
        patched.setattr(datasets, "_publish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            datasets.put("letters", letters)
    datasets.get("letters", tmp_path / "old")
    assert contents(tmp_path / "old") == before
    assert datasets.put("letters", letters).transferred == 0
    datasets.get("letters", tmp_path / "new")
    assert contents(tmp_path / "new") == contents(letters)


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_download_that_is_cut_leaves_nothing_under_its_name_and_goes_on(
    database: Any, letters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets.put("letters", letters)
    write, done = datasets._write, list[str]()

    def few(part: Path, row: datasets.Row, content: bytes, label: bytes) -> None:
        if len(done) == 5:
            write(part, row, content[:5], label)
            raise KeyboardInterrupt
        done.append(row.name)
        write(part, row, content, label)

    with monkeypatch.context() as patched:
        patched.setattr(datasets, "_write", few)
        with pytest.raises(KeyboardInterrupt):
            datasets.get("letters", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert datasets.get("letters", tmp_path / "out").transferred == 8 - 5
    assert contents(tmp_path / "out") == contents(letters)
    assert not list(tmp_path.glob(".out*"))


def test_what_is_there_already_is_not_written_over(database: Any, letters: Path, tmp_path: Path) -> None:
    for get in (datasets.get, weights.get_cfg, weights.get_weights):
        with pytest.raises(downloads.Occupied, match="letters exists already"):
            get("letters", letters)


def test_an_unknown_data_set_names_those_there_are(database: Any, letters: Path, tmp_path: Path) -> None:
    datasets.put("letters", letters)
    with pytest.raises(downloads.NotStored, match=r"'leters'. It has: letters"):
        datasets.get("leters", tmp_path / "out")


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        ({"a.png": b"broken", "a.txt": YOLO}, labelled.BrokenPicture, "a.png cannot be decoded"),
        ({"a.png": picture(0)}, labelled.Unpaired, "have no label file: a.png"),
        ({"a.png": picture(0), "a.txt": bytes(labels.LARGEST + 1)}, labels.BadLabel, "a.txt has 1000001 bytes"),
        ({"a\\b.png": picture(0), "a\\b.txt": YOLO}, datasets.UnsafeName, "no name below a folder"),
    ],
)
def test_what_is_no_data_set_is_refused(database: Any, tmp_path: Path, files: dict[str, bytes], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        datasets.put("bad", written(tmp_path / "bad", files))
    with pytest.raises(downloads.NotStored):
        datasets.size("bad")


def test_a_tar_that_climbs_is_refused(database: Any, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        member = tarfile.TarInfo("../evil.png")
        archive.addfile(member)
    with pytest.raises(datasets.UnsafeName, match=r"\.\./evil\.png"):
        datasets.put("bad", tmp_path / "bad.tar")


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt", "a/../../evil.txt", "a\\..\\evil.txt", "", "./evil.txt"])  # noqa: S108
@pytest.mark.parametrize("key", ["name", "label_name"])
def test_a_name_that_leaves_the_folder_is_not_written(database: Any, letters: Path, tmp_path: Path, key: str, name: str) -> None:
    datasets.put("letters", letters)
    database.images.update_one({"name": "images/page0.png"}, {"$set": {key: name}})
    hashes = {row["name"]: row["sha256"] for kind in ("images", "files") for row in database[kind].find()}
    hashes |= {row["label_name"]: row["label_sha256"] for row in database.images.find()}
    database.datasets.update_one({}, {"$set": {"sha256": folders.hash_of(hashes)}})
    with pytest.raises((datasets.UnsafeName, downloads.Damaged)):
        datasets.get("letters", tmp_path / "to/out")
    assert not list(tmp_path.rglob("evil*"))
    assert not (tmp_path / "to/out").exists()


@pytest.mark.parametrize("change", [{"$set": {"raw_image": b"other"}}, {"$set": {"label": b"other"}}, {"$unset": {"dataset": 1}}])
def test_what_was_changed_in_the_store_does_not_come_out(database: Any, letters: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    datasets.put("letters", letters)
    database.images.update_one({"name": "images/page0.png"}, change)
    with pytest.raises(downloads.Damaged, match="not what was put in"):
        datasets.get("letters", tmp_path / "out")
    with pytest.raises(downloads.Damaged):
        list(datasets.labelled("letters"))
    assert not (tmp_path / "out").exists()


def test_a_cfg_comes_out_as_it_went_in_and_the_newest_of_its_name(database: Any, tmp_path: Path) -> None:
    path = written(tmp_path, {"tiny.cfg": b"[net]\r\nwidth=416\n"}) / "tiny.cfg"
    assert (weights.put_cfg(path), weights.put_cfg(path)) == (17, 0)
    path.write_bytes(b"[net]\nwidth=608\n")
    weights.put_cfg(path)
    weights.get_cfg("tiny.cfg", tmp_path / "out.cfg")
    assert (tmp_path / "out.cfg").read_bytes() == path.read_bytes()
    document = database.config.find_one({}, sort=[("date", 1)])
    assert (document["file_name"], document["configuration_file"]) == ("tiny.cfg", b"[net]\r\nwidth=416\n")
    with pytest.raises(downloads.NotStored, match=r"no 'full.cfg' in config. It has: tiny.cfg"):
        weights.get_cfg("full.cfg", tmp_path / "full.cfg")
    assert not (tmp_path / "full.cfg").exists()


def test_files_that_cannot_be_put(database: Any, tmp_path: Path) -> None:
    with pytest.raises(weights.UnusableFile, match=r"none.cfg is not a file"):
        weights.put_cfg(tmp_path / "none.cfg")
    with pytest.raises(weights.UnusableFile, match=r"1000001 bytes; a cfg has at most 1000000. Weights are put in with weights="):
        weights.put_cfg(written(tmp_path, {"large.cfg": bytes(1_000_001)}) / "large.cfg")


def test_weights_are_gridfs_files(database: Any, tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(2 * gridfs.CHUNK + 7)
    path = written(tmp_path, {"tiny.weights": content}) / "tiny.weights"
    assert (weights.put_weights(path), weights.put_weights(path)) == (len(content), 0)
    (stored,) = GridFSBucket(database, "weights").find({"filename": "tiny.weights"})
    assert stored.read() == content
    assert stored.metadata == {"sha256": hashlib.sha256(content).hexdigest()}
    path.write_bytes(b"")
    weights.put_weights(path)
    assert weights.get_weights("tiny.weights", tmp_path / "empty") == 0
    path.write_bytes(content)
    assert weights.put_weights(path) == 0
    weights.get_weights("tiny.weights", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content


def test_weights_that_are_cut_show_nothing_and_go_on(
    database: Any, server: ferret.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = np.random.default_rng(0).bytes(16 * gridfs.CHUNK)
    path = written(tmp_path, {"full.weights": content}) / "full.weights"
    chunks = database["weights.chunks"]
    cut(storage("store-put", "--weights", str(path)), lambda: chunks.count_documents({}) >= 3, server.url)
    sent = chunks.count_documents({})
    assert 3 <= sent < 16
    with pytest.raises(downloads.NotStored, match=r"no 'full.weights' in weights.files. It has: none"):
        weights.get_weights("full.weights", tmp_path / "out")
    assert (16 - sent) * gridfs.CHUNK - weights.put_weights(path) in {0, gridfs.CHUNK}  # one may have been on its way

    read, starts = gridfs.read, list[int]()

    def short(*words: Any) -> Iterator[bytes]:
        starts.append(words[-1])
        yield next(read(*words))
        if len(starts) == 1:
            raise KeyboardInterrupt
        yield from list(read(*words))[1:]

    monkeypatch.setattr(gridfs, "read", short)
    with pytest.raises(KeyboardInterrupt):
        weights.get_weights("full.weights", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    weights.get_weights("full.weights", tmp_path / "out")
    assert starts == [0, gridfs.CHUNK]
    assert (tmp_path / "out").read_bytes() == content
    assert not list(tmp_path.glob(".out*"))


def test_weights_that_were_changed_do_not_come_out(database: Any, tmp_path: Path) -> None:
    path = written(tmp_path, {"tiny.weights": b"weights"}) / "tiny.weights"
    weights.put_weights(path)
    database["weights.chunks"].update_one({}, {"$set": {"data": b"strange"}})
    with pytest.raises(downloads.Damaged, match="not what was put in"):
        weights.get_weights("tiny.weights", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.weights"]


def test_a_server_that_goes_in_the_middle_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, store = pages(tmp_path / "pages", 8), datasets._store
    monkeypatch.setattr(connection, "TIMEOUTS", connection.TIMEOUTS | {"serverSelectionTimeoutMS": 500})
    with ferret.running(tmp_path / "ferretdb") as server, monkeypatch.context() as patched:
        patched.setenv("MONGO_URL", server.url)

        def fatal(*words: Any) -> None:
            store(*words)
            if words[2].name == "0003.png":
                server.process.kill()
                server.process.wait()

        patched.setattr(datasets, "_store", fatal)
        with pytest.raises(connection.StoreError, match="run the same command again: it resumes") as gone:
            datasets.put("pages", folder)
        assert ferret.QUOTED not in str(gone.value)
    with ferret.running(tmp_path / "ferretdb") as server:
        monkeypatch.setenv("MONGO_URL", server.url)
        with pytest.raises(downloads.NotStored):
            datasets.fingerprint("pages")
        assert datasets.put("pages", folder).transferred == 8 - 4
        datasets.get("pages", tmp_path / "out")
    assert contents(tmp_path / "out") == contents(folder)


def test_a_wrong_password_is_named_as_such_and_not_printed(server: ferret.Server, tmp_path: Path) -> None:
    url = server.url.replace(ferret.QUOTED, "wr0ng%40word")
    done = subprocess.run(
        storage("store-get", "--dataset", "letters", "--to", str(tmp_path / "out")),
        env=environment(MONGO_URL=url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("StoreError: the image store refuses: Authentication failed. Correct name and password in MONGO_URL")
    assert "wr0ng" not in done.stdout + done.stderr


@pytest.mark.parametrize("scheme", ["mongodb://", "mongodb+bad://", ""])
@pytest.mark.parametrize("place", ["admin:hush/hush@127.0.0.1:1/atelier", "admin:hu@sh@127.0.0.1/a", "127.0.0.1:hush"])
def test_a_broken_address_is_not_printed(monkeypatch: pytest.MonkeyPatch, scheme: str, place: str) -> None:
    monkeypatch.setenv("MONGO_URL", scheme + place)
    with pytest.raises(connection.StoreError, match="MONGO_URL is not an address of MongoDB") as error, connection.opened():
        pass
    assert "hu" not in str(error.value).replace("the", "")


def test_no_address_and_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONGO_URL", raising=False)
    with pytest.raises(connection.StoreError, match="MONGO_URL is not set"), connection.opened():
        pass
    monkeypatch.setattr(connection, "TIMEOUTS", {"serverSelectionTimeoutMS": 200})
    monkeypatch.setenv("MONGO_URL", "mongodb://admin:hush@127.0.0.1:1/atelier")
    with pytest.raises(connection.StoreError, match=r"does not answer: 127\.0\.0\.1:1: .*refused\. Start it") as error, connection.opened():
        pass
    assert "hush" not in str(error.value)


def test_without_pymongo_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymongo", None)
    with pytest.raises(connection.StoreError, match="needs pymongo"), connection.opened():
        pass


def test_the_command_tells_what_it_moved(database: Any, server: ferret.Server, letters: Path, tmp_path: Path) -> None:
    def ask(*words: str) -> str:
        done = subprocess.run(storage(*words), env=environment(MONGO_URL=server.url), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "100%" in done.stderr  # the progress bar
        return done.stdout

    told = ask("store-put", "--dataset", "letters", "--from", str(letters))
    assert told.startswith("letters: 4 labelled images and 4 other files, ")
    assert "8 sent" in told
    ask("store-get", "--dataset", "letters", "--to", str(tmp_path / "out"))
    assert contents(tmp_path / "out") == contents(letters)


def test_one_get_at_a_time_writes_a_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process's get of other contents would delete what this one has fetched so far."""
    monkeypatch.chdir(tmp_path)
    with downloads.reserved(Path("out")):
        (lock,) = Path(".store/imagestore").iterdir()
        with lock.open("a") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
