"""Kill `dvc repro` twenty times, whatever it is doing: what it ends with is what it would have been."""

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.models import manifests
from tests import repro
from tests.conftest import environment

pytestmark = pytest.mark.system
CANDIDATE = "digits-sgd"
KILLS = 20
LONGEST = 20  # seconds from a start to its kill: a training begins after about 5


def killed(folder: Path, seconds: float) -> None:
    """Start `dvc repro`, and kill it with all it has started after so many seconds, unless it has ended."""
    process = subprocess.Popen(
        ["dvc", "repro"], cwd=folder, env=environment(), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def ended(folder: Path) -> dict[str, Any]:
    """What a finished project holds, without times and commits."""
    (decision,) = (json.loads(line) for line in (folder / "registry/digits.jsonl").read_text().splitlines())
    report = json.loads((folder / f"reports/digits/candidates/{CANDIDATE}.json").read_text())
    return {
        "digest": manifests.verified(folder / "models" / CANDIDATE)["digest"],
        "card": json.loads((folder / "data/digits/card.json").read_text()),
        "figures": {split: report[split] for split in ("valid", "test")},
        "decision": {key: decision[key] for key in ("event", "version", "digest", "data", "candidate")},
        "history": [
            {name: value for name, value in row.items() if not name.endswith("seconds")}
            for row in repro.history(folder / "models" / CANDIDATE)
        ],
    }


@pytest.mark.timeout(3600)
def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    untouched, other = (repro.clone(tmp_path / name, [CANDIDATE]) for name in ("untouched", "other"))
    for folder in (untouched, other):
        (folder / "conf/pipeline.yaml").write_text("run: long\n")
    for seconds in np.random.default_rng(0).uniform(1, LONGEST, KILLS):
        killed(other, seconds)
    for folder in (untouched, other):
        repro.dvc(folder, "repro")
    assert ended(other) == ended(untouched)
    assert repro.runs(other, "digits") == [[CANDIDATE, "FINISHED", repro.EPOCHS, repro.EPOCHS]]
    checked = repro.python(other, "-m", "atelier", "verify", "digits")
    assert checked.returncode == 0, checked.stdout
