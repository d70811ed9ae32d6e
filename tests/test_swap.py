"""The model under a running service changes: what was asked is answered, by the version it names; what is not fit to serve is refused."""

import asyncio
import gc
import json
import os
import re
import shutil
import subprocess
import sys
import weakref
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from pipelines import configs, databases, discovery, processes
from pipelines.models import checksums, manifests, selfcheck
from pipelines.registry import store
from serving import endpoints, health
from serving.inputs import pictures
from serving.live import champion, handover
from serving.live.champion import Champion
from tests.conftest import decided, expected, network
from tests.forms import encoded, seven
from tests.services import Service, environment, figures, make_serve, running, stored, until

CONNECTIONS, MOVES = 32, 20
PROCESSES = 3  # two workers and the spare one
FAMILIES = discovery.names()


def put(version: int, family: str = "digits") -> store.Pointer:
    """A tiny model of this version in the store of the working directory, and a pointer to it."""
    folder = Path(f"{family}-{version}")
    if not folder.exists():
        cfg = configs.compose([f"family={family}", f"candidate={discovery.candidates(family)[0]}"])
        manifests.write(folder, cfg, "d" * 64, network(family, folder, seed=version))
    manifest = manifests.read(folder)
    origin = {"family": family, "version": version, "digest": manifest["digest"], "data": manifest["data"], "commit": None}
    return {"tag": store.put(folder, version), "model": {**origin, "run_id": f"run-{version}"}, "released": False}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pointers(place: Path) -> dict[int, store.Pointer]:
    """Two versions of digits in the store; the first one stands."""
    found = {version: put(version) for version in (1, 2)}
    store.write_pointer("digits", found[1])
    return found


# the golden example


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stored_model_answers_its_example_and_no_other_one_does(place: Path, family: str) -> None:
    first, other = (store.location(put(version, family)["tag"]) for version in (1, 2))
    predictor = discovery.part(family, "predict").Predictor(first)
    selfcheck.check(predictor, first)
    shutil.copyfile(other / selfcheck.EXAMPLE, first / selfcheck.EXAMPLE)
    with pytest.raises(selfcheck.NotAsExpected, match=f"make rollback family={family}"):
        selfcheck.check(predictor, first)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_model_has_the_same_example_wherever_it_is_made(place: Path, family: str) -> None:
    folder = store.location(put(1, family)["tag"])
    made = (folder / selfcheck.EXAMPLE).read_bytes()
    (folder / selfcheck.EXAMPLE).unlink()
    assert store.has_example(put(1, family)["tag"])
    assert (folder / selfcheck.EXAMPLE).read_bytes() == made


@pytest.mark.parametrize("family", FAMILIES)
def test_the_released_champion_finds_something_in_its_example(family: str) -> None:
    """So that a runtime that computes something else is noticed: an answer of nothing would be the same everywhere."""
    folder = Path(__file__).parents[1] / "released" / decided(family)
    room, predictor = discovery.part(family, "probe"), discovery.part(family, "predict").Predictor(folder)
    kept = room.arrays(predictor.predict(room.example(predictor.convention)))
    assert expected(family).recognised(kept), kept


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime", "opencv"])
def test_every_runtime_of_signatures_answers_the_released_example(place: Path, runtime: str) -> None:
    folder = shutil.copytree(Path(__file__).parents[1] / "released/signatures", place / "signatures")
    selfcheck.copy(folder, folder)
    selfcheck.check(discovery.part("signatures", "predict").Predictor(folder, runtime), folder)


NUMBERS = np.array([0.25, 0.75], np.float32)
TEXT = np.array(["Total"])


@pytest.mark.parametrize(
    ("found", "expected", "words"),
    [
        (NUMBERS, NUMBERS + 0.0009, ""),
        (NUMBERS, NUMBERS + 0.0011, "off by 0.0011"),
        (NUMBERS, np.append(NUMBERS, 0), r"shape \[2\], expected \[3\]"),
        (NUMBERS * np.nan, NUMBERS, "off by nan"),
        (NUMBERS[:0], NUMBERS[:0], ""),
        (TEXT, TEXT, ""),
        (TEXT, np.array(["TOtal"]), "'Total'.*'TOtal'"),
        (None, TEXT, "is missing"),
        (TEXT, None, "is new"),
    ],
)
def test_numbers_are_close_and_texts_are_equal(found: Any, expected: Any, words: str) -> None:
    told = selfcheck._difference(found, expected, 1e-3)
    assert bool(told) == bool(words)
    assert re.search(words, told)


