"""A real service of digits in a process of its own, with a store of random one-layer models; and a picture to ask about."""

import io
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
import onnx
from PIL import Image

from pipelines import configs, manifests, stores
from tests.conftest import description, random_network

REPOSITORY = Path(__file__).parents[1]
SERVE = ["-m", "bentoml", "serve", "serving.digits.service:Digits", "--host", "127.0.0.1"]  # what a bento runs
MAKE_SERVE = ["-m", "serving", "--family", "digits"]
PUT = "import sys; from pathlib import Path; from pipelines import stores; print(stores.put(Path(sys.argv[1]), int(sys.argv[2])))"


class Service(NamedTuple):
    """A running service, its folder, a pointer for each model version in its store, and its process."""

    client: httpx.Client
    folder: Path
    pointers: dict[int, stores.Pointer]
    process: subprocess.Popen[bytes]

    def predict(self, **request: Any) -> httpx.Response:
        return self.client.post("/predict", **request)

    def point(self, pointer: stores.Pointer) -> None:
        with chdir(self.folder):
            stores.point("digits", pointer)

    def log(self) -> str:
        return (self.folder / "log").read_text()


def model(folder: Path, seed: int) -> manifests.Manifest:
    """A model folder whose network is one random layer: its weights differ by `seed`."""
    (folder / "native").mkdir(parents=True)
    (folder / "native/model.keras").write_bytes(b"never served")
    onnx.save(random_network(seed), folder / "model.onnx")
    return manifests.write(folder, configs.compose(["family=digits", "candidate=digits-adam"]), "d" * 64, description())


def run(folder: Path, *words: str) -> str:
    """Python in a process of its own: BentoML keeps to the store it was first imported with."""
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"BENTOML_HOME": str(folder / ".store"), "BENTOML_DO_NOT_TRACK": "True", "PYTHONPATH": str(REPOSITORY)}


def stored(folder: Path, version: int) -> stores.Pointer:
    manifest = model(folder / f"model-{version}", seed=version)
    tag = run(folder, "-c", PUT, f"model-{version}", str(version))
    origin = {"family": "digits", "version": version, "digest": manifest["digest"], "data": manifest["data"]}
    return {"tag": tag, "model": {**origin, "commit": None, "run_id": f"run-{version}"}, "released": False}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], bool], tries: int = 200) -> bool:
    """Ask up to `tries` times, a tenth of a second apart."""
    return any(condition() or time.sleep(0.1) for _ in range(tries))


def ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def running(folder: Path, pointers: dict[int, stores.Pointer], words: Sequence[str] = SERVE, **more: str) -> Iterator[Service]:
    """A service in `folder` that follows `pointers[1]`."""
    port = str(free_port())
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client, (folder / "log").open("wb") as log:
        with chdir(folder):
            stores.point("digits", pointers[1])
        command = [sys.executable, *words, "--port", port]
        process = subprocess.Popen(command, cwd=folder, env=environment(folder) | more, stdout=log, stderr=log, start_new_session=True)
        service = Service(client, folder, pointers, process)
        try:
            assert until(lambda: process.poll() is not None or ready(client), tries=600), service.log()
            assert process.poll() is None, service.log()
            yield service
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def seven() -> Image.Image:
    picture = Image.new("L", (60, 80), 255)
    picture.paste(0, (15, 15, 45, 21))
    picture.paste(0, (39, 15, 45, 65))
    return picture


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()
