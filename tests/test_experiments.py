"""The settings of an experiment are checked before anything runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines import configs, errors
from pipelines.artifacts import experiments
from tests.conftest import commit, environment


def ran(monkeypatch: pytest.MonkeyPatch, *settings: str) -> list[tuple[str, ...]]:
    """What DVC is asked to run; while it does, it leaves a folder as one that was killed does."""
    commands: list[tuple[str, ...]] = []

    def noted(*words: str) -> int:
        commands.append(words)
        if "run" in words:
            (experiments.FOLDERS / "tmpmine").mkdir(parents=True, exist_ok=True)
        return 0

    monkeypatch.setattr(experiments, "_dvc", noted)
    monkeypatch.setattr(experiments, "show", lambda: 0)
    assert experiments.run("digits", settings) == 0
    return commands


def test_every_form_of_a_setting_names_its_file_and_the_command_its_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (experiments.FOLDERS / "tmpother").mkdir(parents=True)
    [first] = ran(monkeypatch, "digits-adam:fit.learning_rate=0.02", "digits:data.valid=0.3", "seed=3", "run=smoke")
    named = [
        "candidate/digits-adam.yaml:fit.learning_rate=0.02",
        "family/digits.yaml:data.valid=0.3",
        "config.yaml:seed=3",
        "pipeline.yaml:run=smoke",
    ]
    assert [word for word in first if "=" in word] == [f"conf/{name}" for name in named]
    assert first[:3] == ("exp", "run", "--temp") and first[-1] == "promote@digits"
    assert [path.name for path in experiments.FOLDERS.iterdir()] == ["tmpother"]


STAGE = """
from pathlib import Path
import json, yaml
rate = yaml.safe_load(Path("conf/candidate/{0}.yaml").read_text())["fit"]["learning_rate"]
figures = {{"metric": "accuracy", "valid": 0.9 + rate, "test": 0.8 + rate, "train_s": rate * 7, "ms": rate * 8, "MB": 0.22}}
Path("reports/digits/metrics/{0}.json").write_text(json.dumps(figures))
"""


@pytest.mark.slow
def test_the_experiments_are_shown_by_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real DVC on two candidates of one stage each: the setting, both figures, nothing that always varies."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    stages = {}
    for name in ("digits-adam", "digits-sgd"):
        for path in (Path("conf/candidate"), Path("reports/digits/metrics")):
            path.mkdir(parents=True, exist_ok=True)
        Path(f"conf/candidate/{name}.yaml").write_text("fit:\n  learning_rate: 0.01\n")
        Path(f"{name}.py").write_text(STAGE.format(name))
        metrics = [{f"reports/digits/metrics/{name}.json": {"cache": False}}]
        params = [{f"conf/candidate/{name}.yaml": ["fit"]}]
        stages[name] = {"cmd": f"{sys.executable} {name}.py", "deps": [f"{name}.py"], "params": params, "metrics": metrics}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    for words in ("git init -q", "dvc init -q", "dvc repro -q"):
        subprocess.run([*words.split()], env=environment(), check=True)
    commit(tmp_path)
    assert experiments.show() == 0 and "no experiment" in capsys.readouterr().out
    setting = "conf/candidate/digits-sgd.yaml:fit.learning_rate=0.05"
    subprocess.run(["dvc", "exp", "run", "--temp", "-n", "faster", "-S", setting], env=environment(), check=True, capture_output=True)
    assert experiments.show() == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 160
    head, *rows = [re.split(r"\s*[┃│]\s*", line.strip("┃│ ")) for line in lines if line[0] in "┃│"]
    assert sorted(head) == ["digits-sgd fit.learning_rate", "digits-sgd test", "digits-sgd valid", "experiment"]
    assert {row[0] for row in rows} >= {"faster"}
    assert [dict(zip(head, row, strict=True))["digits-sgd valid"] for row in rows if row[0] == "faster"] == ["0.95"]


@pytest.mark.parametrize(
    ("setting", "error", "words"),
    [
        ("digits-adam:fit.epoch=4", configs.BadConfiguration, "Did you mean 'epochs'"),
        ("digits:data.limit=many", configs.BadConfiguration, "valid integer"),
        ("run=nope", configs.BadConfiguration, "smoke"),
        ("objects-fast:fit.epochs=4", errors.BadSetting, "candidates: digits-adam"),
        ("fit.epochs=4", errors.BadSetting, "digits-adam:fit.epochs=4"),
        ("digits-adam", errors.BadSetting, "digits:key=value"),
    ],
)
def test_a_wrong_setting_runs_nothing(setting: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        experiments.run("digits", [setting])


def test_a_setting_that_the_run_sets_after_it_is_refused() -> None:
    """It would train what was not asked for, and the comparison would name what was."""
    with pytest.raises(errors.BadSetting, match=r"would have no effect: run=smoke sets fit\.epochs=1 after it\. Add set='run=full'"):
        experiments.run("digits", ["digits-adam:fit.epochs=4", "run=smoke"])
