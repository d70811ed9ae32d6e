"""`make predict`: one answer without a server, as a person reads it."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines import databases, discovery, predictions
from pipelines.registry import rollback
from serving import ask as command
from serving.live.champion import Origin
from tests import papers
from tests.conftest import environment, expected, picture, promoted_project
from tests.services import free_port


def ask(*words: str, command: str = "predict", family: str = "digits") -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "atelier", command, family, *words]
    return subprocess.run(line, env=environment(), capture_output=True, text=True, check=False)


@pytest.fixture
def champion(project: Path) -> Path:
    """A champion, and a picture to ask about."""
    promoted_project(("digits-adam", 1, 0.5), ("digits-sgd", 2, 0.6))
    Image.fromarray(255 - np.load("data/digits/test-images.npy")[0]).save("digit.png")
    return Path("digit.png")


@pytest.mark.slow
@pytest.mark.parametrize("family", discovery.names())
def test_the_answer_and_the_origin_are_printed(project: Path, family: str) -> None:
    candidate = discovery.candidates(family)[0]
    promoted_project((candidate, 1, 0.5))
    Path("picture").write_bytes(picture(family))
    printed = ask("--image", "picture", family=family).stdout
    (row,) = predictions.Store().rows(family)
    assert (row["version"], row["input"]) == (1, hashlib.sha256(Path("picture").read_bytes()).hexdigest())
    said = re.match(expected(family).BEGINS, printed)
    assert said, printed
    assert sum("%" in line for line in printed.splitlines()) == (
        int(said[1]) if expected(family).SHARES is None else expected(family).SHARES
    )
    assert f"{family} version 1" in printed
    assert f"make lineage of={family}@v1" in printed
    if family == "signatures":
        for content, words in ((papers.paper([b""] * 3), "signatures on 3 pages."), (papers.encrypted(), "without a password")):
            Path("letter.pdf").write_bytes(content)
            done = ask("--image", "letter.pdf", family=family)
            assert words in done.stdout + done.stderr
            assert "Traceback" not in done.stderr


def test_a_class_named_in_brackets_is_shown_whole(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    rank, model = {"class": "cat [old]", "confidence": 0.9}, dict.fromkeys(Origin.model_fields, "objects")
    answer = {"prediction": rank["class"], "top3_predictions": [rank], "model": model}
    monkeypatch.setattr(command, "ask", lambda *_: answer)
    command.main("objects", Path("cat.png"))
    assert capsys.readouterr().out.count("cat [old]") == 2


def test_the_answer_is_printed_before_it_is_recorded(
    champion: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of predictions that is away is waited for then, and the answer stands."""
    end, printed = command.Recorder.end, list[str]()
    monkeypatch.setattr(command.Recorder, "end", lambda self: (printed.append(capsys.readouterr().out), end(self)))
    monkeypatch.setenv("PREDICTIONS_URL", f"postgresql://admin:s3cret@127.0.0.1:{free_port()}/predictions")
    command.main("digits", champion)
    assert ["It is a" in words for words in printed] == [True]


def test_an_address_of_predictions_that_is_none_is_named_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREDICTIONS_URL", "mysql://host/predictions")
    with pytest.raises(databases.BadUrl, match="Choose sqlite:///<file>"):
        command.main("digits", Path("digit.png"))


@pytest.mark.slow
def test_a_damaged_store_and_a_moved_ledger_are_followed(champion: Path) -> None:
    for stored in Path(".store/models").rglob("model.onnx"):
        stored.write_bytes(b"damaged")
    assert "digits version 2" in ask("--image", str(champion)).stdout
    pointer = Path(".store/champions/digits.json").read_text()
    rollback.rollback("digits", 1)
    Path(".store/champions/digits.json").write_text(pointer)
    assert "digits version 1" in ask("--image", str(champion)).stdout


@pytest.mark.slow
@pytest.mark.parametrize(("content", "said"), [(None, "is not a file"), (b"a seven", "PNG, JPEG or WebP"), (b"", "PNG, JPEG or WebP")])
def test_what_is_no_picture_is_named_without_a_traceback(champion: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        Path("other.png").write_bytes(content)
    done = ask("--image", "other.png")
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["serve", "predict"])
def test_without_a_champion_the_remedy_is_named(project: Path, command: str) -> None:
    Image.new("L", (9, 9)).save("digit.png")
    done = ask(*(["--image", "digit.png"] if command == "predict" else ["--port", "0"]), command=command)
    assert done.returncode == 1
    assert "make train family=digits" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_altered_ledger_serves_nothing(champion: Path) -> None:
    path = Path("registry/digits.jsonl")
    path.write_text(path.read_text().replace("digits-sgd", "digits-adam"))
    done = ask("--port", "0", command="serve")
    assert done.returncode == 1
    assert "AlteredLedger" in done.stderr
    assert "make verify family=digits" in done.stderr
