"""What is typed wrongly, and folders that are not as they should be: a sentence with the remedy, at once, and never a traceback."""

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from atelier import call
from pipelines import configs, discovery, errors
from pipelines.artifacts import cache, experiments, plots
from pipelines.registry import promotion, reconcile
from pipelines.stages import train
from pipelines.tracking import client as tracking
from pipelines.tracking import reader
from pipelines.training import session
from tests.conftest import ROOT, environment

STAGES = sorted(path.stem for path in (ROOT / "pipelines/stages").glob("[a-z]*.py"))


def said(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *words], cwd=folder, env=environment(), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_says_what_it_does_and_takes(tmp_path: Path, stage: str) -> None:
    done = said(tmp_path, f"pipelines.stages.{stage}", "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(f"{stage}: ") and "\n\nUsage: " in done.stdout


@pytest.mark.parametrize("stage", ["train", "evaluate"])
@pytest.mark.parametrize(
    ("words", "missing"), [(["family=digits"], "candidate= is missing. Choose one of: digits-adam"), ([], "family= is missing")]
)
def test_a_stage_names_the_word_that_it_lacks(tmp_path: Path, stage: str, words: list[str], missing: str) -> None:
    done = said(tmp_path, f"pipelines.stages.{stage}", *words)
    assert done.returncode == 1 and missing in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [".inf", "inf", "nan", "-inf"])
def test_a_rate_is_a_finite_number(value: str) -> None:
    with pytest.raises(configs.BadConfiguration, match="learning_rate"):
        configs.compose(["family=digits", "candidate=digits-adam", f"fit.learning_rate={value}"])


@pytest.mark.parametrize("family", discovery.names())
def test_no_number_of_any_section_may_be_infinite(family: str) -> None:
    found = configs.compose([f"family={family}", f"candidate={discovery.candidates(family)[0]}"])
    sections = {name: getattr(found, name) for name in ("data", "model", "fit", "gate", "serving")}
    floats = [f"{name}.{key}" for name, section in sections.items() for key, value in section if isinstance(value, float)]
    assert floats
    for key in floats:
        with pytest.raises(configs.BadConfiguration, match=key):
            configs.compose([f"family={family}", f"candidate={discovery.candidates(family)[0]}", f"{key}=.inf"])


WRONG = [  # every command that takes a name
    ["accept", "digits-adm"],
    ["challenge", "digits", "--candidate", "digits-adm"],
    ["darknet-export", "signatures-al", "--to", "folder"],
    ["darknet-import", "signatures-al", "--cfg", "a.cfg", "--weights", "a.weights"],
    ["experiment", "digits", "--set", "digits-adm:fit.epochs=1"],
    ["history", "digit"],
    ["lineage", "digit@champion"],
    ["load", "digit"],
    ["merge", "digit"],
    ["new-family", "--name", "leaves", "--like", "digit"],
    ["notebooks", "digit"],
    ["predict", "digit", "--image", "a.png"],
    ["promote", "digit"],
    ["reconcile", "digit"],
    ["release", "digit"],
    ["reproduce", "digit@champion"],
    ["rollback", "digit"],
    ["serve", "digit"],
    ["sign", "digit"],
    ["train", "digit"],
    ["verify", "digit"],
    ["worker", "digit"],
]
HEAVY = ("mlflow", "tensorflow", "torch", "onnxruntime", "dvc", "cv2")
CHECKED = f"""
import sys
from atelier import cli
try:
    cli.main()
finally:
    print([name for name in {HEAVY} if name in sys.modules])
"""


@pytest.mark.parametrize("words", WRONG, ids=lambda words: words[0])
def test_a_wrong_name_is_answered_before_anything_heavy_is_imported(tmp_path: Path, words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECKED, *words], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "Choose one of: " in done.stderr or "candidates: " in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_file_that_may_not_be_written_is_a_sentence(number: int) -> None:
    with pytest.raises(SystemExit) as ended, errors.printed_once():
        raise OSError(number, "Permission denied", "mlruns/.lock")
    assert (
        str(ended.value) == "DiskError: mlruns/.lock cannot be used: Permission denied. Let this user read and write it, and start again."
    )


def test_a_fresh_clone_has_nothing_to_promote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(promotion.NothingToPromote, match=r"data/digits is not here.*`make train family=digits`"):
        promotion.check_data("digits")


def test_make_rebuild_is_advised_only_where_there_is_a_remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(cache.NotHere, match="No DVC remote is configured here: `dvc remote add"):
        cache.cached("0" * 32)
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    remote = store\n")
    with pytest.raises(cache.NotHere, match="`make rebuild` fetches it"):
        cache.cached("0" * 32)


def test_an_interrupted_training_says_how_it_goes_on(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cfg = configs.compose(["family=digits", "candidate=digits-adam", "run=smoke", "data.sources=[embedded]"])
    training = session.under_way(cfg, "data", "code")
    with pytest.raises(KeyboardInterrupt), train._resumable(cfg, training):
        raise KeyboardInterrupt
    assert "digits-adam was interrupted. The same command begins again" in capsys.readouterr().err
    training.epoch({"accuracy": 0.5}, lambda folder: None)
    with pytest.raises(KeyboardInterrupt), train._resumable(cfg, training):
        raise KeyboardInterrupt
    assert "The same command goes on after epoch 1." in capsys.readouterr().err


def damaged(database: Path) -> None:
    database.write_bytes(b"this is no database" * 1000)


def torn(database: Path) -> None:
    """Some of its pages are noise: it opens, and fails later."""
    content = database.read_bytes()
    database.write_bytes(content[: len(content) // 3] + b"\xa5" * (len(content) - len(content) // 3))


def newer(database: Path) -> None:
    with closing(sqlite3.connect(database)) as made, made:
        made.execute("UPDATE alembic_version SET version_num = 'fedcba987654'")


@pytest.mark.parametrize(
    ("harm", "words"),
    [(damaged, "not a database"), (torn, "malformed"), (newer, "Use the MLflow of requirements.lock")],
    ids=lambda part: getattr(part, "__name__", ""),
)
def test_a_database_of_mlflow_that_cannot_be_used_is_named_with_the_remedy(project: Path, harm: object, words: str) -> None:
    harm(tracking.DATABASE)  # type: ignore[operator]
    with pytest.raises(reader.Unreadable, match=words) as told:
        reconcile.reconcile("digits")
    assert "mlruns/mlflow.db" in str(told.value) and "`make ui` makes it again" in str(told.value)


@pytest.mark.parametrize(
    "command", [experiments.show, plots.show, lambda: call.python("dvc", "status")], ids=["experiments", "plots", "dvc"]
)
def test_a_folder_of_dvc_that_may_not_be_written_is_named(
    project: Path, command: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(".dvc").mkdir(exist_ok=True)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError) as told:
        command()
    assert errors.disk_fault(told.value) == ".dvc cannot be used: Permission denied. Let this user read and write it"


def test_a_locked_database_of_mlflow_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "PATIENCE", 0.1)
    with closing(sqlite3.connect(tracking.DATABASE)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(reader.Unreadable, match="Another process is writing it"):
            reconcile.reconcile("digits")


@pytest.mark.parametrize("words", [["reproduce", "of=digit@champion"], ["accept", "candidate=digit-adam"]], ids=lambda words: words[0])
def test_make_sets_up_no_package_of_a_family_that_is_none(words: list[str]) -> None:
    done = subprocess.run(["make", "--no-print-directory", "-n", "-B", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "+digit" not in done.stdout and "digit" in done.stdout.splitlines()[-1]
