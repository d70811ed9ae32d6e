"""GitHub's workflows: they type what a developer types, with pinned actions and no rights."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

FILES = sorted(Path(ROOT, ".github/workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", Path(ROOT, "Makefile").read_text(), re.MULTILINE))


def steps(file: Path) -> list[dict[str, Any]]:
    return [step for job in yaml.safe_load(file.read_text())["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_step_is_a_command_of_the_project(file: Path) -> None:
    for command in (step["run"] for step in steps(file) if "run" in step):
        assert command.removeprefix("make ") in TARGETS or Path(ROOT, command).is_file(), command


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_actions_are_pinned_and_nothing_may_be_written(file: Path) -> None:
    assert re.findall(r"uses: (?!actions/[a-z-]+@[0-9a-f]{40} # v\d)", file.read_text()) == []
    assert yaml.safe_load(file.read_text())["permissions"] == {"contents": "read"}
    assert all(step["with"] == {"persist-credentials": False} for step in steps(file) if "checkout" in step.get("uses", ""))


def test_the_parts_are_all_parts() -> None:
    (test,) = [yaml.safe_load(file.read_text()) for file in FILES if file.name == "test.yml"]
    shards = test["jobs"]["all"]["strategy"]["matrix"]["shard"]
    assert shards == [f"{number}/{len(shards)}" for number in range(1, len(shards) + 1)]
