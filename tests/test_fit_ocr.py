"""The training of ocr: TrOCR from nothing, from a folder and from a hub, in processes of its own."""

import hashlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import chdir
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from pipelines import configs, folders
from pipelines.families.ocr import data
from pipelines.families.ocr.examples import load
from pipelines.families.ocr.predict import Predictor
from pipelines.models import manifests
from tests import killed
from tests.conftest import environment

SIZE = ["model.hidden=32", "model.layers=1", "model.heads=2", "model.side=64", "model.patch=16", "model.longest=12"]
FIT = ["fit.pretraining=1", "fit.epochs=2", "fit.drawn=48", "fit.batch=4", "fit.learning_rate=0.03", "fit.tuning_rate=0.03"]
PAGES = json.dumps(["family=ocr", "candidate=ocr-trocr", "run=smoke", "data.sources=[embedded]", "data.limit=50", *SIZE, *FIT])
KNOWN, UNKNOWN = (["model.weights=hub", f"model.hub=somebody/{name}"] for name in ("small", "nobody"))
TRAINED = f"""
import json
from pathlib import Path
from pipelines import configs, folders; from pipelines.models import manifests; from pipelines.datasets import cards
from pipelines.families.ocr import fit
from tests import killed

cfg = configs.compose({PAGES})
written = fit._written
fit._written = lambda network, valid, out: network
resumed = killed.compared(lambda log: fit.fit(cfg, cfg.data_folder, Path("out"), log), lambda network: network.state_dict())
with folders.replacing(cfg.model_folder) as out:
    description = written(resumed, fit.load(cfg.data_folder, "valid"), out)
    manifests.write(out, cfg, cards.read(cfg.data_folder)["hash"], description)
valid = fit.load(cfg.data_folder, "valid")
print(json.dumps({{"texts": list(fit._read(resumed, valid))}}))
"""
# A line for each attempt: what the network reads on pages of noise, or why it was refused.
BEGUN = """
import json, sys
import torch
from pipelines import configs
from pipelines.training import pretrained
from pipelines.families.ocr.parts.trocr import Trocr

for words in json.loads(sys.argv[1]):
    try:
        network = Trocr(configs.compose(words).model).eval()
        torch.manual_seed(0)
        side = network.convention.height
        print(json.dumps(["read", network.read(torch.randint(256, (4, side, side), dtype=torch.uint8))]))
    except pretrained.MissingWeights as error:
        print(json.dumps(["refused", str(error)]))
"""
FOUND = """
import json, sys
from pipelines import configs
from pipelines.training import pretrained
from pipelines.families.ocr.parts import initial_weights

for words in json.loads(sys.argv[1]):
    try:
        print(json.dumps(["found", sorted(path.name for path in initial_weights.folder(configs.compose(words).model).iterdir())]))
    except pretrained.MissingWeights as error:
        print(json.dumps(["refused", str(error)]))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/ocr/ with few generated lines, in a folder of its own."""
    folder = tmp_path_factory.mktemp("project")
    cfg = configs.compose(json.loads(PAGES))
    with chdir(folder), folders.replacing(cfg.data_folder) as out:
        data.prepare(cfg, out)
    return folder


@pytest.fixture(scope="module")
def trained(project: Path) -> dict:
    """What a training comes to that was killed after its first epoch, beside an undisturbed one; models/ocr-trocr/ is written."""
    found, texts = map(json.loads, python(project, "-c", TRAINED).splitlines())
    return found | texts


@pytest.fixture(scope="module")
def native(project: Path, trained: dict) -> Path:
    """A folder as save_pretrained writes it."""
    return project / "models/ocr-trocr/native"


def python(folder: Path, *words: str, **told: str) -> str:
    """What a child process says."""
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment(**told), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def attempts(folder: Path, script: str, *words: list[str], **told: str) -> list[list]:
    """For each of the lists of overrides what the script says: ["read", texts], ["found", files] or ["refused", why]."""
    pages = [["family=ocr", "candidate=ocr-trocr", "model.longest=12", *more] for more in words]
    return [json.loads(line) for line in python(folder, "-c", script, json.dumps(pages), **told).splitlines()]


@pytest.mark.slow
def test_a_killed_training_ends_where_an_undisturbed_one_does(trained: dict) -> None:
    killed.ended_alike(trained, [3, 1, 3])
    assert trained["losses"][0][-1] < trained["losses"][0][0] - 0.5


@pytest.mark.slow
def test_what_is_served_reads_as_the_native_network_does(project: Path, trained: dict) -> None:
    predictor, valid = Predictor(project / "models/ocr-trocr"), load(project / "data/ocr", "valid")
    lines = np.stack([predictor.convention.from_grey(picture) for picture in valid.pictures])
    assert lines.shape[1:] == (64, 64)
    readings = predictor.predict(lines)
    assert [reading.text for reading in readings] == trained["texts"]
    assert all(0 < reading.confidence <= 1 if reading.text else reading.confidence == 0 for reading in readings)
    alone = [predictor.predict(line[None])[0] for line in lines[:4]]
    assert [reading.text for reading in alone] == trained["texts"][:4]
    assert [reading.confidence for reading in alone] == pytest.approx([reading.confidence for reading in readings[:4]], abs=1e-4)


@pytest.mark.slow
def test_the_folder_is_whole_and_tells_nothing_of_the_machine(project: Path, native: Path) -> None:
    folder = project / "models/ocr-trocr"
    manifest = manifests.verified(folder)
    roles = {entry["role"] for entry in manifest["files"].values()}
    assert roles == {"encoder", "decoder", "tokenizer", "generation", "native"}
    assert {f"native/{path.name}" for path in native.iterdir()} == {name for name in manifest["files"] if name.startswith("native/")}
    for name in manifest["files"]:
        assert str(project).encode() not in (folder / name).read_bytes(), name


