"""One thread through everything: digits-sgd by real DVC from ingest to promotion, served, asked over HTTP, followed back to its data."""

import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests import repro
from tests.services import serving_at


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with digits-sgd alone, trained and promoted by `dvc repro`."""
    folder = repro.clone(tmp_path_factory.mktemp("thread"), ["digits-sgd"])
    repro.dvc(folder, "repro")
    return folder


@pytest.fixture(scope="module")
def answer(clone: Path) -> dict[str, Any]:
    """What the service of the champion says of an image of the test split; when it has stopped, the answer is recorded."""
    sent = io.BytesIO()
    Image.fromarray(255 - np.load(clone / "data/digits/test-images.npy")[0]).save(sent, "PNG")
    with serving_at(clone, "digits") as address:
        answered: dict[str, Any] = httpx.post(f"{address}/predict", files={"image": sent.getvalue()}).raise_for_status().json()
    return answered


def test_the_best_candidate_is_promoted(clone: Path) -> None:
    repro.complete(clone, "digits-sgd")
    assert repro.promoted(clone, "digits")["candidate"] == "digits-sgd"


def test_the_service_answers_with_the_champion(clone: Path, answer: dict[str, Any]) -> None:
    champion = json.loads((clone / "reports/digits/champion.json").read_text())
    assert answer["prediction"] in range(10)
    assert (answer["model"]["version"], answer["model"]["digest"]) == (1, champion["digest"])


def test_the_answer_leads_back_to_the_data(clone: Path, answer: dict[str, Any]) -> None:
    walked = repro.python(clone, "-m", "atelier", "lineage", answer["prediction_id"])
    assert walked.returncode == 0, walked.stdout + walked.stderr
    assert "every file checked" in " ".join(walked.stdout.split())


def test_with_nothing_changed_nothing_is_decided(clone: Path) -> None:
    assert "nothing to decide" in repro.dvc(clone, "repro")
