"""A real service of one family in a process of its own, with a store of random one-layer models."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from pipelines import configs, discovery, predictions
from pipelines.models import manifests
from pipelines.registry import store as model_store
from tests.conftest import network

REPOSITORY = Path(__file__).parents[1]
PATHS = {"gravures": "/match"}  # where a picture is sent; other families: /predict
LOADED = """
import sys
from importlib import import_module
from serving.live.champion import Champion, update_store
family = sys.argv[1]
import_module(f"serving.{family}.service"); update_store(family); Champion(family)
print(*{"tensorflow", "keras", "torch", "mlflow", "dvc", "hydra"} & set(sys.modules))
"""


class Service(NamedTuple):
    """A running service, its folder, a pointer for each model version in its store, and its process."""

    client: httpx.Client
    folder: Path
    pointers: dict[int, model_store.Pointer]
    process: subprocess.Popen[bytes]

    @property
    def family(self) -> str:
        return str(self.pointers[1]["model"]["family"])

    @property
    def path(self) -> str:
        """Where a picture is sent."""
        return PATHS.get(self.family, "/predict")

    def predict(self, path: str = "", **request: Any) -> httpx.Response:
        return self.client.post(path or self.path, **request)

    def point(self, pointer: model_store.Pointer) -> None:
        with chdir(self.folder):
            model_store.write_pointer(self.family, pointer)

    def recorded(self, id: str) -> predictions.Row:
        """The row of an answer, once it is in the service's store; it is as it was written."""
        store, found = predictions.Store(f"sqlite:///{self.folder}/.store/predictions.db"), list[predictions.Row]()
        assert until(lambda: bool(found.extend(filter(None, [store.find(id)])) or found)), self.log()
        store.close()
        assert not predictions.altered(found[0])
        return found[0]

    def log(self) -> str:
        return (self.folder / "log").read_text()


def bento_serve(family: str) -> list[str]:
    """What a bento runs."""
    return ["-m", "bentoml", "serve", f"serving.{family}.service:{family.capitalize()}", "--host", "127.0.0.1"]


def make_serve(family: str, *more: str) -> list[str]:
    """What `make serve` runs."""
    return ["-m", "atelier", "serve", family, *more]


def run(folder: Path, *words: str, **more: str) -> str:
    """What Python prints in a process of its own."""
    env = environment(folder) | more
    done = subprocess.run([sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"BENTOML_HOME": str(folder / ".store"), "BENTOML_DO_NOT_TRACK": "True", "PYTHONPATH": str(REPOSITORY)}


def stored(folder: Path, version: int, family: str = "digits", change: Callable[[Path], object] | None = None) -> model_store.Pointer:
    """Put a tiny model into the store of `folder`, its files changed first by `change`, and return a pointer to it."""
    out = folder / f"model-{version}"
    described = network(family, out, seed=version)
    if change:
        change(out)
    cfg = configs.compose([f"family={family}", f"candidate={discovery.candidates(family)[0]}"])
    manifest = manifests.write(out, cfg, "d" * 64, described)
    with chdir(folder):
        tag = model_store.put(out, version)
    origin = {"family": family, "version": version, "digest": manifest["digest"], "data": manifest["data"]}
    return {"tag": tag, "model": {**origin, "commit": None, "run_id": f"run-{version}"}, "released": False}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], bool], tries: int = 200) -> bool:
    """Does the condition hold within `tries` tries, a tenth of a second apart?"""
    return any(condition() or time.sleep(0.1) for _ in range(tries))


def ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def serving_at(folder: Path, family: str) -> Iterator[str]:
    """The address of a service of the champion of the project in `folder`, as `make serve` runs it."""
    with _started(folder, make_serve(family)) as (client, _):
        yield str(client.base_url)


@contextmanager
def running(folder: Path, pointers: dict[int, model_store.Pointer], words: Sequence[str] | None = None, **more: str) -> Iterator[Service]:
    """A service in `folder` that follows `pointers[1]`, started as a bento is unless `words` say otherwise."""
    family = pointers[1]["model"]["family"]
    with chdir(folder):
        model_store.write_pointer(family, pointers[1])
    with _started(folder, words or bento_serve(family), **more) as (client, process):
        yield Service(client, folder, pointers, process)


@contextmanager
def _started(folder: Path, words: Sequence[str], **more: str) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """A client of a process that is ready, and the process."""
    port = str(free_port())
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client, (folder / "log").open("wb") as log:
        command, env = [sys.executable, *words, "--port", port], environment(folder) | more
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            assert until(lambda: process.poll() is not None or ready(client), tries=600), (folder / "log").read_text()
            assert process.poll() is None, (folder / "log").read_text()
            yield client, process
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def figures(service: Service) -> dict[str, float]:
    """The samples of /metrics: {series: value}."""
    lines = service.client.get("/metrics").text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}