# what is refused


def truncated(folder: Path) -> None:
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[: len(content) // 2])


def another(folder: Path) -> None:
    """Another network, and a manifest that agrees with it: its example does not."""
    cfg = configs.compose(["family=digits", "candidate=digits-adam"])
    shutil.rmtree(folder / "native", ignore_errors=True)
    manifests.write(folder, cfg, "d" * 64, network("digits", folder, seed=9))


def without_example(folder: Path) -> None:
    (folder / selfcheck.EXAMPLE).unlink()


def with_another_example(folder: Path) -> None:
    shutil.copyfile(store.location(put(1)["tag"]) / selfcheck.EXAMPLE, folder / selfcheck.EXAMPLE)


def with_half_an_example(folder: Path) -> None:
    (folder / selfcheck.EXAMPLE).write_bytes((folder / selfcheck.EXAMPLE).read_bytes()[:200])


def with_a_swelling_example(folder: Path) -> None:
    with zipfile.ZipFile(folder / selfcheck.EXAMPLE, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{selfcheck.INPUT}.npy", bytes(selfcheck.LIMIT_MB * 1_000_000 + 1))


FAULTS: dict[Callable[[Path], None], tuple[str, str]] = {  # the whole words, and those for everybody
    truncated: ("model.onnx is missing or altered", "incomplete or altered"),
    shutil.rmtree: ("not in the model store", "not in the store"),
    another: ("has the digest", "incomplete or altered"),
    without_example: ("cannot be read", "golden example failed"),
    with_half_an_example: ("cannot be read", "golden example failed"),
    with_a_swelling_example: ("unpacked it has 64 MB", "golden example failed"),
    with_another_example: ("answers its golden example otherwise", "golden example failed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_fit_to_serve_is_refused_until_it_is_mended(
    pointers: dict[int, store.Pointer], caplog: pytest.LogCaptureFixture, fault: Callable[[Path], None]
) -> None:
    followed = Champion("digits")
    folder = store.location(pointers[2]["tag"])
    fault(folder)
    store.write_pointer("digits", pointers[2])
    for _ in range(3):
        followed.poll()
    assert followed.served.pointer == pointers[1]
    assert followed.rejected and followed.rejected["version"] == 2
    assert FAULTS[fault][0] in followed.rejected["why"]
    assert FAULTS[fault][1] == followed.rejected["reason"]
    assert str(Path.cwd()) not in followed.rejected["why"]
    assert caplog.text.count("digits keeps serving version 1") == 1

    (folder / selfcheck.EXAMPLE).unlink(missing_ok=True)  # as the refusal says
    put(2)
    followed.poll()
    assert (followed.served.pointer, followed.rejected) == (pointers[2], None)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_service_does_not_start_with_what_is_not_fit_to_serve(pointers: dict[int, store.Pointer], fault: Callable[[Path], None]) -> None:
    fault(store.location(pointers[1]["tag"])) if fault != with_another_example else shutil.copyfile(
        store.location(pointers[2]["tag"]) / selfcheck.EXAMPLE, store.location(pointers[1]["tag"]) / selfcheck.EXAMPLE
    )
    with pytest.raises((manifests.BrokenModel, store.NotStored, selfcheck.NotAsExpected), match=FAULTS[fault][0]) as refused:
        Champion("digits")
    assert "make " in str(refused.value) or "Fetch the model again" in str(refused.value)


def test_a_pointer_that_is_gone_or_nonsense_leaves_the_old_one_serving(pointers: dict[int, store.Pointer]) -> None:
    followed = Champion("digits")
    for nonsense in ("", "{", "[1]", '{"tag": "digits:v1"}'):
        store.pointer_path("digits").write_text(nonsense)
        followed.poll()
        assert followed.served.pointer == pointers[1]
        assert followed.rejected is not None, nonsense
    store.pointer_path("digits").unlink()
    followed.poll()
    assert followed.rejected and "has no champion" in followed.rejected["why"]
    store.write_pointer("digits", pointers[1])
    followed.poll()
    assert followed.rejected is None


@pytest.mark.parametrize("key", ["version", "digest", "data"])
def test_a_pointer_that_is_not_what_was_written_names_nothing_to_serve(pointers: dict[int, store.Pointer], key: str) -> None:
    followed, path = Champion("digits"), store.pointer_path("digits")
    store.write_pointer("digits", pointers[2])
    written = json.loads(path.read_text())
    altered = {**written, "model": {**written["model"], key: 7 if key == "version" else "e" * 64}}
    path.write_text(json.dumps(altered))
    followed.poll()
    assert followed.served.pointer == pointers[1]
    assert followed.rejected and "is not what was written" in followed.rejected["why"] and "`make ui`" in followed.rejected["why"]
    if key != "data":  # which the tag does not hold
        path.write_text(json.dumps({name: value for name, value in altered.items() if name != checksums.SUM}))
        with pytest.raises(store.NoChampion, match="its sum, or the version and digest in its tag"):
            store.read_pointer("digits")


def test_a_pointer_that_cannot_be_read_is_an_absence_and_nothing_ends_the_watch(
    pointers: dict[int, store.Pointer], monkeypatch: pytest.MonkeyPatch
) -> None:
    followed, path, faults = Champion("digits"), store.pointer_path("digits"), iter([RuntimeError("a fault of ours")])
    path.unlink()
    path.mkdir()
    followed.poll()
    assert followed.rejected and "Is a directory" in followed.rejected["why"]
    path.rmdir()
    store.write_pointer("digits", pointers[2])
    _stamp = champion._stamp

    def stamp(asked: Path) -> champion.Stamp:
        for fault in faults:
            raise fault
        return _stamp(asked)

    def swapped(pause: float) -> bool:
        return followed.served.pointer == pointers[2]

    monkeypatch.setattr(champion, "_stamp", stamp)
    monkeypatch.setattr(followed, "_ended", SimpleNamespace(wait=swapped))
    followed._watch()
    assert next(faults, None) is None


def test_a_champion_that_has_ended_follows_no_pointer(pointers: dict[int, store.Pointer]) -> None:
    followed = Champion("digits")
    followed.end()
    store.write_pointer("digits", pointers[2])
    followed._watch()
    assert followed.served.pointer == pointers[1]


def test_where_only_words_of_the_pointer_move_the_model_stays(pointers: dict[int, store.Pointer]) -> None:
    followed = Champion("digits")
    before = followed.served
    store.write_pointer("digits", {**pointers[1], "released": True})
    followed.poll()
    assert followed.served.pointer["released"] is True
    assert followed.served.predictor is before.predictor


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (databases.NoDatabase("postgresql://ada@db.example does not answer"), "database unreachable"),
        (RuntimeError("/keys/model.pem"), "does not load"),
    ],
)
def test_everybody_is_told_a_word_and_the_log_the_whole(
    pointers: dict[int, store.Pointer], caplog: pytest.LogCaptureFixture, fault: Exception, reason: str
) -> None:
    def beside(predictor: Any) -> None:
        if predictor.manifest["digest"] == pointers[2]["model"]["digest"]:
            raise fault

    app = FastAPI()
    app.state.champion = Champion("digits", beside)
    store.write_pointer("digits", pointers[2])
    app.state.champion.poll()
    health.mount(app)
    for asked in (app, health.Ready(app, app)):
        path = "/health" if asked is app else health.READY
        assert TestClient(asked).get(path).json()["refused"] == {"version": 2, "why": reason}
    assert str(fault) in caplog.text
    assert str(fault) in app.state.champion.rejected["why"]


def test_what_failed_for_another_reason_than_its_files_is_tried_again_soon_and_then_less_often(
    pointers: dict[int, store.Pointer], monkeypatch: pytest.MonkeyPatch
) -> None:
    away: list[str] = []

    def beside(_: Any) -> None:
        if away:
            raise ConnectionError("the database is away")

    followed = Champion("digits", beside)
    away.append("yes")
    store.write_pointer("digits", pointers[2])
    followed.poll()
    assert followed.rejected == {"version": 2, "reason": "does not load", "why": "ConnectionError: the database is away"}
    pauses = [_pause(followed)]
    while len(pauses) < 8:
        followed._try(pointers[2])
        pauses.append(_pause(followed))
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]
    away.clear()
    followed.poll()
    assert followed.rejected, "not before its time"
    monkeypatch.setattr(champion, "LATER", 0.0)
    away.append("yes")
    followed._try(pointers[2])
    away.clear()
    followed.poll()
    assert followed.served.pointer == pointers[2]


