"""Sweeps: their files, their end after whatever interrupts them, what they show, and the candidate that they leave."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.exceptions import StorageInternalError
from sqlalchemy import exc

from pipelines import configs, discovery
from pipelines.audit import expected
from pipelines.audit.findings import UNLISTED, Item
from pipelines.cluster.jobs import Command
from pipelines.cluster.local import Local, Process
from pipelines.configs import BadConfiguration
from pipelines.datasets import cards
from pipelines.errors import BadSetting
from pipelines.ledger import history
from pipelines.ledger import lines as ledger
from pipelines.models import checksums
from pipelines.registry import modelcards, promotion
from pipelines.stages import trial as stage
from pipelines.sweeps import adopt, driver, show, spec, storage
from pipelines.sweeps import study as studies
from pipelines.sweeps.driver import TrialsFail
from pipelines.sweeps.opening import NoStudy, OtherStudy, existing
from pipelines.sweeps.spec import Sweep, UnknownSweep
from pipelines.sweeps.study import Study, TwoParents
from pipelines.tracking import client as tracking
from pipelines.tracking.tags import SWEEP, TRIAL
from tests import postgres, trials
from tests.conftest import GATE, ROOT, environment, evaluate, tiny_model
from tests.postgres import Cluster

FOLDER = Path(".store/sweeps/digits-small")
ADDRESS = re.compile(r"https?:|//|url\(|@import|<link|<script|src=")


@pytest.fixture
def small(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose trials are the stand-ins of tests/trials.py."""
    monkeypatch.setattr(driver, "TRIAL", trials.COMMAND)
    monkeypatch.setattr(studies, "HEARTBEAT", 0)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("SWEEPS_URL", trials.HOLD, trials.EXIT):
        monkeypatch.delenv(name, raising=False)
    yield project


@pytest.fixture
def fifo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("held") / "fifo"
    os.mkfifo(path)
    return path


def run(limit: int | None = None, workers: int = 1, sweep: Sweep | None = None, join: bool = False) -> Study:
    sweep = sweep or trials.sweep()
    driver.run(sweep, Local(), limit, workers, join)
    return existing(sweep)


def finished(study: Study, limit: int) -> None:
    """As many trials as were asked for are finished, none is at work or waits, and none has the values of another."""
    assert len(study.finished()) == limit
    assert study.trials("RUNNING", "WAITING") == []
    assert len({json.dumps(trial.params) for trial in study.finished()}) == limit


def epochs_trained(number: int) -> list[int]:
    return [int(line) for line in (FOLDER / f"trials/{number}/trained").read_text().splitlines()]


@pytest.mark.parametrize("family", discovery.names())
def test_every_family_has_a_sweep_and_each_is_sound(family: str) -> None:
    assert spec.names(family)
    for name in spec.names(family):
        sweep = spec.load(family, name)
        assert sweep.start() is not None, "the base's own settings are in the space"
        assert sweep.config({}).fit != sweep.base.fit or sweep.own_data, "trials are shorter than a training"