class Hub(ThreadingHTTPServer):
    """Some files, served as huggingface.co serves a repository: its commit, its tree, and each file by name."""

    daemon_threads = True

    def __init__(self, name: str, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.name, self.files = name, files
        self.commit = hashlib.sha1(b"".join(files.values()), usedforsecurity=False).hexdigest()

    def page(self, path: str) -> bytes | None:
        """The JSON of a commit or a tree, or a file."""
        api, resolved = f"/api/models/{self.name}", f"/{self.name}/resolve/{self.commit}/"
        if path.startswith(f"{api}/revision/main"):
            return json.dumps({"id": self.name, "sha": self.commit, "siblings": []}).encode()
        if path.startswith(f"{api}/tree/{self.commit}"):
            rows = [{"type": "file", "path": name, "size": len(content), "oid": oid(content)} for name, content in self.files.items()]
            return json.dumps(rows).encode()
        return self.files.get(path.removeprefix(resolved)) if path.startswith(resolved) else None


class Answers(BaseHTTPRequestHandler):
    """What one request gets."""

    server: Hub

    def do_GET(self) -> None:
        content = self.server.page(self.path)
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.send_header("X-Repo-Commit", self.server.commit)
        self.send_header("ETag", f'"{oid(content or b"")}"')
        self.end_headers()
        self.wfile.write((content or b"") if self.command == "GET" else b"")

    do_HEAD = do_GET

    def log_message(self, *words: object) -> None:
        """Say nothing."""


def oid(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


@pytest.fixture(scope="module")
def hub(native: Path) -> Iterator[Hub]:
    """A hub that holds the trained network as somebody/small, and pickled weights beside it."""
    files = {path.name: path.read_bytes() for path in native.iterdir()} | {"pytorch_model.bin": b"a pickle"}
    with Hub("somebody/small", files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def cache(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where the hub is, and an empty folder for what is fetched from it."""
    folder = str(tmp_path_factory.mktemp("cache"))
    return {"HF_HOME": folder, "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HUB_OFFLINE": "0"}


@pytest.fixture(scope="module")
def answers(project: Path, native: Path, cache: dict[str, str]) -> dict[str, list]:
    """What comes of weights named in many ways."""
    sha256, other = f"model.weights_sha256={folders.sha256(native / 'model.safetensors')}", project / "other"
    other.mkdir()
    (other / "model.safetensors").write_bytes((native / "model.safetensors").read_bytes())
    named = {
        "folder": [f"model.weights={native}", sha256],
        "file": [f"model.weights={native}/model.safetensors", sha256],
        "wrong": [f"model.weights={native}", "model.weights_sha256=" + "0" * 64],
        "absent": ["model.weights=nowhere", sha256],
        "bare": [f"model.weights={other}", sha256],
        "hub": [*KNOWN, sha256],
        "other": [*KNOWN, "model.weights_sha256=" + "0" * 64],
        "unknown": UNKNOWN,
    }
    return dict(zip(named, attempts(project, BEGUN, *named.values(), **cache), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("named", ["folder", "file", "hub"])
def test_weights_that_are_named_are_taken(answers: dict[str, list], named: str) -> None:
    assert answers[named][0] == "read" and answers[named] == answers["folder"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("wrong", "/native/model.safetensors has SHA-256 [0-9a-f]{64}; model.weights_sha256 is 0{64}"),
        ("absent", "nowhere has no model.safetensors. Name a folder that save_pretrained wrote"),
        ("bare", "/other holds no TrOCR .* with its tokenizer and preprocessor_config.json"),
        ("other", "somebody/small at main has SHA-256"),
        ("unknown", "somebody/nobody at main .* could not be fetched .* set model.weights to a folder that holds it, or to none"),
    ],
)
def test_weights_that_are_not_those_are_refused(answers: dict[str, list], named: str, words: str) -> None:
    assert answers[named][0] == "refused" and re.search(words, answers[named][1]), answers[named]


@pytest.mark.slow
@pytest.mark.parametrize(("offline", "words"), [("0", "could not be fetched"), ("1", "unset HF_HUB_OFFLINE")])
def test_a_second_start_needs_no_network(project: Path, answers: dict[str, list], hub: Hub, cache: dict, offline: str, words: str) -> None:
    """What was fetched once is found, without the pickled weights; what was not is refused, with the remedy."""
    assert answers["hub"][0] == "read"
    alone = cache | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": offline}
    known, unknown = attempts(project, FOUND, KNOWN, UNKNOWN, **alone)
    assert known == ["found", sorted(set(hub.files) - {"pytorch_model.bin"})]
    assert unknown[0] == "refused" and words in unknown[1]


@pytest.mark.parametrize(
    ("candidate", "override", "words"),
    [
        ("ocr-trocr", "model.widths=[8, 8, 8, 8]", "widths is not known"),
        ("ocr-reader", "model.side=64", "side is not known"),
        ("ocr-reader", "model.weights=hub", "weights is not known"),
        ("ocr-trocr", "model.patch=15", "multiple of patch"),
        ("ocr-trocr", "model.heads=3", "hidden of heads"),
        ("ocr-trocr", "model.weights=somewhere", "weights_sha256 must be"),
    ],
)
def test_keys_that_do_not_fit_are_refused(candidate: str, override: str, words: str) -> None:
    with pytest.raises(configs.BadConfiguration, match=words):
        configs.compose(["family=ocr", f"candidate={candidate}", override])
