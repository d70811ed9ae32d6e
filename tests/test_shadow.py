"""A challenger beside the champion: set by a line of the ledger, asked beside the traffic, seen by nobody, and held against the gate."""

import asyncio
import hashlib
import json
import math
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import chdir, suppress
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper

from pipelines import configs, discovery, folders, predictions
from pipelines.artifacts import cache, lock
from pipelines.configs import ShadowCondition
from pipelines.ledger import lines as ledger
from pipelines.models import manifests
from pipelines.registry import challenge, gate, promotion, reconcile
from pipelines.registry import store as model_store
from pipelines.stages import promote as stage
from serving.inputs.bodies import Body
from serving.live import challenger, champion, comparisons, shadow
from serving.live.challenger import Asked
from serving.live.shadow import QUEUE
from tests.conftest import evaluate, expected, tiny_model
from tests.families.signatures import signed
from tests.forms import encoded, seven
from tests.services import Service, figures, make_serve, running, stop, stored, until
from tests.test_registry import WORDS, promoted

ANSWERS = [(family, *row) for family in discovery.names() for row in expected(family).AGREEING]


@pytest.mark.parametrize(("family", "answer", "same", "other"), ANSWERS)
def test_what_agrees(family: str, answer: dict[str, Any], same: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    answers = import_module(f"serving.{family}.answers")
    assert all(answers.agrees(answer, one) and answers.agrees(one, answer) for one in same)
    assert not any(answers.agrees(answer, one) or answers.agrees(one, answer) for one in other)
    assert all(found is None or 0 < found <= 1 for one in [answer, *same, *other] for found in [answers.confidence(one)])


def test_boxes_are_paired_one_to_one_whatever_comes_first() -> None:
    """The first box is close to both others, the second to one alone, which the first must leave to it."""
    answers = import_module("serving.signatures.answers")
    between, left, right = [10.0, 0.0, 100.0, 10.0], [0.0, 0.0, 100.0, 10.0], [35.0, 0.0, 100.0, 10.0]
    further = [-20.0, 0.0, 100.0, 10.0]
    assert answers.agrees(signed(between, further), signed(left, right))
    assert not answers.agrees(signed(right, further), signed(right, [200.0, 0.0, 100.0, 10.0]))


def test_the_interval_of_a_share_is_wilsons() -> None:
    """Brown, Cai and DasGupta (2001) give the formula; 196 of 200 worked out by hand."""
    assert gate.interval(196, 200) == pytest.approx((0.94971, 0.99219), abs=1e-5)
    assert gate.interval(0, 0) == (0, 1)
    assert gate.interval(200, 200)[1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("samples", "agreement", "holds", "said"),
    [
        (200, 0.98, True, "agreed with version 3 in 196 of 200 answers beside it (98.0%, 95 % interval 95.0% to 99.2%)"),
        (199, 1.0, False, "`make challenge family=digits candidate=digits-adam share=1` brings more"),
        (1000, 0.97, False, "at least 98.0% of 200 or more are asked"),
        (0, None, False, "in 0 of 0 answers"),
    ],
)
def test_the_gate_asks_for_samples_and_agreement(samples: int, agreement: float | None, holds: bool, said: str) -> None:
    found = {"samples": samples, "agreement": agreement}
    condition = gate.shadow(ShadowCondition(agreement=0.98, samples=200), found, 3, "digits", "digits-adam")
    assert (condition.name, condition.holds) == ("shadow", holds)
    assert said in condition.words
    assert ("make challenge" in condition.words) == (samples < 200)


# The ledger, and what follows it


def test_a_challenge_from_its_line_to_the_gate(project: Path) -> None:
    """digits-adam is version 1; digits-sgd has been trained and is better, and challenges it."""
    assert promoted("digits-adam", 1, 0.5)["version"] == 1
    tiny_model("digits-sgd", 2)
    evaluate("digits-sgd", 0.6)
    unknown_and_unfit_are_told()
    a_line_and_what_follows_it()
    the_gate_asks_for_what_was_shown()
    otherwise(Path("models/digits-adam"))
    with pytest.raises(challenge.BadChallenge, match="differ from version 2"):
        challenge.challenge("digits", "digits-adam", 0.1)


def unknown_and_unfit_are_told() -> None:
    told = {
        ("nobody", 0.1): "Choose one of: digits-",
        ("digits-sgd", 0.0): "candidate=none ends a challenge",
        ("digits-sgd", 1.5): "above 0, at most 1",
        ("digits-adam", 0.1): "is the champion itself: version 1",
    }
    for (candidate, share), words in told.items():
        with pytest.raises(challenge.BadChallenge, match=words):
            challenge.challenge("digits", candidate, share)
    with pytest.raises(challenge.BadChallenge, match="`make train family=objects`"):
        challenge.challenge("objects", discovery.candidates("objects")[0], 0.1)
    assert len(ledger.read("digits")) == 1


def a_line_and_what_follows_it() -> None:
    line = challenge.challenge("digits", "digits-sgd", 0.25)
    pointer = model_store.challenger("digits")
    assert line and pointer and pointer["challenge"] == line == ledger.challenger(ledger.read("digits"))
    assert (line["event"], line["version"], line["share"]) == ("challenge", 1, 0.25)
    assert pointer["tag"] == f"digits:c-{line['digest'][:12]}"
    assert manifests.verified(model_store.location(pointer["tag"]))["digest"] == line["digest"]
    assert model_store.read_pointer("digits")["model"]["version"] == 1

    model_store.pointer_path("digits", model_store.CHALLENGERS).unlink()
    assert challenge.challenge("digits", "digits-sgd", 0.25) == line  # asked again: no second line, and what was lost is back
    assert model_store.challenger("digits") == pointer

    ended = challenge.challenge("digits", challenge.NONE)
    assert ended and ended["share"] == 0
    assert model_store.challenger("digits") is None is ledger.challenger(ledger.read("digits"))
    assert [folder.name[:2] for folder in model_store.models("digits")] == ["v1"]
    assert challenge.challenge("digits", challenge.NONE) is None
    assert [line["event"] for line in ledger.read("digits")] == ["promote", "challenge", "challenge"]


def the_gate_asks_for_what_was_shown() -> None:
    """Closed while too little was compared, with the remedy; open once there is enough; then nobody challenges any more."""
    challenge.challenge("digits", "digits-sgd")
    champion, *_, challenger = (line["digest"] for line in ledger.read("digits"))
    cfg = configs.compose([*WORDS, "gate.confidence=0.001", "gate.shadow.agreement=0.9", "gate.shadow.samples=20"])
    reports = sorted(Path("reports/digits/candidates").glob("*.json"))
    before, refused = stage.agreements("digits", reports), promotion.promote(cfg)
    assert not refused["open"]
    assert "make challenge family=digits candidate=digits-sgd share=1" in refused["words"]
    predictions.Store().compare([compared(number, champion, challenger) for number in range(20)])
    assert stage.agreements("digits", reports) != before
    opened = promotion.promote(cfg)
    assert (opened["open"], opened["version"]) == (True, 2), opened["words"]
    assert "agreed with version 1 in 19 of 20 answers" in opened["words"]
    assert model_store.challenger("digits") is None is ledger.challenger(ledger.read("digits"))


def test_a_damaged_challenger_stands_in_nobodys_way(project: Path) -> None:
    """Its store is lost, and a file in DVC's cache is cut: commands warn, the champion stands, and nothing is asked for again and again."""
    promoted("digits-adam", 1, 0.5)
    cut = cached(tiny_model("digits-sgd", 2))
    line = challenge.challenge("digits", "digits-sgd", 0.5)
    for folder in ("models/digits-sgd", ".store/models", ".store/held", ".store/restored"):
        shutil.rmtree(folder, ignore_errors=True)
    whole = cut.read_bytes()
    cut.write_bytes(whole[:100])
    champion.update_store("digits")
    pointer = model_store.challenger("digits")
    assert pointer and pointer["challenge"] == line and "is damaged: its MD5 is not its name" in pointer["absent"]
    assert champion.Champion("digits").served.pointer["model"]["version"] == 1
    assert champion._up_to_date("digits")
    cut.write_bytes(whole)
    reconcile.reconcile("digits")
    pointer = model_store.challenger("digits")
    assert pointer and "absent" not in pointer and model_store.holds(pointer["tag"], pointer["model"]["digest"])
    model_store.pointer_path("digits", model_store.CHALLENGERS).write_text("{")
    assert not champion._up_to_date("digits")
    reconcile.reconcile("digits")
    assert model_store.challenger("digits") == pointer


def cached(folder: Path) -> Path:
    """Let DVC's cache and lock hold a model folder; the cached model.onnx."""
    listing = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        listing.append({"md5": kept(path.read_bytes()), "relpath": path.relative_to(folder).as_posix()})
    name = kept(json.dumps(listing).encode(), ".dir")
    lock.LOCK.write_text(json.dumps({"stages": {"train": {"outs": [{"path": folder.as_posix(), "md5": name}]}}}))
    return next(cache.path_of(entry["md5"]) for entry in listing if entry["relpath"] == "model.onnx")


def kept(content: bytes, kind: str = "") -> str:
    name = hashlib.md5(content, usedforsecurity=False).hexdigest() + kind
    cache.path_of(name).parent.mkdir(parents=True, exist_ok=True)
    cache.path_of(name).write_bytes(content)
    return name


def compared(number: int, champion: str, challenger: str) -> predictions.Row:
    times = {"milliseconds": 2.0, "champion_milliseconds": 1.0, "time": predictions.timestamp(1.7e9)}
    pair = {"champion": champion, "challenger": challenger, "agrees": number > 0, "confidence": 0.5}
    return {"id": f"{number:032x}", "family": "digits", **pair, **times}


def otherwise(folder: Path) -> None:
    """Let a model answer of nine digits."""
    manifest = manifests.read(folder)
    manifest["output"]["labels"] = manifest["output"]["labels"][:9]
    folders.write_json(folder / manifests.MANIFEST, manifest | {"digest": manifests.digest(manifest)})


def test_what_failed_is_begun_again_after_a_pause_that_grows() -> None:
    """Counted within the hour, not in a row: one that dies at every second answer is not loaded for ever."""
    now = [0.0]
    attempts, begun = shadow.Backoff(lambda: now[0]), []
    for second in range(2 * 3600):
        now[0] = float(second)
        if attempts.due:
            begun.append(second)
            attempts.failed()
    assert begun[:6] == [0, 1, 5, 21, 85, 341]
    assert len(begun) == 14  # seven an hour


class Followed(NamedTuple):
    """A champion, as far as a shadow looks at it."""

    family: str
    served: Any = None


def test_who_asks_how_it_stands_asks_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page does, at every visit: a database that takes the connection and is silent is not even called."""
    pointer = {"model": {"digest": "b" * 64}, "challenge": {"candidate": "digits-sgd"}}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        monkeypatch.setenv("PREDICTIONS_URL", f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing")
        beside = shadow.Shadow(Followed("digits"))
        assert beside.status() is None
        beside._pair = "a" * 64, pointer
        assert beside.status() == {**pointer, "refused": "", "asked": False, "samples": 0}
        with pytest.raises(BlockingIOError):
            silent.accept()


PICTURE = Asked(Body(False, b"picture"), (), {"prediction_id": "0" * 32})
HANGS = "import time; time.sleep(600)"
STANDS = SimpleNamespace(
    predictor=SimpleNamespace(manifest={"input": {}, "output": {}}), pointer={"model": {"version": 1, "digest": "a" * 64}}
)


@pytest.mark.parametrize("process", [HANGS, f"print('{{\"late\": true}}', flush=True); {HANGS}"])
def test_silence_is_no_verdict(process: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a challenger that nobody lets run, the gate must not read that it disagrees."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(challenger, "START", process)
    monkeypatch.setattr(challenger, "STUCK", 0.1 if process == HANGS else 60)
    late, pair = shadow.DROPPED.labels("digits", "late"), ("a" * 64, {"model": {"digest": "b" * 64}})
    before, beside = late._value.get(), shadow.Shadow(Followed("digits"))
    beside._pair, beside._share, beside._challenger = pair, 1.0, challenger.Challenger("digits", pair[1], STANDS)
    beside._waiting.put(shadow.Sample(PICTURE, pair[0], 0.001))
    beside._compare()
    assert late._value.get() == before + 1
    assert beside._comparisons._rows == []
    assert ("does not answer in time" in beside._refused) == (process == HANGS)
    beside._end()


def test_one_that_loads_holds_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(challenger, "START", HANGS)
    model, beside = {"version": None, "digest": "b" * 64}, shadow.Shadow(Followed("digits", STANDS))
    model_store.write_pointer(
        "digits", {"tag": "digits:c-bbbbbbbbbbbb", "model": model, "challenge": {"share": 1.0}}, model_store.CHALLENGERS
    )
    beside._follow()
    loading, told = beside._challenger, beside.status()
    assert loading and told and (told["asked"], told["refused"]) == (False, "")
    model_store.pointer_path("digits", model_store.CHALLENGERS).unlink()
    beside._polled = -math.inf
    beside._follow()
    assert beside.status() is None is beside._challenger
    assert loading._process.returncode == -signal.SIGKILL


class Answers:
    """A family's answers.py, as far as a comparison looks at it: of a confidence, or none in time."""

    def __init__(self, confidence: float | None) -> None:
        self._confidence = confidence

    async def predict(self, *asked: Any) -> dict[str, Any]:
        if self._confidence is None:
            await asyncio.Event().wait()
        return {}

    def agrees(self, one: dict[str, Any], other: dict[str, Any]) -> bool:
        return True

    def confidence(self, answer: dict[str, Any]) -> float | None:
        return self._confidence


@pytest.mark.parametrize(
    ("confidence", "told"),
    [
        (0.5, {"agrees": True, "confidence": 0.5}),
        (math.nan, {"agrees": False, "confidence": None, "failed": "ValueError: its confidence is nan"}),
        (math.inf, {"agrees": False, "confidence": None, "failed": "ValueError: its confidence is inf"}),
        (None, {"late": True}),
    ],
)
def test_what_is_told_of_a_challengers_answer(confidence: float | None, told: dict[str, Any]) -> None:
    limits = configs.serving("digits").model_copy(update={"limit_seconds": 60 if confidence else 0.01})
    verdict = asyncio.run(challenger.judged(Answers(confidence), PICTURE, None, limits))
    assert {key: value for key, value in verdict.items() if key != "seconds"} == told


def test_figures_of_rows_that_are_gone_go(tmp_path: Path) -> None:
    store, pair = predictions.Store(f"sqlite:///{tmp_path}/predictions.db"), ("a" * 64, "b" * 64)
    shown = [gauge.labels("digits", *(digest[:12] for digest in pair))._value for gauge in (comparisons.SAMPLES, comparisons.AGREEMENT)]
    seen = comparisons.Figures("digits", store)
    store.compare([compared(number, *pair) for number in range(4)])
    seen.select(pair)
    seen.refresh_in_time()
    assert [value.get() for value in shown] == [4, 0.75]
    store.prune("digits", 30)
    seen._polled = -math.inf
    seen.refresh_in_time()
    assert [value.get() for value in shown] == [0, pytest.approx(math.nan, nan_ok=True)]
    store.close()


# The service

FILE = {"image": ("seven.png", encoded(seven()), "image/png")}
SLOW = 1500  # rows of a matrix that is multiplied with itself for each answer, eight times: a second of a processor


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Version 1 serves; 2 answers as it does, 3 slowly and otherwise."""
    folder = tmp_path_factory.mktemp("shadow")
    pointers = {1: stored(folder, 1), 2: stored(folder, 2, change=twin), 3: stored(folder, 3, change=slow)}
    with running(folder, pointers, make_serve("digits")) as service:
        yield service


def twin(folder: Path) -> None:
    """The network of version 1 with another name: the same answers, another digest."""
    model = onnx.load(folder.with_name("model-1") / "model.onnx")
    model.doc_string = "twin"
    onnx.save(model, str(folder / "model.onnx"))


def slow(folder: Path) -> None:
    """The network after products of large matrices, which depend on the picture, so that nothing computes them once for all."""
    model = onnx.load(folder / "model.onnx")
    side, nothing = helper.make_tensor("side", TensorProto.INT64, [2], [SLOW, SLOW]), np.zeros((), np.float32)
    nodes = [
        helper.make_node("ReduceMax", ["logits"], ["most"], keepdims=0),
        helper.make_node("Expand", ["most", "side"], ["product0"]),
        *(helper.make_node("MatMul", [f"product{step}"] * 2, [f"product{step + 1}"]) for step in range(8)),
        helper.make_node("ReduceMin", ["product8"], ["heavy"], keepdims=0),
        helper.make_node("IsNaN", ["heavy"], ["wrong"]),
        helper.make_node("Cast", ["wrong"], ["some"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["some", "nothing"], ["light"]),
        helper.make_node("Add", ["logits", "light"], ["late"]),
        helper.make_node("Softmax", ["late"], ["probabilities"]),
    ]
    del model.graph.node[-1]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend([side, helper.make_tensor("nothing", TensorProto.FLOAT, [], nothing.tobytes(), raw=True)])
    onnx.save(model, str(folder / "model.onnx"))


def challenged(service: Service, version: int, share: float = 1.0) -> None:
    """Let a version challenge, as reconciling would."""
    pointer = service.pointers[version]
    line = {"candidate": f"digits-{version}", "share": share, "time": "2026-11-22T01:00:00Z", "digest": pointer["model"]["digest"]}
    with chdir(service.folder):
        model_store.write_pointer(
            "digits", {**pointer, "model": {**pointer["model"], "version": None}, "challenge": line}, model_store.CHALLENGERS
        )


def ready(service: Service, version: int) -> bool:
    return until(lambda: f"is challenged by digits-{version}" in service.log(), tries=600)


def alone(service: Service) -> None:
    with chdir(service.folder):
        model_store.pointer_path("digits", model_store.CHALLENGERS).unlink(missing_ok=True)
    assert until(lambda: not process(service))


def process(service: Service) -> list[psutil.Process]:
    """The challenger's, where there is one; what has ended is none."""
    found = []
    for child in psutil.Process(service.process.pid).children(recursive=True):
        with suppress(psutil.Error):
            found += [child] if "challenger" in " ".join(child.cmdline()) else []
    return found


def counted(service: Service, name: str, **labels: str) -> float:
    """The sum of a metric's series with these labels."""
    wanted = {f'{label}="{value}"' for label, value in labels.items()}
    found = {series: value for series, value in figures(service).items() if series.startswith(f"{name}{{")}
    return sum(value for series, value in found.items() if wanted <= {*series[len(name) + 1 : -1].split(",")})


def verdicts(service: Service, version: int, **labels: str) -> float:
    return counted(service, "atelier_shadow_answers_total", challenger=service.pointers[version]["model"]["digest"][:12], **labels)


def said(service: Service) -> dict[str, Any]:
    """An answer without its own name."""
    answer = service.predict(files=FILE)
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    assert told.pop("prediction_id")
    return told


@pytest.mark.slow
def test_where_nobody_challenges_nothing_is_shown(service: Service) -> None:
    alone(service)
    said(service)
    assert 'id="challenger"' not in service.client.get("/").text
    assert not process(service)


@pytest.mark.slow
def test_a_slow_challenger_delays_no_answer(service: Service) -> None:
    """All answers are given, and the same, before a challenger that takes a second for each has seen more than a few of them."""
    alone(service)
    before, lost = said(service), counted(service, "atelier_shadow_dropped_total", reason="full")
    challenged(service, 3)
    assert ready(service, 3)
    asked = QUEUE + 20
    assert [said(service) for _ in range(asked)] == [before] * asked
    done, dropped = verdicts(service, 3), counted(service, "atelier_shadow_dropped_total", reason="full") - lost
    assert done < asked - QUEUE
    assert dropped >= asked - QUEUE - done - 2
    assert until(lambda: verdicts(service, 3) + counted(service, "atelier_shadow_dropped_total", reason="late") > 0, tries=600)
    alone(service)  # which ends it in the middle of an answer


@pytest.mark.slow
def test_a_challenger_that_does_not_load_is_refused_and_told(service: Service) -> None:
    alone(service)
    service.pointers[4] = {**service.pointers[2], "tag": "digits:c-000000000000"}
    challenged(service, 4)
    assert until(lambda: counted(service, "atelier_shadow_refused") == 1, tries=600)
    page = service.client.get("/").text
    assert "does not run as challenger of version 1" in page
    assert "digits:c-000000000000 is not in the model store" in page
    assert "digits:c-000000000000 is not in the model store" in service.log()
    assert said(service)["model"]["version"] == 1
    models = service.folder / ".store/models/digits"
    shutil.copytree(models / service.pointers[2]["tag"].removeprefix("digits:"), models / "c-000000000000")
    assert until(lambda: counted(service, "atelier_shadow_refused") == 0, tries=600), "it is not tried again"
    assert ready(service, 4)
    alone(service)


@pytest.mark.slow
def test_a_challenger_is_compared_and_nobody_sees_it(service: Service) -> None:
    before = said(service)
    challenged(service, 2)
    assert ready(service, 2)
    assert [said(service) for _ in range(20)] == [before] * 20
    assert until(lambda: verdicts(service, 2, verdict="agrees") == 20)
    assert verdicts(service, 2) == 20
    pair = [service.pointers[version]["model"]["digest"] for version in (1, 2)]
    with chdir(service.folder):
        store = predictions.Store()
        assert until(lambda: store.agreement("digits", *pair)["samples"] == 20)
        rows = [row for row in store.comparisons("digits") if row["challenger"] == pair[1]]
        assert until(lambda: all(store.find(row["id"]) for row in rows))
    assert {(row["champion"], row["challenger"], row["agrees"]) for row in rows} == {(*pair, True)}
    assert all(row["milliseconds"] > 0 and row["champion_milliseconds"] > 0 and 0 < row["confidence"] <= 1 for row in rows)
    labels = {"champion": pair[0][:12], "challenger": pair[1][:12]}
    assert until(lambda: counted(service, "atelier_shadow_samples", **labels) == 20)
    assert counted(service, "atelier_shadow_agreement", **labels) == 1
    page = service.client.get("/").text
    for words in ("digits-2", "100.00%</strong> of 20 answers agree with version 1", "83.89% to 100.00%", "Mean confidence"):
        assert words in page


@pytest.mark.slow
def test_a_challenger_yields_to_everybody(service: Service) -> None:
    challenged(service, 2)
    assert until(lambda: bool(process(service)))
    challenger = process(service)[0]
    assert until(lambda: os.sched_getscheduler(challenger.pid) == os.SCHED_IDLE, tries=600)
    assert challenger.nice() == 19
    assert int(Path(f"/proc/{challenger.pid}/oom_score_adj").read_text()) == 1000


@pytest.mark.slow
def test_a_challenger_that_hangs_holds_nobody_and_its_queue_is_bounded(service: Service) -> None:
    """Stopped, it answers nothing at all: what it is given fills the queue, and the rest is dropped and counted."""
    challenged(service, 2)
    assert ready(service, 2)
    done, lost = verdicts(service, 2), counted(service, "atelier_shadow_dropped_total", reason="full")
    before = said(service)
    assert until(lambda: verdicts(service, 2) == done + 1, tries=600), service.log()
    challenger, more = process(service)[0], 6
    challenger.send_signal(signal.SIGSTOP)
    try:
        assert [said(service) for _ in range(QUEUE + more)] == [before] * (QUEUE + more)
        assert more - 2 <= counted(service, "atelier_shadow_dropped_total", reason="full") - lost <= more
    finally:
        challenger.send_signal(signal.SIGCONT)
    assert until(lambda: verdicts(service, 2) > done + QUEUE)


@pytest.mark.slow
def test_a_challenger_that_dies_is_begun_again_and_does_not_agree(service: Service) -> None:
    challenged(service, 2)
    assert ready(service, 2)
    before = said(service)
    assert until(lambda: verdicts(service, 2) > 0)
    first, failed = process(service)[0], verdicts(service, 2, verdict="failed")
    first.kill()
    assert until(lambda: said(service) == before and verdicts(service, 2, verdict="failed") == failed + 1)
    agreed = verdicts(service, 2, verdict="agrees")
    assert until(lambda: said(service) == before and verdicts(service, 2, verdict="agrees") > agreed, tries=600)
    assert first.pid not in {child.pid for child in process(service)}


@pytest.mark.slow
def test_a_pointer_that_cannot_be_read_is_told(service: Service) -> None:
    alone(service)
    with chdir(service.folder):
        folders.write(model_store.pointer_path("digits", model_store.CHALLENGERS), "{")
    assert until(lambda: counted(service, "atelier_shadow_refused") == 1)
    page = service.client.get("/").text
    assert "the challenger's pointer cannot be read. .store/challengers/digits.json cannot be read" in page
    alone(service)
    assert until(lambda: counted(service, "atelier_shadow_refused") == 0)
    assert 'id="challenger"' not in service.client.get("/").text


@pytest.mark.slow
def test_a_challenger_must_take_and_answer_what_the_champion_does(service: Service) -> None:
    with chdir(service.folder):
        pointer = service.pointers[2]
        manifest = manifests.read(model_store.location(pointer["tag"]))
        beside = {"input": manifest["input"], "output": manifest["output"], "version": 1}
        assert challenger.load("digits", pointer, beside).pointer == pointer
        with pytest.raises(challenger.ChallengerError, match=r"differ from version 1\. `make challenge family=digits"):
            challenger.load("digits", pointer, beside | {"input": {"shape": [None, 32, 32], "dtype": "uint8"}})


@pytest.mark.slow
def test_of_a_pair_that_is_over_no_figures_stay(service: Service) -> None:
    challenged(service, 2)
    assert until(lambda: counted(service, "atelier_shadow_samples") > 0)
    alone(service)
    assert until(lambda: counted(service, "atelier_shadow_samples") == 0)
    assert math.isnan(counted(service, "atelier_shadow_agreement"))


@pytest.mark.slow
def test_the_end_of_a_service_is_the_end_of_its_challenger_and_keeps_what_was_compared(service: Service) -> None:
    challenged(service, 2)
    assert until(lambda: bool(process(service)))
    seen = verdicts(service, 2)
    assert until(lambda: bool(said(service)) and verdicts(service, 2) > seen, tries=600)
    challenger, counts = process(service)[0], verdicts(service, 2)
    stop(service.process)
    assert until(lambda: not challenger.is_running())
    pair = [service.pointers[version]["model"]["digest"] for version in (1, 2)]
    with chdir(service.folder):
        assert predictions.Store().agreement("digits", *pair)["samples"] >= counts
