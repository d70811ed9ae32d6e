"""Flags: kept whole or not at all, once a picture, in bounds, and read by each family's own source; over HTTP as anybody sends them."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from importlib import import_module
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from PIL import Image

from pipelines import configs, discovery, folders
from pipelines.datasets import archives, labelled
from pipelines.families.gravures.parts import engravings
from pipelines.families.objects import data as objects
from pipelines.families.ocr.parts import transcribed
from pipelines.families.signatures.examples import LABELS
from serving.feedback import routes as feedback_routes
from serving.feedback import store
from serving.feedback.store import BrokenLog, Full, Picture, Stored
from serving.ocr import flags
from serving.problems import Refusal
from tests import papers
from tests.asked import UNWELCOME, assert_refused
from tests.conftest import ROOT
from tests.forms import FORMS, STORED, drawing, encoded, seven, turned
from tests.people import KEY, RIGHT
from tests.services import Service, make_serve, running, stored

LIMITS = configs.serving("digits")
PATIENCE = 60  # seconds for a process, also on a busy machine
FORK = multiprocessing.get_context("fork")  # a process at once: nothing is imported again
HOSTILE = ["../../evil.png", "/etc/passwd", "a\0.png", ".hidden.png", "x" * 500, ""]


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> Iterator[Path]:
    with chdir(tmp_path):
        yield tmp_path


def picture(number: int = 0, size: tuple[int, int] = (60, 80)) -> Picture:
    """Noise, another for each number."""
    return store.read(encoded(Image.fromarray(np.random.default_rng(number).integers(0, 255, size[::-1], np.uint8))), LIMITS)


def keep(family: str, correction: Any, of: Picture | None = None, **about: Any) -> Stored:
    return store.add(family, of or picture(), correction, import_module(f"serving.{family}.flags").files, about)


def rows(family: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("data/feedback", family, "flags.jsonl").read_text().splitlines()]


def files(family: str) -> set[str]:
    """What is in a family's folder."""
    folder = Path("data/feedback", family)
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def table() -> list[list[str]]:
    return [line.split("\t") for line in Path("data/feedback/ocr/labels.tsv").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_is_kept_in_the_bytes_that_were_sent(form: str) -> None:
    content = FORMS[form](drawing())
    sent = store.read(content, LIMITS)
    keep("digits", "7", sent)
    assert files("digits") == {"flags.jsonl", f"train/7/{sent.name}"}
    assert Path("data/feedback/digits/train/7", sent.name).read_bytes() == content
    assert sent.name.endswith({"png": ".png", "jpeg": ".jpg", "webp": ".webp"}[form.partition("-")[0]])


@pytest.mark.parametrize("orientation", STORED)
def test_the_size_of_a_picture_is_that_which_a_person_sees(orientation: int) -> None:
    sent = store.read(turned(drawing(), orientation, "JPEG"), LIMITS)
    assert (sent.width, sent.height) == drawing().size


def test_a_line_of_the_log_says_who_flagged_what_and_when() -> None:
    keep("digits", "7", user="ada", prediction_id="a" * 32, answer="2", digest="d" * 64)
    [row] = rows("digits")
    assert row.pop("time").endswith("+00:00")
    assert row == {
        "hash": picture().hash,
        "files": [f"train/7/{picture().name}"],
        "bytes": len(picture().content),
        "correction": "7",
        "replaced": None,
        "again": False,
        "user": "ada",
        "prediction_id": "a" * 32,
        "answer": "2",
        "digest": "d" * 64,
    }


def test_the_same_flag_twice_is_one() -> None:
    assert [keep("digits", "7"), keep("digits", "7")] == [Stored(picture().hash, again, 1) for again in (False, True)]
    assert len(rows("digits")) == 1


def test_another_correction_takes_the_place_of_the_first() -> None:
    keep("digits", "7")
    keep("digits", "7", picture(1))
    assert keep("digits", "1") == Stored(picture().hash, True, 2)
    assert keep("digits", "2", picture(1)) == Stored(picture(1).hash, True, 2)
    assert files("digits") == {"flags.jsonl", f"train/1/{picture().name}", f"train/2/{picture(1).name}"}
    assert not Path("data/feedback/digits/train/7").exists()  # an empty class folder is refused by ingest
    assert [(row["correction"], row["replaced"]) for row in rows("digits")] == [("7", None), ("7", None), ("1", "7"), ("2", "7")]


def test_a_picture_that_somebody_took_away_can_be_flagged_again() -> None:
    keep("digits", "7")
    Path("data/feedback/digits/train/7", picture().name).unlink()
    keep("digits", "7")
    assert files("digits") == {"flags.jsonl", f"train/7/{picture().name}"}


def test_class_folders_of_objects_are_read_into_train(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "DRAWN", {"train": (60, 1), "test": (40, 2)})
    for number, label in enumerate(["circle", "ring", "circle"]):
        keep("objects", label, picture(number, (32, 32)))
    cfg = configs.compose(["family=objects", "data.sources=[embedded,folder]", f"data.folder={Path('data/feedback/objects').absolute()}"])
    found = objects.READERS["folder"](cfg.data).examples
    assert sorted((example.split, example.label) for example in found) == [("train", "circle"), ("train", "circle"), ("train", "ring")]
    Path("out").mkdir()
    card = objects.prepare(cfg, Path("out"))
    assert card["counts"]["train"] + card["counts"]["valid"] == 60 + 3


def test_drawings_of_gravures_are_read_as_such() -> None:
    keep("gravures", "circle")
    keep("gravures", "wave", picture(1))
    keep("gravures", "bar")
    found = engravings.read(archives.contents(Path("data/feedback/gravures")))
    assert [(drawn.engraving, drawn.content) for drawn in found.drawn] == [("bar", picture().content), ("wave", picture(1).content)]
    assert not found.official + found.catalogue


@pytest.mark.parametrize("boxes", [[], [[5.0, 6.0, 20.0, 30.0]], [[0.0, 0.0, 60.0, 80.0], [33.25, 1.5, 7.75, 2.5]]], ids=len)
def test_boxes_of_signatures_are_read_as_they_were_drawn(boxes: list[list[float]]) -> None:
    keep("signatures", [[1.0, 1.0, 2.0, 2.0]])
    keep("signatures", boxes)
    [page] = labelled.read(Path("data/feedback/signatures"), LABELS)
    assert (page.content, page.document) == (picture().content, picture().hash)
    assert page.boxes.tolist() == [pytest.approx(box, abs=0.01) for box in boxes]


def test_lines_of_ocr_are_a_table_without_quotes() -> None:
    texts = ['12" x 3" "A"', "TOTAL  4.50", "caf\u00e9 \u20ac 5", ""]
    for number, text in enumerate(texts):
        keep("ocr", text, picture(number))
    keep("ocr", "TOTAL 4.50", picture(1))
    named = [
        [picture(number).name, text, picture(number).hash] for number, text in [(0, texts[0]), (2, texts[2]), (3, ""), (1, "TOTAL 4.50")]
    ]
    assert table() == [["file", "text", "group"], *named]
    assert files("ocr") == {"flags.jsonl", "labels.tsv", *(f"images/{name}" for name, _, _ in named)}
    found = transcribed.read(Path("data/feedback/ocr"), skip_broken=False, allow_empty=True)
    assert [[*line.row[1:]] for line in found.lines] == sorted(row for row in named if row[1] != texts[2])
    assert found.unknown == {picture(2).name: "\u00e9\u20ac"}  # said, and passed over


def test_rows_that_a_person_has_mended_stay_as_they_are() -> None:
    keep("ocr", "TOTAI")
    path = Path("data/feedback/ocr/labels.tsv")
    path.write_text(path.read_text().replace("TOTAI", "TOTAL"))
    keep("ocr", "CASH", picture(1))
    assert [text for _, text, _ in table()[1:]] == ["TOTAL", "CASH"]


def refused(family: str, word: str, of: Picture | None = None, **predictor: Any) -> str:
    with pytest.raises(Refusal) as caught:
        import_module(f"serving.{family}.flags").read(word, of or picture(), SimpleNamespace(predictor=SimpleNamespace(**predictor)))
    assert caught.value.status == 422
    return str(caught.value)


@pytest.mark.parametrize("word", ["", "cats", "Cat", "../cat", "cat\0", "x" * 20_000])
def test_a_class_that_is_none_is_refused_with_the_choices(word: str) -> None:
    words = refused("objects", word, labels=["cat", "dog"])
    assert "Send one of: cat, dog." in words
    assert len(words) < 200


BOXES = {
    "nothing": "",
    "text": "a signature",
    "three numbers": "[[1, 2, 3]]",
    "five numbers": "[[1, 2, 3, 4, 5]]",
    "not in a list": "[1, 2, 3, 4]",
    "texts": '[["1", "2", "3", "4"]]',
    "not finite": "[[1, 2, NaN, 4]]",
    "endless": "[[1e999, 2, 3, 4]]",
    "a long number": f"[[{'9' * 5000}, 2, 3, 4]]",
    "an object": '{"boxes": []}',
    "deep": "[" * 10_000,
    "true": "[[true, 2, 3, 4]]",
    "off the page": "[[50, 2, 30, 4]]",
    "left of it": "[[-5, 2, 30, 4]]",
    "no size": "[[5, 5, 0, 10]]",
    "too many": json.dumps([[1, 1, 5, 5]] * 201),
}


@pytest.mark.parametrize("word", BOXES.values(), ids=BOXES)
def test_boxes_that_are_none_are_refused(word: str) -> None:
    words = refused("signatures", word)
    assert "Send all signatures of the page as [[x, y, w, h], ...]" in words
    assert len(words) < 600


@pytest.mark.parametrize("word", ["two\nlines", "a\ttab", "nul\0", "\u2028", "carriage\rreturn", "x" * 501])
def test_text_that_is_no_line_is_refused(word: str) -> None:
    assert "line" in refused("ocr", f"a{word}b")


def test_a_picture_that_ingest_would_not_take_is_no_line() -> None:
    assert flags.SMALLEST == transcribed.SMALLEST
    assert "60 x 3 pixels; a line has at least 4" in refused("ocr", "TOTAL", picture(size=(60, 3)))


def test_a_picture_with_nothing_on_it_teaches_no_digit() -> None:
    from pipelines.families.digits.picture import Convention

    blank = store.read(encoded(Image.new("L", (30, 30), 255)), LIMITS)
    assert "blank" in refused("digits", "7", blank, convention=Convention(), labels=list(range(10)))


def test_no_more_are_kept_than_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST", 2)
    keep("digits", "7")
    keep("digits", "7", picture(1))
    before = files("digits")
    with pytest.raises(Full, match=r"2 corrections with 0 MB.*allowed: 2 and 2,000 MB.*Move the folder"):
        keep("digits", "7", picture(2))
    keep("digits", "7")  # known already
    keep("objects", "cat")  # another family
    assert files("digits") == before


def test_no_more_megabytes_are_kept_than_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_MB", 1.5 * len(picture().content) / 1e6)
    keep("digits", "7")
    with pytest.raises(Full):
        keep("digits", "7", picture(1))


@pytest.mark.parametrize("line", ["{", "[]", "7", '{"hash": "a"}', "\udcff"])
def test_a_log_that_was_broken_by_hand_is_named(line: str) -> None:
    keep("digits", "7")
    path, before = Path("data/feedback/digits/flags.jsonl"), files("digits")
    path.write_bytes(path.read_bytes() + line.encode(errors="surrogateescape") + b"\n")
    with pytest.raises(BrokenLog, match=r"flags.jsonl, line 2, is no flag"):
        keep("digits", "7", picture(1))
    assert files("digits") == before


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", ".hidden/a", "/etc/evil", "", "a//b", "a\0b", "a\\b"])
def test_nothing_is_written_outside_of_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match="not a path below"):
        store.add("digits", picture(), "7", lambda picture, correction, folder: {name: b"evil"}, {})
    assert files("digits") == set()


