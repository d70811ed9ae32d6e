"""One candidate against what stands: refused once, killed at any step, decided by two at once.

Each promotion has a process of its own, forked where MLflow is loaded already, and the same folder is laid out anew for each test:
MLflow keeps absolute paths.
"""

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pipelines import configs
from pipelines.ledger import cross_checks
from pipelines.ledger import lines as ledger
from pipelines.models import manifests
from pipelines.registry import promotion, reconcile, rollback, store
from pipelines.stages import promote as stage
from serving.live import champion
from tests.conftest import embedded_data, evaluate, recorded, tiny_model
from tests.test_registry import state

WORDS = ["family=digits", "run=smoke", "data.sources=[embedded]", "gate.floor=0.1", "gate.confidence=0.001", "gate.gain=0"]
CLOSED = [*WORDS, "gate.floor=0.99"]
STANDING, CHALLENGER = {"digits-adam": 0.5, "digits-sgd": 0.6}, ("digits-rmsprop", 0.7)
FORKED = multiprocessing.get_context("forkserver")
LOADED = [
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "bentoml.models",
    "bentoml._internal.models.model",
    "hydra",
    "onnxruntime",
]
FORKED.set_forkserver_preload(
    [__name__, *LOADED, *(f"pipelines.families.digits.{part}" for part in ("examples", "predict", "score", "settings"))]
)
SECONDS = 120


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(a project, a copy of it): versions 1 and 2 promoted, a better candidate evaluated."""
    place = tmp_path_factory.mktemp("promotion") / "project"
    place.mkdir()
    forked(place, trained)
    copy = place.with_name("template")
    shutil.copytree(place, copy, symlinks=True)
    return place, copy


def trained() -> None:
    embedded_data()
    for seed, (candidate, accuracy) in enumerate([*STANDING.items(), CHALLENGER]):
        tiny_model(candidate, seed)
        evaluate(candidate, accuracy)
        if candidate in STANDING:
            decided(WORDS)


@pytest.fixture
def place(template: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project as the template has it, as the working directory."""
    shutil.rmtree(template[0])
    shutil.copytree(template[1], template[0], symlinks=True)
    monkeypatch.chdir(template[0])
    return template[0]


def forked(place: Path, work: Callable[..., Any], *words: Any) -> Any:
    """What `work` gives in a process of its own."""
    with ProcessPoolExecutor(1, FORKED) as pool:
        return pool.submit(_there, place, work, *words).result(SECONDS)


def _there(place: Path, work: Callable[..., Any], *words: Any) -> Any:
    os.chdir(place)
    return work(*words)


def decided(words: list[str]) -> dict[str, Any]:
    """The promote stage itself; returns what promotion.json holds."""
    cfg = configs.compose(words)
    stage.write_decision(cfg, promotion.promote(cfg))
    report: dict[str, Any] = json.loads(Path("reports/digits/promotion.json").read_text())
    return report


def recovered() -> tuple[dict[str, Any], dict[str, Any]]:
    """The stage once more, and what then stands."""
    return decided(WORDS), state()


def events() -> list[tuple[str, int | None]]:
    return [(line["event"], line["version"]) for line in ledger.read("digits")]


TWO = [("promote", 1), ("promote", 2)]


@pytest.mark.slow
def test_a_closed_gate_is_one_line_whatever_is_measured_again(place: Path) -> None:
    """The same refusal twice, and with another latency; another gate is another decision, and an open one promotes."""
    pointer = store.pointer_path("digits").read_bytes()
    first = forked(place, decided, CLOSED)
    report = json.loads(Path("reports/digits/candidates/digits-rmsprop.json").read_text())
    Path("reports/digits/candidates/digits-rmsprop.json").write_text(json.dumps({**report, "latency_ms": report["latency_ms"] + 0.01}))
    recorded(Path("reports/digits/candidates/digits-rmsprop.json"))
    assert (first["open"], forked(place, decided, CLOSED)["version"]) == (False, 2)
    assert events() == [*TWO, ("refuse", 2)]
    line = ledger.read("digits")[-1]
    assert line["reasons"][0] == "accuracy 0.7000 on validation, at least 0.9900 is asked"
    assert (line["candidate"], line["digest"], line["figures"]["valid"]["accuracy"]) == ("digits-rmsprop", report["digest"], 0.7)
    assert store.pointer_path("digits").read_bytes() == pointer, "a service would load the same model again"
    assert champion._up_to_date("digits"), "each start of a service would load MLflow"
    forked(place, decided, [*CLOSED, "gate.floor=0.98"])
    assert events() == [*TWO, ("refuse", 2), ("refuse", 2)]
    assert forked(place, decided, WORDS)["version"] == 3
    assert forked(place, decided, WORDS)["words"] == "digits-rmsprop is the champion already: version 3."
    assert events() == [*TWO, ("refuse", 2), ("refuse", 2), ("promote", 3)]