def _pause(followed: Champion) -> float:
    assert followed._rejected
    return followed._rejected.pause


CRASHES = """
import os, sys
from serving.live.champion import Champion
Champion("digits", lambda predictor: predictor.manifest["digest"] == sys.argv[1] and os._exit(9))
"""


def test_a_version_that_ends_the_process_is_tried_once(
    pointers: dict[int, store.Pointer], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(handover.VARIABLE, str(place / "current.json"))
    Champion("digits")
    store.write_pointer("digits", pointers[2])
    told = [sys.executable, "-c", CRASHES, pointers[2]["model"]["digest"]]
    done = subprocess.run(told, env=environment(place), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (9, ""), done.stderr
    followed = Champion("digits")
    followed.poll()
    assert followed.served.pointer == pointers[1]
    assert followed.rejected and followed.rejected["reason"] == "crashed a worker"
    assert "make rollback family=digits" in followed.rejected["why"]

    os.utime(store.folder_of(pointers[2]["tag"]) / "model.onnx")  # put there again
    followed.poll()
    assert followed.served.pointer == pointers[2]
    assert [path.name for path in place.glob("current.json.trying-*") if path.name.endswith(processes.myself())] == []


def test_another_process_with_the_number_of_one_that_crashed_hides_no_crash(
    pointers: dict[int, store.Pointer], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(handover.VARIABLE, str(place / "current.json"))
    handover.note(pointers[1])
    with handover.trying(pointers[2], "files"):
        (mark,) = place.glob("current.json.trying-*")
    assert not mark.exists()
    mark.with_name(f"{mark.name}9").touch()  # of this number, begun at another time
    with pytest.raises(handover.Crashed), handover.trying(pointers[2], "files"):
        pass


# the old one


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_old_model_is_freed_once_the_last_request_has_its_answer(place: Path, family: str) -> None:
    both = {version: put(version, family) for version in (1, 2)}
    store.write_pointer(family, both[1])
    followed = Champion(family)
    request, old = followed.served, weakref.ref(followed.served.predictor)
    gc.collect()
    gc.freeze()
    gc.disable()  # nobody comes to pick up what holds itself
    try:
        store.write_pointer(family, both[2])
        followed.poll()
        assert followed.served.pointer == both[2]
        assert old() is request.predictor
        del request
        assert old() is None
    finally:
        gc.enable()
        gc.unfreeze()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_answers_on_when_its_folder_is_deleted(place: Path, family: str) -> None:
    store.write_pointer(family, put(1, family))
    followed = Champion(family)
    folder = store.location(followed.served.pointer["tag"])
    batch, _ = selfcheck.read(folder)
    before = discovery.part(family, "probe").arrays(followed.served.predictor.predict(batch))
    shutil.rmtree(folder)
    followed.poll()
    after = discovery.part(family, "probe").arrays(followed.served.predictor.predict(batch))
    assert {name: array.tolist() for name, array in after.items()} == {name: array.tolist() for name, array in before.items()}
    assert followed.rejected is None


# over HTTP


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("project")
    with running(folder, {version: stored(folder, version) for version in (1, 2)}, make_serve("digits", "--workers", "2")) as service:
        assert until(lambda: service.log().count("answers are recorded in") == PROCESSES)  # all stand at version 1
        yield service


@pytest.mark.slow
def test_twenty_moves_under_load_lose_no_request_and_no_answer_is_another_versions(service: Service) -> None:
    answers = asyncio.run(Load(service).moved())
    expected = {version: probabilities(service, pointer) for version, pointer in service.pointers.items()}
    assert {status for status, _ in answers} == {200}
    for _, answer in answers:
        ranks = {rank["digit"]: rank["confidence"] for rank in answer["ranking"]}
        assert [ranks[digit] for digit in range(10)] == pytest.approx(expected[answer["model"]["version"]], abs=1e-4)
        assert answer["model"] == service.pointers[answer["model"]["version"]]["model"]
    assert max(np.abs(np.subtract(expected[1], expected[2]))) > 0.1


def probabilities(service: Service, pointer: store.Pointer) -> list[float]:
    """What the model that a pointer names says of the seven."""
    predictor = discovery.part("digits", "predict").Predictor(service.folder / store.folder_of(pointer["tag"]).relative_to(Path.cwd()))
    return predictor.predict(predictor.convention.from_grey(pictures.inked(seven()))[None])[0].tolist()


class Load:
    """32 connections that ask for the same picture again and again, while the pointer is moved."""

    def __init__(self, service: Service) -> None:
        self.service, self.stopped = service, False
        self.log, self.said = (service.folder / "log").open(), 0
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.latest = [1] * CONNECTIONS
        sent = service.client.build_request("POST", "/predict", files={"image": ("seven.png", encoded(seven()), "image/png")})
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.headers.items())
        self.request = f"POST /predict HTTP/1.1\r\n{head}\r\n".encode() + sent.read()

    async def moved(self) -> list[tuple[int, dict[str, Any]]]:
        """Every answer that was given during the moves."""
        asking = [asyncio.create_task(self._ask(number)) for number in range(CONNECTIONS)]
        for move in range(MOVES):
            version = 2 - move % 2
            self.service.point(self.service.pointers[version])
            async with asyncio.timeout(60):
                while not self._follow(version, PROCESSES * (move + 1)) and not any(task.done() for task in asking):
                    await asyncio.sleep(0.02)
        self.stopped = True
        await asyncio.gather(*asking)
        return self.answers

    def _follow(self, version: int, times: int) -> bool:
        """Has every connection an answer of this version, and have the processes followed so many times together?"""
        self.said += sum("digits now serves version" in line for line in self.log.readlines())
        return set(self.latest) == {version} and self.said == times

    async def _ask(self, number: int) -> None:
        reader, writer = await asyncio.open_connection(self.service.client.base_url.host, self.service.client.base_url.port)
        while not self.stopped:
            writer.write(self.request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].split()[0])
            answer = json.loads(await reader.readexactly(length))
            self.answers.append((int(head.split()[1]), answer))
            self.latest[number] = answer.get("model", {}).get("version")
        writer.close()
        await writer.wait_closed()


@pytest.mark.slow
def test_a_refused_version_is_told_by_ready_health_and_page_until_it_is_mended(service: Service) -> None:
    def told(path: str, words: str) -> bool:
        response = service.client.get(path)
        assert response.status_code == 200
        return words in response.text

    assert until(lambda: service.log().count("Application startup complete") == PROCESSES), service.log()
    before = service.client.get("/readyz").json()
    other = next(pointer for pointer in service.pointers.values() if pointer["model"] != before["model"])
    assert before == {"status": "ok", "model": before["model"], "refused": None}
    example = service.folder / ".store/models" / other["tag"].replace(":", "/") / selfcheck.EXAMPLE
    kept = example.read_bytes()
    example.write_bytes(kept[:100])
    service.point(other)
    for path in ("/readyz", "/health", "/"):
        words = "cannot be read" if path == "/" else "golden example failed"
        assert until(lambda path=path, words=words: told(path, words)), path  # type: ignore[misc]
    assert str(service.folder) not in service.client.get("/readyz").text
    assert service.predict(files={"image": ("seven.png", encoded(seven()), "image/png")}).json()["model"] == before["model"]
    refused = 'atelier_model_refused{family="digits"}'
    assert until(lambda: figures(service)[refused] == 1)

    worker = workers(service)[0]
    worker.kill()  # what begins anew serves what stood, too
    worker.wait(60)
    assert until(lambda: len(workers(service)) == PROCESSES), service.log()
    assert until(lambda: service.log().count("Application startup complete") == PROCESSES + 1), service.log()
    for _ in range(8):
        with httpx.Client(base_url=service.client.base_url) as client:
            assert client.get("/readyz").json()["model"] == before["model"]

    example.write_bytes(kept)
    assert until(lambda: all(service.client.get("/readyz").json()["model"] == other["model"] for _ in range(8))), service.log()
    assert service.client.get("/readyz").json()["refused"] is None
    assert until(lambda: figures(service)[refused] == 0), "a worker that has ended refuses nothing"


def workers(service: Service) -> list[psutil.Process]:
    return [child for child in psutil.Process(service.process.pid).children() if "--multiprocessing-fork" in child.cmdline()]


def test_a_service_that_has_no_model_yet_is_not_ready() -> None:
    async def behind(*_: Any) -> None:
        raise AssertionError("/readyz is answered before")

    response = TestClient(health.Ready(FastAPI(), behind)).get("/readyz")
    assert (response.status_code, response.json()) == (503, {"status": "starting", "model": None, "refused": None})
    assert health.READY in endpoints.PROBES