def test_a_full_disk_leaves_all_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk refuses each of the files in turn."""
    keep("ocr", "TOTAL")
    before = {name: Path("data/feedback/ocr", name).read_bytes() for name in files("ocr")}
    written = folders.write
    for refused_ in ("flags.jsonl", f"images/{picture(1).name}", "labels.tsv"):

        def full(path: Path, content: bytes, refused_: str = refused_) -> None:
            written(path, content[: len(content) // 2])
            if str(path).endswith(refused_):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(folders, "write", full)
        with pytest.raises(OSError, match="No space left"):
            keep("ocr", "CASH", picture(1))
        assert {name: Path("data/feedback/ocr", name).read_bytes() for name in files("ocr")} == before
        assert [path.name for path in Path("data/feedback").iterdir() if path.name.endswith("draft")] == []


def forked(work: Callable[..., object], *words: object) -> Callable[[], int | None]:
    """Work in a process of its own; how it ended, once it has."""
    process = FORK.Process(target=work, args=words)
    process.start()
    return lambda: process.join(PATIENCE) or process.exitcode


def kept(family: str, correction: Any, numbers: Sequence[int]) -> None:
    for number in numbers:
        keep(family, correction, picture(number))


def killed(after: int, family: str, correction: Any, of: Picture) -> None:
    """Killed before the rename that comes after so many."""
    left, placed = iter(range(after)), store._placed

    def place(*words: Any) -> None:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        placed(*words)

    store._placed = place
    keep(family, correction, of)


def test_two_processes_that_flag_at_once_lose_nothing() -> None:
    """Both flag some of the same pictures, each with its own correction, and some of their own."""
    ends = [forked(kept, "ocr", word, range(begin, end)) for word, begin, end in (("ONE", 0, 10), ("TWO", 5, 15))]
    assert [end() for end in ends] == [0, 0]
    latest = {row["hash"]: row["correction"] for row in rows("ocr")}
    assert {name: text for name, text, _ in table()[1:]} == {f"{hash_}.png": text for hash_, text in latest.items()}
    assert len(table()) == 16
    assert sum(row["again"] for row in rows("ocr")) == 5
    assert files("ocr") == {"flags.jsonl", "labels.tsv", *(f"images/{picture(number).name}" for number in range(15))}


def of_ocr() -> None:
    transcribed.read(Path("data/feedback/ocr"), skip_broken=False, allow_empty=True)


def of_signatures() -> None:
    labelled.read(Path("data/feedback/signatures"), LABELS)


def of_objects() -> None:
    settings = SimpleNamespace(folder=Path("data/feedback/objects").absolute(), skip_broken=False, licence="", citation="")
    objects.READERS["folder"](settings)


def of_gravures() -> None:
    engravings.read(archives.contents(Path("data/feedback/gravures")))


READS: dict[str, Callable[[], None]] = {"gravures": of_gravures, "objects": of_objects, "ocr": of_ocr, "signatures": of_signatures}


@pytest.mark.parametrize("renamed", [0, 1, 2])
@pytest.mark.parametrize("number", [0, 1], ids=["again", "new"])
@pytest.mark.parametrize("family", READS)
def test_what_is_killed_between_writing_and_renaming_leaves_what_can_be_read(family: str, number: int, renamed: int) -> None:
    """The next flag puts right what was left."""
    first, second = ([[1.0, 1.0, 5.0, 5.0]], []) if family == "signatures" else ("first", "second")
    keep(family, first)
    end = forked(killed, renamed, family, second, picture(number))()
    assert end == (-signal.SIGKILL if renamed < 2 + (family in {"ocr", "signatures"}) else 0)
    READS[family]()
    keep(family, first, picture(2))
    keep(family, second, picture(number))
    READS[family]()
    assert len({name for name in files(family) if picture(number).hash in Path(name).name}) == 1 + (family == "signatures")
    assert not [path.name for path in Path("data/feedback").iterdir() if path.name.endswith("draft")]


@pytest.mark.parametrize("renamed", [1, 2])
def test_the_same_flag_again_puts_right_what_was_left(renamed: int) -> None:
    """Killed behind flags.jsonl, which has the correction already."""
    keep("ocr", "first")
    keep("ocr", "other", picture(1))
    assert forked(killed, renamed, "ocr", "second", picture())() == -signal.SIGKILL
    assert [text for _, text, _ in table()[1:]] == ["first", "other"]
    assert keep("ocr", "second") == Stored(picture().hash, True, 2)
    assert sorted(text for _, text, _ in table()[1:]) == ["other", "second"]
    assert len(rows("ocr")) == 3


def test_a_rename_that_failed_is_put_right_by_the_same_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    keep("ocr", "first")
    placed = store._placed

    def place(draft: Path, folder: Path, name: PurePosixPath) -> None:
        if name.name == "labels.tsv":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        placed(draft, folder, name)

    with monkeypatch.context() as patched, pytest.raises(OSError, match="Input/output"):
        patched.setattr(store, "_placed", place)
        keep("ocr", "second")
    keep("ocr", "second")
    assert [text for _, text, _ in table()[1:]] == ["second"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("project")
    with running(folder, {1: stored(folder, 1)}, make_serve("digits")) as service:
        yield service


def flag(service: Service, correction: str, content: bytes = b"", name: str = "a.png", **more: Any) -> httpx.Response:
    """Flag a picture."""
    fields = {"correction": correction, **more.pop("fields", {})}
    return service.client.post("/flag", files={"image": (name, content or encoded(seven()))}, data=fields, **more)


def test_a_flag_is_kept_and_corrected(service: Service) -> None:
    answers = [flag(service, word) for word in ("7", "7", "2")]
    assert [answer.status_code for answer in answers] == [201] * 3
    known = {"kept": True, "hash": store.read(encoded(seven()), LIMITS).hash, "count": 1}
    assert [answer.json() for answer in answers] == [{**known, "again": again} for again in (False, True, True)]
    with chdir(service.folder):
        assert [(row["correction"], row["answer"]) for row in rows("digits")] == [("7", None), ("2", None)]
        assert {row["digest"] for row in rows("digits")} == {service.pointers[1]["model"]["digest"]}
        assert files("digits") == {"flags.jsonl", f"train/2/{known['hash']}.png"}
    assert '"again": true' in service.log()
    assert_refused(flag(service, "eleven"), 422, ("'eleven'", "Send one of: 0, 1, 2, 3"))
    assert service.client.get("/flag").json() == {"choices": [str(digit) for digit in range(10)]}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_name_of_a_file_is_nobodys_to_trust(service: Service, name: str) -> None:
    before = {path for path in service.folder.rglob("*") if path.is_file()}
    response = flag(service, "7", encoded(seven().rotate(len(name) % 90 + 1)), name or "a.png")
    assert response.status_code == 201, response.text
    new = {path for path in service.folder.rglob("*") if path.is_file()} - before
    assert {path.parent for path in new} <= {service.folder / "data/feedback/digits/train/7"}
    assert {path.stem for path in new} <= {response.json()["hash"]}


@pytest.mark.parametrize("name", [name for name, (request, _, _) in UNWELCOME.items() if "image" in request.get("files", {})])
def test_a_picture_that_other_paths_refuse_is_refused_here_too(service: Service, name: str) -> None:
    request, status, words = UNWELCOME[name]
    assert_refused(service.client.post("/flag", files=request["files"], data={"correction": "7"}), status, words)


def test_what_is_no_form_is_refused(service: Service) -> None:
    picture = encoded(seven())
    assert_refused(service.client.post("/flag", content=picture, headers={"content-type": "image/png"}), 415, ("multipart/form-data",))
    assert_refused(service.client.post("/flag", json={"correction": "7"}), 415, ("multipart/form-data",))
    pages = papers.paper([papers.ink([(1, 1, 9, 9)])])
    assert_refused(flag(service, "7", pages), 415, ("PNG, JPEG or WebP",))


def test_forms_that_say_too_little_or_too_much_are_refused(service: Service) -> None:
    picture = {"image": ("a.png", encoded(seven()))}
    asked: list[tuple[dict[str, Any], str]] = [
        ({"files": picture}, "'correction' is missing"),
        ({"files": {"correction": (None, "7")}}, "'image' is missing"),
        ({"files": picture, "data": {"correction": "7", "corection": "7"}}, "'corection' is not known"),
        ({"files": picture, "data": {"correction": ["7", "1"]}}, "twice"),
        ({"files": picture, "data": {"correction": "7", "prediction_id": "../x"}}, "32 hexadecimal digits"),
        ({"files": picture, "data": {"correction": "7", "digest": "a" * 64 + "\n"}}, "64 hexadecimal digits"),
        ({"files": picture, "data": {"correction": "7" * 20_001}}, "at most 20,000 characters"),
        ({"files": picture, "data": {"correction": "7", "answer": "7" * 20_001}}, "at most 20,000 characters"),
    ]
    for request, words in asked:
        assert_refused(service.client.post("/flag", **request), 422, (words,))


@pytest.mark.parametrize("headers", [{"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}])
def test_a_page_of_another_site_flags_nothing(service: Service, headers: dict[str, str]) -> None:
    assert_refused(flag(service, "7", headers=headers), 403, ("another site",))


def test_a_folder_that_cannot_be_written_is_a_refusal_and_no_failure(service: Service) -> None:
    """A file stands where the folder should be: that stops root, too."""
    folder, aside = service.folder / "data/feedback", service.folder / "aside"
    flag(service, "7")
    folder.rename(aside)
    folder.write_text("no folder")
    try:
        assert_refused(flag(service, "7"), 503, ("data/feedback/digits cannot be written", "flag again"))
    finally:
        folder.unlink()
        aside.rename(folder)
    assert flag(service, "7").status_code == 201


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_said_to_be_full(number: int) -> None:
    refusal = feedback_routes._refusal("digits", OSError(number, os.strerror(number)))
    assert (refusal.status, refusal.reason) == (507, "disk full")
    assert feedback_routes._refusal("digits", Full("enough")).status == 507
    assert feedback_routes._refusal("digits", BrokenLog("broken")).status == 503


def test_many_flags_at_once_are_all_kept(service: Service) -> None:
    contents = [picture(number).content for number in range(100, 112)]
    with ThreadPoolExecutor(6) as pool:
        responses = [*pool.map(lambda content: flag(service, "3", content), contents)]
    assert [response.status_code for response in responses] == [201] * 12
    kept = {path.name for path in (service.folder / "data/feedback/digits/train/3").iterdir()}
    assert {store.read(content, LIMITS).name for content in contents} <= kept


def test_the_description_says_what_a_flag_is(service: Service) -> None:
    ways = service.client.get("/openapi.json").json()["paths"]["/flag"]
    form = ways["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["image", "correction"]
    assert {"201", "400", "403", "413", "415", "422", "503", "507"} <= set(ways["post"]["responses"])
    assert "digit" in form["properties"]["correction"]["description"]


@pytest.mark.slow
def test_behind_a_token_flags_have_a_name(tmp_path: Path) -> None:
    more = {"AUTH": "required", "AUTH_KEY": KEY, "ADMIN_USER": "ada", "ADMIN_PASSWORD": RIGHT}
    with running(tmp_path, {1: stored(tmp_path, 1, "signatures")}, make_serve("signatures"), **more) as service:
        assert_refused(flag(service, "[]"), 401, ("token",))
        assert not Path("data").exists()
        form = {"grant_type": "password", "username": "ada", "password": RIGHT}
        headers = {"Authorization": f"Bearer {service.client.post('/token', data=form).json()['access_token']}"}
        told = {"prediction_id": "b" * 32, "answer": "[[1, 2, 3, 4]]"}
        assert flag(service, "[[5, 5, 20, 30]]", headers=headers, fields=told).status_code == 201
        assert_refused(flag(service, "[[5, 5, 20, 300]]", headers=headers), 422, ("leaves the page, which is 60 x 80 pixels",))
        assert service.client.get("/flag", headers=headers).json() == {"choices": None}
        assert {key: rows("signatures")[0][key] for key in ("user", *told)} == {"user": "ada", **told}
        [page] = labelled.read(Path("data/feedback/signatures"), LABELS)
        assert page.boxes.tolist() == [[5, 5, 20, 30]]


def test_feedback_is_no_output_of_the_pipeline_and_out_of_git() -> None:
    outs = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["ingest"]["do"]["outs"]
    assert outs == [
        {"data/${item}": {"persist": True}},
        {"reports/${item}/ingest.json": {"cache": False, "persist": True}},
    ]  # DVC deletes no others
    assert "feedback" not in discovery.names()
    assert subprocess.run(["git", "check-ignore", "-q", "data/feedback/ocr/labels.tsv"], cwd=ROOT, check=False).returncode == 0
