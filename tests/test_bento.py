"""A bento: what is in it, what it needs, and that it answers where nothing else of the project is."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from pipelines import configs, discovery, predictions
from pipelines.registry import promotion, store
from serving import bento, requirements
from tests import papers
from tests.conftest import ROOT, embedded_data, environment, evaluate, expected, tiny_model
from tests.forms import encoded, seven
from tests.services import free_port, ready, stop, until

pytestmark = pytest.mark.slow

WORDS = ["run=smoke", "data.sources=[embedded]", "gate.floor=0.1"]
DIGITS = pytest.mark.parametrize("packed", ["digits"], indirect=True)  # what one family's bento shows for all
EMPTY = pytest.mark.parametrize("packed", ["digits", "signatures"], indirect=True)  # the least, and what a family adds
NOT_SERVED = {
    "digits": ["model.onnx"],
    "gravures": ["model.onnx", "index.npy", "index.json", "catalogue.json"],
    "objects": ["model.onnx"],
    "ocr": ["model.onnx", "alphabet.json"],
    "signatures": ["model.onnx", "network.cfg", "opencv.weights"],
}
OFFLINE = ("Failed to fetch", "error sending request", "dns error", "No such host")  # uv's words


class Packed(NamedTuple):
    """A family, a project, the bento that was built in it, what was printed, and the home of who built it."""

    family: str
    project: Path
    bento: Path
    printed: str
    home: Path


@pytest.fixture(scope="module", params=discovery.names())
def packed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packed]:
    family, candidate = request.param, discovery.candidates(request.param)[0]
    project, home = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("home")
    with chdir(project):
        embedded_data(family)
        tiny_model(candidate, 1)
        evaluate(candidate, 0.5)
        promotion.promote(configs.compose([f"family={family}", *WORDS]))
        words = [sys.executable, "-m", "atelier", "bento", family]
        done = subprocess.run(words, env=environment(HOME=str(home)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        tag = store.read_pointer(family)["tag"]
        yield Packed(family, project, project / ".store/bentos" / tag.replace(":", "/"), done.stdout, home)


BESIDE = ("model.yaml", "model.json", "example.npz", "README.md", "croissant.json", "SHA256SUMS")  # of the served files, in every bento


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def test_a_bento_holds_what_answers_and_nothing_else(packed: Packed) -> None:
    tag = store.read_pointer(packed.family)["tag"].replace(":", "/")
    assert {path.name for path in packed.bento.iterdir()} == {"README.md", "apis", "bento.yaml", "env", "models", "src"}
    assert {path.name for path in (packed.bento / "src").iterdir()} == {".store", "bentofile.yaml", "conf", "pipelines", "serving"}
    assert files(packed.bento / "models") == {f"{tag}/{name}" for name in (*BESIDE, *expected(packed.family).SERVED)}
    assert files(packed.bento / "src/.store") == {f"champions/{packed.family}.json"}
    assert files(packed.bento / "src/conf") == {f"family/{packed.family}.yaml"}
    assert not {"data", "native", "tests", "mlruns", ".git", "stages"} & {path.name for path in packed.bento.rglob("*") if path.is_dir()}


def test_a_bento_has_the_endpoint_with_its_pages_and_the_pointer(packed: Packed) -> None:
    others = {*discovery.names()} - {packed.family}
    wanted = {name for name in files(ROOT / "serving") if not set(others) & {*Path(name).parts} and not Path(name).name.startswith(".")}
    assert files(packed.bento / "src/serving") == wanted
    pointer = store.pointer_path(packed.family)
    assert (packed.bento / "src" / pointer).read_bytes() == pointer.read_bytes()


def test_the_command_says_what_was_built_and_how_to_run_it(packed: Packed) -> None:
    tag = store.read_pointer(packed.family)["tag"]
    for words in (tag, "MB", "clean (hadolint)", f"bentoml serve {packed.bento}", "docker build", f"bentoml containerize {tag}"):
        assert words in packed.printed


def half_written(packed: Packed) -> set[str]:
    """What lies in the store beside the bento that was asked for."""
    beside = {path.name for place in (packed.project / ".store", packed.bento.parent) for path in place.iterdir()}
    return beside - {"bentos", "champions", "models", "restored", "latest", packed.bento.name}


def test_nothing_is_left_behind_and_the_home_is_untouched(packed: Packed) -> None:
    assert half_written(packed) == set()
    assert not (packed.home / "bentoml").exists()


@pytest.mark.parametrize(("family", "more"), [("objects", False), ("signatures", True)])
def test_a_family_packs_what_it_needs_itself(family: str, more: bool) -> None:
    pinned = {line.partition("==")[0] for line in requirements.pinned(*requirements.extras(family)).splitlines() if "==" in line}
    assert ({"opencv-python-headless", "openvino", "pypdfium2"} <= pinned) == more
    assert "bentoml" in pinned
    assert not set(NOT_SERVED) & set(pinned)


@DIGITS
def test_every_requirement_is_pinned_as_the_lock_pins_it(packed: Packed) -> None:
    lock = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=\S)", (packed.bento / bento.REQUIREMENTS).read_text().rstrip("\n"))
    names = {entry.partition("==")[0] for entry in entries}
    assert all(re.match(r"[a-z0-9-]+==[^ ]+ (; [^\\]+ )?\\\n( +--hash=sha256:[0-9a-f]{64}( \\\n|$))+$", entry) for entry in entries)
    assert all(f"{entry}\n" in lock for entry in entries)
    assert {"bentoml", "onnxruntime", "numpy", "pillow", "fastapi", "starlette", "uvicorn", "psutil"} <= names
    assert not set(NOT_SERVED) & set(names)


def test_a_package_that_the_lock_does_not_pin_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    lock = (ROOT / "requirements.lock").read_text()
    (tmp_path / "requirements.lock").write_text(lock.replace("\npillow==", "\npillar=="))
    monkeypatch.setattr(requirements, "ROOT", tmp_path)
    with pytest.raises(requirements.NotLocked, match=r"pillow.*make lock"):
        requirements.pinned("endpoint")


def test_the_dockerfile_is_clean_and_opens_the_container_only(packed: Packed) -> None:
    text = (packed.bento / bento.DOCKERFILE).read_text()
    assert bento.lint(packed.bento) == "clean (hadolint)"
    assert re.search(r"^FROM python:3\.\d+-slim-\w+ ", text, re.MULTILINE)
    assert re.search(r"^ENV BENTOML_HOST=0\.0\.0\.0 BENTOML_PORT=3000 ", text, re.MULTILINE)
    assert re.findall(r"^(?:EXPOSE|USER) (\d+)$", text, re.MULTILINE) == ["3000", "1034"]
    assert "COPY --chown=1034:1034 . ./" in text  # BentoML keeps a model where only its owner may look
    assert "host: 127.0.0.1" in (packed.bento / "bento.yaml").read_text()


def test_a_dockerfile_with_a_finding_is_named(tmp_path: Path) -> None:
    (tmp_path / bento.DOCKERFILE).parent.mkdir(parents=True)
    (tmp_path / bento.DOCKERFILE).write_text("FROM python\n")
    with pytest.raises(bento.BentoError, match="DL3006"):
        bento.lint(tmp_path)


@DIGITS
def test_without_hadolint_it_says_so(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    assert "not linted" in bento.lint(packed.bento)


def test_without_a_champion_there_is_nothing_to_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(store.NoChampion, match="make train family=digits"):
        bento.pack("digits")


@DIGITS
def test_building_again_replaces_and_a_failed_build_leaves_what_was(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    before = packed.bento.stat().st_ino
    assert bento.pack("digits").absolute() == packed.bento
    after = packed.bento.stat().st_ino
    assert after != before
    monkeypatch.setattr(bento, "bentofile", lambda family, pointer: {"service": "serving.nothing:Nothing", "name": family})
    with pytest.raises(bento.BentoError, match=r"serving\.nothing"):
        bento.pack("digits")
    assert packed.bento.stat().st_ino == after
    assert half_written(packed) == set()


@pytest.fixture(scope="module")
def away(packed: Packed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the bento and an environment that holds its requirements and nothing else."""
    folder = tmp_path_factory.mktemp("away")
    shutil.copytree(packed.bento, folder / "bento")
    uv(["venv", "--python", sys.executable, str(folder / "venv")])
    options = ["--python", str(folder / "venv"), "--require-hashes", "--only-binary", ":all:"]
    uv(["pip", "install", *options, "-r", str(folder / "bento" / bento.REQUIREMENTS)])
    return folder


