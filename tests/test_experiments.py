"""The settings of an experiment are checked before anything runs."""

from pathlib import Path

import pytest

from pipelines import configs, errors
from pipelines.artifacts import experiments


def ran(monkeypatch: pytest.MonkeyPatch, *settings: str) -> list[tuple[str, ...]]:
    """What DVC is asked to run; while it does, it leaves a folder as one that was killed does."""
    commands: list[tuple[str, ...]] = []

    def noted(*words: str) -> int:
        commands.append(words)
        if "run" in words:
            (experiments.FOLDERS / "tmpmine").mkdir(parents=True, exist_ok=True)
        return 0

    monkeypatch.setattr(experiments, "_dvc", noted)
    assert experiments.run("digits", settings) == 0
    return commands


def test_every_form_of_a_setting_names_its_file_and_the_command_its_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (experiments.FOLDERS / "tmpother").mkdir(parents=True)
    first, second = ran(monkeypatch, "digits-adam:fit.learning_rate=0.02", "digits:data.valid=0.3", "seed=3", "run=smoke")
    named = [
        "candidate/digits-adam.yaml:fit.learning_rate=0.02",
        "family/digits.yaml:data.valid=0.3",
        "config.yaml:seed=3",
        "pipeline.yaml:run=smoke",
    ]
    assert [word for word in first if "=" in word] == [f"conf/{name}" for name in named]
    assert first[:3] == ("exp", "run", "--temp") and first[-1] == "promote@digits"
    assert second[:2] == ("exp", "show")
    assert [path.name for path in experiments.FOLDERS.iterdir()] == ["tmpother"]


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