def test_every_sweep_belongs_to_a_family() -> None:
    assert {path.stem for path in (discovery.CONF / "sweep").glob("*")} == {
        f"{family}-{name}" for family in discovery.names() for name in spec.names(family)
    }


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"space": {"fit.learning": {"low": 1, "high": 2}}}, "fit.learning is not a known key. Did you mean 'learning_rate'"),
        ({"space": {"fit.batch.size": {"low": 1, "high": 2}}}, "fit.batch.size is not a known key"),
        ({"space": {"fit.optimizer": {"choices": ["adam", "adamax"]}}}, "fit.optimizer='adamax': Input should be 'adam', 'adamw', 'sgd'"),
        ({"space": {"fit.optimizer": {"low": 1, "high": 2}}}, "space.fit.optimizer: the setting is no number"),
        ({"space": {"fit.batch": {"low": 1.5, "high": 2}}}, "the setting is an integer, so both must be"),
        ({"space": {"fit.batch": {"low": 0, "high": 2}}}, "fit.batch=0: Input should be greater than or equal to 1"),
        ({"space": {"fit.batch": {"low": 8, "high": 2}}}, "low=8 and high=2: low must be below high"),
        ({"space": {"fit.weight_decay": {"low": 0, "high": 2, "log": True}}}, "above 0 with log"),
        ({"space": {"model.dropout": {"low": 0, "high": 1}}}, "model.dropout=1: Input should be less than 1"),
        ({"space": {"model.dropout": {"low": 0, "top": 1}}}, "space.model.dropout.top is not a known key. Known here: low, high, log"),
        ({"space": {"fit.batch": {"choices": [64]}}}, "space.fit.batch.choices"),
        ({"space": {"fit.batch": {"choices": [64, 64]}}}, "has a value twice"),
        ({"space": {"data.limit": {"low": 50, "high": 60}}}, "only settings of training can be searched"),
        ({"space": {"fit.epochs": {"low": 1, "high": 2}}}, "'fit.epochs' is in space and in budget.settings"),
        ({"base": "digits-adm"}, "base='digits-adm' is no candidate of digits. Choose one of: digits-adam"),
        ({"budget": {"trials": 5, "settings": {"fit.epoch": 3}}}, "fit.epoch is not a known key. Did you mean 'epochs'"),
        ({"pruner": {"kind": "medan"}}, "pruner.kind='medan': Input should be 'none', 'median' or 'halving'"),
        ({"seeds": 3}, "seeds is not a known key. Did you mean 'seed'"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_runs(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(BadConfiguration, match=re.escape(said)):
        trials.sweep(**changed)


def test_an_unknown_sweep_is_named_with_the_choices() -> None:
    with pytest.raises(UnknownSweep, match=r"name='fast' is no sweep of digits. Choose one of: augment"):
        spec.load("digits", "fast")
    with pytest.raises(NoStudy, match=r"has no trials yet.*`make sweep family=digits name=small` begins it"):
        existing(trials.sweep())


def test_a_sweep_ends_with_what_was_asked_for(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = run(workers=2)
    finished(study, 6)
    said = capsys.readouterr().out
    assert "digits-small: 6 trials, 2 side by side, on validation alone" in said
    assert "[6/6] trial" in said
    first = study.trials()[0]
    assert study.values(first) == {"fit.learning_rate": 0.003, "fit.batch": 128}, "the base's own settings come first"
    assert first.intermediate_values == pytest.approx({epoch: trials.curve(0.003, epoch) for epoch in range(1, 5)})
    best = study.best()
    assert best is not None
    assert [path.parent.name for path in FOLDER.glob("trials/*/model")] == [str(best.number)], "other models are deleted"
    run()
    assert "digits-small: nothing to do, 6 of 6 trials are finished. `trials=26` asks for more." in capsys.readouterr().out
    finished(run(8), 8)


@pytest.mark.slow
def test_two_sweeps_with_one_seed_draw_the_same_and_a_resumed_one_draws_on(small: Path) -> None:
    first = [trial.params for trial in run(5).trials()]
    second = [trial.params for trial in run(5, sweep=Sweep("digits", "other", trials.sweep().spec)).trials()]
    assert first == second
    resumed = [trial.params for trial in run(9).trials()]
    assert resumed[:5] == first
    assert len({json.dumps(values) for values in resumed}) == 9


def test_a_setting_of_lists_comes_back_as_it_was(small: Path) -> None:
    choices = [[16, 32], [16, 32, 64]]
    study = run(3, sweep=trials.sweep(space={**trials.CONTENT["space"], "model.widths": {"choices": choices}}))
    assert all(study.values(trial)["model.widths"] in choices for trial in study.trials())


def test_what_breaks_a_limit_of_the_gate_never_wins(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """digits may have 25 MB, and a trial of batch 256 says that it has 25.6."""
    study = run(8, sweep=trials.sweep(pruner={"kind": "none"}))
    larger = [trial for trial in study.trials("COMPLETE") if study.values(trial)["fit.batch"] == 256]
    assert larger
    assert all("25.60 MB > 25 MB" in study.broken(trial) for trial in larger)
    best = study.best()
    assert best is not None
    assert study.values(best)["fit.batch"] < 256
    assert study.stored.best_trial.number == best.number, "Optuna knows it too"
    with pytest.raises(adopt.NotAdopted, match=r"trial=\d+ breaks a limit of the gate: 25.60 MB > 25 MB"):
        adopt._chosen(study, larger[0].number)
    assert "not feasible: 25.60 MB > 25 MB" in capsys.readouterr().out


def test_a_floor_of_its_own_takes_the_place_of_the_gate_s() -> None:
    assert trials.sweep().gate.floor == 0.98
    assert trials.sweep(budget={**trials.CONTENT["budget"], "floor": 0.5}).gate.floor == 0.5


def test_pruning_saves_epochs(small: Path) -> None:
    study = run(10)
    assert study.trials("PRUNED")
    assert sum(len(trial.intermediate_values) for trial in study.finished()) < 4 * 10


def test_no_trial_begins_when_its_time_is_up(small: Path) -> None:
    study = run(sweep=trials.sweep(budget={**trials.CONTENT["budget"], "seconds": 1e-6}))
    assert study.finished() == []
    finished(run(3), 3)


def parent(limit: int, *, workers: int = 1, join: bool = False, **more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "tests.trials", "join" if join else "sweep", str(limit), str(workers)]
    return subprocess.Popen(words, env=environment(**more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_a_parent_that_is_killed_loses_at_most_the_epoch_under_way(small: Path, fifo: Path) -> None:
    """kill -9 while trial 1 is in its third epoch: the trial ends too, and later goes on from its second."""
    with parent(6, **{trials.HOLD: f"{fifo} 1 3"}) as process, fifo.open() as held:
        assert held.readline()
        process.kill()
        assert held.read() == "", "the trial has ended"
    left = existing(trials.sweep())
    assert [trial.number for trial in left.trials("RUNNING")] == [1]
    study = run(6)
    finished(study, 6)
    assert epochs_trained(1) == [1, 2, 3, 4], "no epoch twice, none left out"
    again = next(trial for trial in study.trials() if trial.user_attrs.get(studies.RESUMES) == 1)
    assert again.params == left.trials()[1].params
    assert again.intermediate_values | left.trials()[1].intermediate_values == again.intermediate_values, "with its earlier curve"
    assert study.trials()[1].state.name == "FAIL"


@pytest.mark.slow
def test_a_trial_that_is_killed_goes_on_with_its_earlier_curve(small: Path, fifo: Path) -> None:
    with parent(4, **{trials.HOLD: f"{fifo} 1 3"}) as process, fifo.open() as held:
        os.kill(int(held.readline()), signal.SIGKILL)
        said = process.communicate()[0]
    assert process.returncode == 0, said
    assert "trial 1 ended with exit code 137 and is tried again" in said
    study = existing(trials.sweep())
    finished(study, 4)
    assert epochs_trained(1) == [1, 2, 3, 4]
    again = next(trial for trial in study.trials() if trial.user_attrs.get(studies.RESUMES) == 1)
    assert list(again.intermediate_values)[:2] == [1, 2]


@pytest.mark.slow
def test_ctrl_c_leaves_a_study_that_goes_on(small: Path, fifo: Path) -> None:
    with parent(4, **{trials.HOLD: f"{fifo} 1 2"}) as process, fifo.open() as held:
        held.readline()
        process.send_signal(signal.SIGINT)
        said = process.communicate()[0]
        assert held.read() == "", "the trial has ended"
    assert "Stopped. 1 of 4 trials are finished; `make sweep family=digits name=small` goes on." in said
    left = existing(trials.sweep())
    assert (left.trials("RUNNING"), len(left.trials("WAITING")), left.others()) == ([], 1, [])
    finished(run(4), 4)
    assert epochs_trained(1) == [1, 2, 3, 4]


def test_a_full_disk_of_a_trial_stops_the_sweep_which_goes_on_later(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = trials.sweep(pruner={"kind": "none"})
    run(2, sweep=sweep)
    monkeypatch.setenv(trials.EXIT, "74")
    with pytest.raises(TrialsFail, match="trial 2 could not write"):
        run(4, sweep=sweep)
    monkeypatch.delenv(trials.EXIT)
    finished(run(4, sweep=sweep), 4)


def test_a_journal_that_a_full_disk_cut_short_is_mended(small: Path) -> None:
    run(2)
    journal = FOLDER / storage.JOURNAL
    journal.write_bytes(journal.read_bytes() + b'{"op_code":4,"worker_')
    finished(run(3), 3)


def test_trials_that_always_fail_end_the_sweep_with_their_last_words(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(trials.EXIT, "1")
    with pytest.raises(TrialsFail, match=r"3 settings in a row failed\. The last one said:\ntold to end with 1"):
        run()
    study = existing(trials.sweep())
    assert len(study.trials("FAIL")) == studies.ATTEMPTS * driver.GIVE_UP
    monkeypatch.delenv(trials.EXIT)
    finished(run(), 6)


@pytest.mark.slow
def test_a_second_parent_is_refused_unless_it_joins(small: Path, fifo: Path) -> None:
    """Joined, both together finish exactly what was asked for."""
    with parent(6, **{trials.HOLD: f"{fifo} 1 2"}) as process, fifo.open() as held:
        number = int(held.readline())
        with pytest.raises(TwoParents, match=r"1 other process runs digits-small .*`make sweep .* join=yes` shares its trials"):
            run(6)
        study = run(6, join=True)
        assert len(study.finished()) == 5, "all but the one that the other parent holds"
        os.kill(number, signal.SIGKILL)
        said = process.communicate()[0]
    assert process.returncode == 0, said
    finished(existing(trials.sweep()), 6)


def test_two_parents_that_draw_at_one_moment_finish_no_more_than_asked(small: Path) -> None:
    study = run(3)
    late = [Study(trials.sweep(), study.stored, f"elsewhere:{number}:1") for number in (1, 2)]
    for each in late:
        each.beat()
    drawn = [each.next(4) for each in late]
    assert [trial is not None for trial in drawn] == [True, False]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"space": {**trials.CONTENT["space"], "fit.batch": {"choices": [64, 128]}}},
            r"another space \(fit.batch: .*\[64, 128, 256\].* then",
        ),
        ({"budget": {"trials": 6, "settings": {"fit.epochs": 5}}}, r"another recipe \(fit: "),
        ({"base": "digits-adam"}, r"another recipe \(candidate: digits-augmented then, digits-adam now"),
    ],
)
def test_a_sweep_that_changed_says_what_to_do(small: Path, more: dict[str, Any], said: str) -> None:
    run(2)
    with pytest.raises(OtherStudy, match=said + r".*Copy conf/sweep/digits-small.yaml to another name"):
        run(4, sweep=trials.sweep(**more))
    finished(run(3, sweep=trials.sweep(budget={**trials.CONTENT["budget"], "trials": 3})), 3)


def test_the_data_must_be_here(small: Path) -> None:
    (Path("data/digits") / "card.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"`dvc repro ingest@digits` packs it"):
        run(2)


def test_a_study_may_have_data_of_its_own(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Packed once, for a sweep that sets keys of `data`."""
    settings = {"fit.epochs": 4, "data.sources": ["embedded"], "data.limit": 60}
    sweep = trials.sweep(budget={"trials": 1, "settings": settings})
    run(sweep=sweep)
    assert cards.read(FOLDER / "data")["counts"]["train"] == 60
    assert cards.read(Path("data/digits"))["counts"]["train"] > 60
    capsys.readouterr()
    run(2, sweep=sweep)
    assert "embedded" not in capsys.readouterr().err, "packed once"


def test_a_trial_refuses_other_data_than_the_study_s(small: Path) -> None:
    """As a node of a cluster may have them."""
    with pytest.raises(stage.OtherData, match=r"data/digits has the hash \w{12} here, the study's data 0{12}. `dvc pull data/digits`"):
        stage.main(Path("trial"), Path("data/digits"), "0" * 64, trials.sweep().config({}))


def test_mlflow_has_a_run_of_the_sweep_with_a_nested_one_for_each_finished_trial(small: Path) -> None:
    study = run(5)
    run(6)
    store = tracking.client()
    runs = store.search_runs([tracking.experiment(store, "digits")], f"tags.`{SWEEP}` = '{study.key}'")
    parents = [run for run in runs if TRIAL not in run.data.tags]
    assert len(parents) == 1
    assert parents[0].data.metrics["finished"] == 6
    children = {int(run.data.tags[TRIAL]): run for run in runs if TRIAL in run.data.tags}
    assert children.keys() == {trial.number for trial in study.finished()}
    assert {run.data.tags["mlflow.parentRunId"] for run in children.values()} == {parents[0].info.run_id}
    for trial in study.finished():
        curve = store.get_metric_history(children[trial.number].info.run_id, "valid_accuracy")
        assert {point.step: point.value for point in curve} == pytest.approx(trial.intermediate_values)
    best = study.best()
    assert best is not None
    assert [number for number, run in children.items() if store.list_artifacts(run.info.run_id)] == [best.number]
    for run_id, name in ((parents[0].info.run_id, "report.html"), (children[best.number].info.run_id, "model")):
        assert [file.path for file in store.list_artifacts(run_id)] == [checksums.SUMS, name]
    assert [found for found in expected.artifacts("digits") if not isinstance(found, Item) or found.expected == UNLISTED] == []
    assert store.search_registered_models() == []


def test_sweep_show_names_importances_and_writes_a_page_of_its_own(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = trials.sweep(pruner={"kind": "none"})
    study = run(10, sweep=sweep)
    found = show.importances(study)
    assert max(found, key=lambda key: found[key]) == "fit.learning_rate"
    assert sum(found.values()) == pytest.approx(1)
    sizes = [(trial.user_attrs["figures"]["size_mb"], trial.value) for trial in show.front(study)]
    assert sizes == sorted(sizes)
    assert [value for _, value in sizes] == sorted(value for _, value in sizes)
    page = show.write(study).read_text()
    assert not ADDRESS.search(page)
    assert page.count("<svg") == 3 + len(sweep.space)
    assert page.count("<tr>") == 11
    capsys.readouterr()
    monkeypatch.setattr(spec, "load", lambda *_: sweep)
    show.main("digits", "small")
    said = capsys.readouterr().out
    assert "fit.learning_rate" in said
    assert "`make sweep-adopt family=digits name=small` makes it a candidate" in said


@pytest.fixture
def conf(small: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's config files and dvc.yaml, copied, to be added to; its sweep is digits-small."""
    shutil.copytree(ROOT / "conf", small / "conf")
    shutil.copyfile(ROOT / "dvc.yaml", small / "dvc.yaml")
    (small / "reports/digits").mkdir(parents=True)
    shutil.copyfile(ROOT / "reports/digits/dvc.yaml", small / "reports/digits/dvc.yaml")
    monkeypatch.setattr(discovery, "CONF", small / "conf")
    monkeypatch.setattr(adopt, "PIPELINE", small / "dvc.yaml")
    monkeypatch.setattr(spec, "load", lambda *_: trials.sweep())
    return small / "conf"


def test_an_adopted_trial_is_a_candidate_with_a_seed_and_its_study(conf: Path, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = run(6)
    adopt.main("digits", "small", None)
    best = study.best()
    assert best is not None
    cfg = configs.compose(["family=digits", "candidate=digits-small"])
    base = configs.compose(["family=digits", "candidate=digits-augmented"])
    values = study.values(best)
    expected = {**base.fit.model_dump(), "learning_rate": values["fit.learning_rate"], "batch": values["fit.batch"]}
    assert cfg.fit.model_dump() == expected, "the base's epochs, not those of a trial"
    assert cfg.seed == base.seed + 1 + best.number
    assert cfg.study is not None
    assert (cfg.study.name, cfg.study.trials, cfg.study.pruned) == ("digits-small", 6, len(study.trials("PRUNED")))
    assert "study" not in cfg.recipe(), "an older training's checkpoint keeps its name"
    before, after = ((folder / "dvc.yaml").read_text().splitlines() for folder in (ROOT, small))
    assert [line for line in after if line not in before] == ["      digits-small: {family: digits}"]
    assert yaml.safe_load("\n".join(after))["stages"]["train"]["foreach"]["digits-small"] == {"family": "digits"}
    plots = yaml.safe_load((small / "reports/digits/dvc.yaml").read_text())["plots"]
    assert all(f"plots/digits-small/{name}.csv" in str(plot) for name, plot in zip(("history", "reliability"), plots, strict=True))
    assert "`dvc repro promote@digits` trains it" in capsys.readouterr().out
    adopt.main("digits", "small", best.number)
    assert (small / "dvc.yaml").read_text().splitlines() == after, "a second time changes nothing"
    with pytest.raises(adopt.NotAdopted, match="trial=99 has not ended with figures"):
        adopt.main("digits", "small", 99)
    assert adopt.origin_of(study)["digest"] == adopt.origin_of(existing(trials.sweep()))["digest"] == cfg.study.digest
    run(7)
    assert adopt.origin_of(existing(trials.sweep()))["digest"] != cfg.study.digest


def test_a_promotion_and_its_card_say_how_many_it_was_chosen_among(conf: Path) -> None:
    study = run(6)
    adopt.main("digits", "small", None)
    tiny_model("digits-small", 1)
    evaluate("digits-small", 0.99)
    promotion.promote(configs.compose(["family=digits", "run=smoke", "data.sources=[embedded]", *GATE]))
    line = ledger.read("digits")[-1]
    assert line["study"] == adopt.origin_of(study)
    pruned = len(study.trials("PRUNED"))
    assert f"chosen among 6 trials of the sweep digits-small, {pruned} of them pruned" in modelcards.render(line, None)
    assert f"chosen among 6 trials of digits-small, {pruned} pruned" in history._notes(line)
    without = {key: value for key, value in line.items() if key != "study"}
    assert "sweep" not in modelcards.render(without, None)


def test_a_candidate_that_no_sweep_made_is_not_overwritten(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep("digits", "adam", trials.sweep().spec)
    run(2, sweep=sweep)
    monkeypatch.setattr(spec, "load", lambda *_: sweep)
    with pytest.raises(adopt.NotAdopted, match=r"digits-adam\.yaml is a candidate that no sweep made"):
        adopt.main("digits", "adam", None)


# The real ones


class Small(Local):
    """Local processes on a disk without room: no file may have more than 20 kB."""

    def start(self, command: Command) -> Process:
        return super().start(replace(command, argv=["prlimit", "--fsize=20000", *command.argv]))


class Interrupting(Local):
    """Local processes, with a call when a trial has reported an epoch."""

    def __init__(self, reported: Callable[[Process, str], None]) -> None:
        self.reported = reported

    def start(self, command: Command) -> Process:
        job, lines = super().start(command), Process.lines

        def heard() -> Iterator[str]:
            for line in lines(job):
                yield line
                if line.startswith('{"Epoch"'):
                    self.reported(job, line)

        job.lines = heard  # type: ignore[method-assign]
        return job


@pytest.mark.slow
def test_a_database_that_is_away_is_waited_for(small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A PostgreSQL that is stopped in the middle of a trial, and comes back after the third attempt to reach it."""
    with postgres.running(postgres.programs()) as server:
        monkeypatch.setenv("SWEEPS_URL", server.database())
        processes, attempts = [server.process], []

        def stop(job: Process, line: str) -> None:
            if not attempts and len(processes) == 1 and '"number": 2' in line:
                server.process.send_signal(signal.SIGINT)
                server.process.wait()

        def pause() -> None:
            attempts.append(1)
            if len(attempts) == 3:
                processes.append(server.start())

        monkeypatch.setattr(storage, "pause", pause)
        driver.run(trials.sweep(), Interrupting(stop), 4, 2)
        finished(existing(trials.sweep()), 4)
        assert not FOLDER.joinpath(storage.JOURNAL).exists()
        processes[-1].send_signal(signal.SIGQUIT)
        processes[-1].wait()
    assert len(attempts) >= 3
    assert "SWEEPS_URL does not answer: trials go on" in capsys.readouterr().err


LOST = exc.OperationalError("SELECT", {}, Exception("terminating connection"))
LOST_WITHIN = exc.PendingRollbackError("Can't reconnect until invalid transaction is rolled back.")


@pytest.mark.parametrize("cause", [LOST, LOST_WITHIN], ids=["lost", "lost within a transaction"])
def test_what_a_lost_connection_causes_is_tried_again(monkeypatch: pytest.MonkeyPatch, cause: Exception) -> None:
    monkeypatch.setattr(storage, "pause", lambda: None)
    answers = iter([cause, None])

    def call() -> str:
        if fault := next(answers):
            raise StorageInternalError("at the commit") from fault
        return "answered"

    assert storage.patiently(call) == "answered"


def test_another_fault_of_a_database_is_raised() -> None:
    def call() -> None:
        raise StorageInternalError("at the commit") from exc.IntegrityError("INSERT", {}, Exception("twice"))

    with pytest.raises(StorageInternalError):
        storage.patiently(call)


@pytest.mark.slow
def test_two_parents_share_a_database(small: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEPS_URL", cluster.database())
    run(2)
    both = [parent(9, workers=2, join=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    finished(existing(trials.sweep()), 9)


def test_sqlite_is_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEPS_URL", "sqlite:///study.db")
    with pytest.raises(BadSetting, match="SWEEPS_URL names SQLite, which is not for several machines"):
        run(2)


@pytest.mark.slow
def test_a_training_of_digits_that_is_killed_ends_as_one_that_is_not(project: Path) -> None:
    """With Keras, on validation alone: the test split is not there."""
    for path in Path("data/digits").glob("test-*"):
        path.unlink()
    settings = {"fit.epochs": 3, "model.widths": [4, 4], "model.dropout": 0.0}
    content = {
        **trials.CONTENT,
        "base": "digits-adam",
        "budget": {"trials": 1, "floor": 0, "settings": settings},
        "pruner": {"kind": "none"},
    }
    killed: list[int] = []

    def kill(job: Process, line: str) -> None:
        if not killed and '"number": 2' in line:
            killed.append(1)
            job.stop()

    with pytest.raises(TrialsFail, match=r"trial 0 could not write\..*was not written"):
        driver.run(spec.read("digits", "killed", content), Small())
    driver.run(spec.read("digits", "killed", content), Interrupting(kill))
    driver.run(spec.read("digits", "spared", content), Local())
    found = [existing(spec.read("digits", name, content)) for name in ("killed", "spared")]
    assert [trial.state.name for trial in found[0].trials()] == ["FAIL", "FAIL", "COMPLETE"]
    curves = [study.finished()[0].intermediate_values for study in found]
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)
    assert [len(curve) for curve in curves] == [3, 3]
    values = [study.finished()[0].value for study in found]
    assert values[0] == pytest.approx(values[1], abs=1e-4)
    assert found[0].finished()[0].user_attrs["figures"]["size_mb"] < 1
    assert not [*Path("models").glob("*")], "a trial leaves nothing where candidates are"