def uv(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "uv", *words], capture_output=True, text=True, check=False)
    if done.returncode and any(word in done.stderr for word in OFFLINE):
        pytest.skip(f"NOT TESTED that a bento runs in an empty environment: no package registry is reachable. {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def client(away: Path) -> Iterator[httpx.Client]:
    """The bento, served from the empty environment: another folder, another home, none of the project's variables."""
    port, home = str(free_port()), away / "home"
    home.mkdir()
    told = {"PATH": f"{away / 'venv/bin'}:{os.defpath}", "HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    words = [str(away / "venv/bin/bentoml"), "serve", str(away / "bento"), "--port", port]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client, (away / "log").open("wb") as log:
        process = subprocess.Popen(words, cwd=home, env=told, stdout=log, stderr=log, start_new_session=True)
        try:
            assert until(lambda: process.poll() is not None or ready(client), tries=600), (away / "log").read_text()
            assert process.poll() is None, (away / "log").read_text()
            yield client
        finally:
            stop(process)


@EMPTY
def test_the_bento_answers_in_an_empty_environment_and_records_that(packed: Packed, client: httpx.Client, away: Path) -> None:
    sent = [encoded(seven()), *([papers.letter([(100, 600, 200, 60)])] if packed.family == "signatures" else [])]
    for content in sent:
        response = client.post("/predict", files={"image": ("seven", content)})
        assert response.status_code == 200, response.text
        assert response.json()["model"] == store.read_pointer(packed.family)["model"]
        kept = predictions.Store(f"sqlite:///{away}/bento/src/.store/predictions.db")
        assert until(lambda: kept.find(response.json()["prediction_id"]) is not None)  # noqa: B023 (asked at once)
        kept.close()


@EMPTY
@pytest.mark.parametrize("path", ["/", "/health", "/readyz", "/metrics", "/openapi.json"])
def test_the_bento_has_every_page_in_an_empty_environment(packed: Packed, client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200


@EMPTY
def test_the_bento_reports_to_nobody(packed: Packed, client: httpx.Client, away: Path) -> None:
    assert client.get("/health").status_code == 200
    assert {path.name for path in (away / "home").iterdir()} == {"bentoml"}  # ONNX Runtime would leave .cache/Microsoft, OpenVINO intel