def test_what_has_stood_before_stands_again_as_a_version_of_its_own(place: Path) -> None:
    """Version 2 was not rolled back from, but passed over: the same comparison as before, and a decision of its own."""
    forked(place, decided, WORDS)
    forked(place, rollback.rollback, "digits", 1)
    shutil.rmtree("models/digits-rmsprop")
    report, after = forked(place, recovered)
    assert report["version"] == after["pointer"]["version"] == after["champion"] == 4
    assert events() == [*TWO, ("promote", 3), ("rollback", 1), ("promote", 4)]


@pytest.mark.parametrize("words", [WORDS, CLOSED], ids=["open", "closed"])
def test_an_experiment_writes_no_line(place: Path, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = ledger.path("digits").read_bytes()
    assert "never promotes" in forked(place, experimented, words)["words"]
    assert ledger.path("digits").read_bytes() == before


def experimented(words: list[str]) -> dict[str, Any]:
    os.environ["DVC_EXP_NAME"] = "trial"
    return decided(words)


def test_a_refusal_is_not_decided_again_and_a_line_that_came_with_git_is_followed(place: Path) -> None:
    forked(place, decided, CLOSED)
    assert stage.unchanged("digits", "smoke")
    promoted = ledger.champion(ledger.read("digits"))
    assert promoted
    head = ledger.head("digits")
    back = {key: ledger.version("digits", 1)[key] for key in ("version", "candidate", "digest", "data")}
    ledger.append("digits", "rollback", "came with git", {**back, "reasons": ["elsewhere"]}, after=head)
    report = json.loads(Path("reports/digits/promotion.json").read_text())
    Path("reports/digits/promotion.json").write_text(json.dumps({**report, "inputs": stage.inputs("digits", "smoke")}))
    assert not stage.unchanged("digits", "smoke")
    forked(place, reconcile.reconcile, "digits")
    assert stage.unchanged("digits", "smoke")
    assert store.read_pointer("digits")["model"]["version"] == 1


def test_without_the_champion_to_beat_nothing_is_decided_for_good(place: Path) -> None:
    """Once it is back, as `make rebuild` brings it, the same candidate is held against it."""
    shutil.rmtree(".store/models")
    Path("models/digits-sgd").rename("elsewhere")
    decision = forked(place, decided, WORDS)
    assert (decision["open"], decision["version"], events()) == (False, 2, TWO)
    assert "the champion to beat, is not here" in decision["words"] and not stage.unchanged("digits", "smoke")
    Path("elsewhere").rename("models/digits-sgd")
    assert forked(place, decided, WORDS)["version"] == 3


def test_where_nothing_stands_a_refusal_is_a_line_too(place: Path) -> None:
    """No champion, no pointer, nothing registered; and `dvc repro` has nothing to decide."""
    for name in ("registry", "mlruns", ".store"):
        shutil.rmtree(name)
    forked(place, decided, CLOSED)
    forked(place, decided, CLOSED)
    assert events() == [("refuse", None)]
    assert stage.unchanged("digits", "smoke")
    with pytest.raises(store.NoChampion):
        forked(place, champion.update_store, "digits")
    assert forked(place, decided, WORDS)["version"] == 1
    assert events() == [("refuse", None), ("promote", 1)]


STEPS = [
    "ledger.lines.write",
    "registry.reconcile.candidate_runs",
    "tracking.client.create",
    "tracking.client.log_history",
    "tracking.client._log_scores",
    "artifacts.retention.retain",
    "registry.reconcile._register",
    "registry.reconcile._create",
    "registry.reconcile._point_alias",
    "registry.reconcile._serve",
    "registry.store.put",
    "registry.store.copy_served",
    "registry.modelcards.write",
    "registry.store.write_pointer",
    "registry.reconcile._follow_challenger",
    "stages.promote.write_decision",
]
MOMENTS = [
    *((step, "before") for step in STEPS),
    *((step, "after") for step in ("ledger.lines.write", "registry.store.write_pointer", "stages.promote.write_decision")),
]


def killed(step: str, moment: str, words: list[str]) -> None:
    """The promote stage, killed before or after one of its steps."""
    module, _, name = f"pipelines.{step}".rpartition(".")
    real = getattr(import_module(module), name)

    def struck(*args: Any, **kwargs: Any) -> None:
        if moment == "after":
            real(*args, **kwargs)
        os.kill(os.getpid(), 9)

    setattr(import_module(module), name, struck)
    decided(words)


@pytest.mark.slow
@pytest.mark.parametrize(("step", "moment"), MOMENTS)
def test_a_promotion_killed_at_any_step_leaves_the_old_state_or_the_new_one(place: Path, step: str, moment: str) -> None:
    process = FORKED.Process(target=_there, args=(place, killed, step, moment, WORDS))
    process.start()
    process.join(SECONDS)
    assert process.exitcode == -9
    committed = (step, moment) != ("ledger.lines.write", "before")
    assert events() == ([*TWO, ("promote", 3)] if committed else TWO)
    pointer = store.read_pointer("digits")
    standing = ledger.version("digits", pointer["model"]["version"])
    assert standing["version"] in {2, len(events())}
    assert pointer["promotion"] == pointer["decision"] == standing
    assert manifests.verified(store.location(pointer["tag"]))["digest"] == standing["digest"] == pointer["model"]["digest"]
    for name in ("champion", "promotion"):
        assert json.loads(Path(f"reports/digits/{name}.json").read_text())["version"] in {2, 3}
    assert not cross_checks.contradictions("digits")
    report, after = forked(place, recovered)
    assert events() == [*TWO, ("promote", 3)]
    assert report["version"] == 3
    assert (after["champion"], after["pointer"]["version"], after["report"]["version"]) == (3, 3, 3)
    assert after["served"] == ledger.version("digits", 3)["digest"] == after["report"]["digest"]
    assert [number for number, _ in after["versions"]] == [1, 2, 3]
    assert sorted(run[1:] for run in after["runs"]) == [
        (candidate, "FINISHED") for candidate in ("digits-adam", "digits-rmsprop", "digits-sgd")
    ]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_refusal_that_is_killed_is_a_line_or_none(place: Path, moment: str) -> None:
    process = FORKED.Process(target=_there, args=(place, killed, "ledger.lines.write", moment, CLOSED))
    process.start()
    process.join(SECONDS)
    assert process.exitcode == -9
    assert events() == (TWO if moment == "before" else [*TWO, ("refuse", 2)])
    forked(place, decided, CLOSED)
    assert events() == [*TWO, ("refuse", 2)]


def stopped(step: str, reached: Any, goes_on: Any, work: Callable[..., Any], *words: Any) -> None:
    """`work`, which waits before one of its steps until it may go on; the process then ends as the work does."""
    module, _, name = f"pipelines.{step}".rpartition(".")
    real = getattr(import_module(module), name)

    def waiting(*args: Any, **kwargs: Any) -> Any:
        setattr(import_module(module), name, real)
        reached.set()
        assert goes_on.wait(SECONDS)
        return real(*args, **kwargs)

    setattr(import_module(module), name, waiting)
    try:
        work(*words)
    except ledger.Overtaken:
        os._exit(3)


def rolled_back() -> None:
    rollback.rollback("digits", 1)


def better() -> None:
    """Another candidate is evaluated, does better, and is promoted."""
    tiny_model("digits-augmented", 9)
    evaluate("digits-augmented", 0.8)
    assert decided(WORDS)["candidate"] == "digits-augmented"


def reconciled() -> None:
    reconcile.reconcile("digits")


def promoted() -> None:
    decided(WORDS)


def refused() -> None:
    decided(CLOSED)


@pytest.mark.parametrize(
    ("slow", "step", "meanwhile", "exitcode", "made"),
    [
        (promoted, "ledger.lines.append", promoted, 0, [("promote", 3)]),
        (promoted, "ledger.lines.append", better, 3, [("promote", 3)]),
        (promoted, "ledger.lines.append", rolled_back, 3, [("rollback", 1)]),
        (promoted, "ledger.lines.append", refused, 0, [("refuse", 2), ("promote", 3)]),
        (refused, "ledger.lines.append", promoted, 3, [("promote", 3)]),
        (rolled_back, "ledger.lines.append", promoted, 3, [("promote", 3)]),
        (rolled_back, "ledger.lines.append", rolled_back, 0, [("rollback", 1)]),
        (reconciled, "tracking.client.client", promoted, 0, [("promote", 3)]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_two_at_once_make_one_order(
    place: Path, slow: Callable[[], None], step: str, meanwhile: Callable[[], None], exitcode: int, made: list[tuple[str, int]]
) -> None:
    """One decides, another commits meanwhile, the first goes on: it is told, or has its line, and everything follows the last decision."""
    reached, goes_on = FORKED.Event(), FORKED.Event()
    first = FORKED.Process(target=_there, args=(place, stopped, step, reached, goes_on, slow))
    first.start()
    assert reached.wait(SECONDS)
    forked(place, meanwhile)
    goes_on.set()
    first.join(SECONDS)
    assert first.exitcode == exitcode
    assert events() == [*TWO, *made]
    after = forked(place, state)
    assert {after["champion"], after["pointer"]["version"], after["report"]["version"]} == {made[-1][1]}
    assert not cross_checks.contradictions("digits")
