"""Services as processes: ours and the peers', on free ports of the loopback address; and wrk, which asks them."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil

from benchmarks import example, harness, models
from benchmarks.harness import Absent, Stopped

CONNECTIONS = 32
LONGEST = 120  # seconds that a process may take to load
LOADED = "Application startup complete"
LUA = """
wrk.method = "POST"
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
wrk.headers["Content-Type"] = "{kind}"
done = function(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('\\nJSON{{"rps":%f,"p50":%f,"p99":%f,"failed":%d,"requests":%d}}\\n', summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed, summary.requests))
end
"""


class Request(NamedTuple):
    """What is sent: content type and body."""

    path: str
    kind: str
    body: bytes


def picture(family: str) -> Request:
    """The family's example as a multipart upload."""
    return upload(*example.file(family), example.PATHS.get(family, "/predict"))


def upload(name: str, kind: str, content: bytes, path: str = "/predict") -> Request:
    """A file as a multipart upload."""
    head = f'--frontier\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\nContent-Type: {kind}\r\n\r\n'
    return Request(path, "multipart/form-data; boundary=frontier", head.encode() + content + b"\r\n--frontier--\r\n")


def numbers() -> Request:
    """The example of digits as `mlflow models serve` takes it."""
    image = (example.seven()[None, ..., None] / 255).round(4).tolist()
    return Request("/invocations", "application/json", json.dumps({"inputs": image}).encode())


class Side(NamedTuple):
    """A service to compare: the command that starts it (with {port}), and what it is asked."""

    words: list[str]
    request: Request


def sides(family: str, scratch: Path) -> dict[str, Side]:
    """Every service of the family's comparison, around the same network."""
    wrk()
    os.environ["PEER_MODEL"] = str(models.served(family))
    return {
        "Atelier": ours(family),
        **{"digits": digits, "gravures": gravures, "objects": objects, "signatures": signatures}[family](scratch),
    }


def digits(scratch: Path) -> dict[str, Side]:
    """The peers of digits."""
    stock = [sys.executable, "-m", "bentoml", "serve", "benchmarks.peers.bento:Stock", "--host", "127.0.0.1", "--port", "{port}"]
    peers = {"FastAPI + ONNX": uvicorn("onnx_fastapi:application", "digits"), "stock BentoML + ONNX": Side(stock, picture("digits"))}
    with harness.optional("FastAPI + Keras; mlflow models serve"):
        os.environ["PEER_NETWORK"] = str(models.native("digits"))
        scoring = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(models.mlflow_model(scratch / "model")), "-p", "{port}"]
        peers["FastAPI + Keras"] = uvicorn("keras_fastapi:application", "digits")
        peers["mlflow models serve"] = Side([*scoring, "--env-manager", "local", "-h", "127.0.0.1"], numbers())
    return peers


def objects(_: Path) -> dict[str, Side]:
    """The peers of objects."""
    peers = {
        "FastAPI + ONNX, in threads": uvicorn("objects_fastapi:onnx_in_threads", "objects"),
        "FastAPI + ONNX, on the loop": uvicorn("objects_fastapi:onnx_on_the_loop", "objects"),
    }
    with harness.optional("FastAPI + torch, in threads and on the loop"):
        os.environ["PEER_NETWORK"] = str(models.native("objects"))
        peers["FastAPI + torch, in threads"] = uvicorn("objects_fastapi:torch_in_threads", "objects")
        peers["FastAPI + torch, on the loop"] = uvicorn("objects_fastapi:torch_on_the_loop", "objects")
    return peers


def gravures(_: Path) -> dict[str, Side]:
    """The peers of gravures: they hold the complete catalogue in memory."""
    return {
        "FastAPI + ONNX + NumPy, in threads": uvicorn("gravures_fastapi:in_threads", "gravures"),
        "FastAPI + ONNX + NumPy, on the loop": uvicorn("gravures_fastapi:on_the_loop", "gravures"),
    }


def signatures(_: Path) -> dict[str, Side]:
    """The peers of signatures: they read the Darknet files that are served."""
    return {
        "FastAPI + cv2.dnn, one network": uvicorn("signatures_fastapi:one_network", "signatures"),
        "FastAPI + cv2.dnn, a network a core": uvicorn("signatures_fastapi:a_network_a_core", "signatures"),
    }


def uvicorn(peer: str, family: str) -> Side:
    """An application of benchmarks/peers/ behind uvicorn, which takes uvloop and httptools where they are installed."""
    words = ["-m", "uvicorn", "--factory", "--port", "{port}", "--no-access-log", "--log-level", "warning"]
    return Side([sys.executable, *words, f"benchmarks.peers.{peer}"], picture(family))


def ours(family: str) -> Side:
    """Atelier, as `make serve` starts it."""
    return Side([sys.executable, "-m", "atelier", "serve", family, "--port", "{port}"], picture(family))


class Service:
    """A started service that has answered once; `seconds` is how long that took from the command on."""

    def __init__(self, side: Side, log: Path) -> None:
        port = str(_free_port())
        self.side, self.address = side, f"http://127.0.0.1:{port}"
        begun = time.perf_counter()
        with log.open("wb") as out:
            words = [word.replace("{port}", port) for word in side.words]
            self.process = subprocess.Popen(words, stdout=out, stderr=out, start_new_session=True)
        self._await(log)
        self.seconds = time.perf_counter() - begun

    def _await(self, log: Path) -> None:
        for _ in range(6000):
            if self.process.poll() is not None:
                break
            if self._answers():
                return
            time.sleep(0.01)
        self.stop()
        raise Stopped(f"{' '.join(self.side.words)} did not answer. Its words:\n{log.read_text()[-2000:]}")

    def _answers(self) -> bool:
        sent = self.side.request
        try:
            return httpx.post(self.address + sent.path, content=sent.body, headers={"Content-Type": sent.kind}, timeout=30).is_success
        except httpx.TransportError:
            return False

    def memory_mb(self) -> float:
        """What the service and its children hold, in megabytes: resident, pages that they share counted in each."""
        root = psutil.Process(self.process.pid)
        return sum(map(_resident, [root, *root.children(recursive=True)])) / 1e6

    def load(self, seconds: int, connections: int = CONNECTIONS) -> dict[str, float]:
        """wrk's figures: {"rps", "p50" ms, "p99" ms, "failed", "requests"}."""
        with tempfile.TemporaryDirectory() as scratch:
            body, script = Path(scratch, "body"), Path(scratch, "post.lua")
            body.write_bytes(self.side.request.body)
            script.write_text(LUA.format(body=body, kind=self.side.request.kind))
            target = ["-s", str(script), self.address + self.side.request.path]
            words = [wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", *target]
            printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        figures = json.loads(printed.rpartition("JSON")[2])
        if not figures["requests"]:
            raise Stopped(f"{' '.join(self.side.words)} answered nothing in {seconds} s. Measure on a machine with nothing else to do.")
        return figures

    def stop(self) -> None:
        """Stop it with all its children; one that has ended by itself is left alone."""
        if self.process.poll() is not None:
            return
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        self.process.terminate()
        _, alive = psutil.wait_procs(family, 20)
        for process in alive:
            process.kill()
        self.process.wait()


def await_words(log: Path, words: str, times: int) -> None:
    """Wait until a service's log has these words so many times. Raises Stopped after LONGEST seconds."""
    deadline = time.monotonic() + LONGEST
    while (found := log.read_text().count(words)) < times:
        if time.monotonic() > deadline:
            raise Stopped(f"{words!r} is in the log {found} times after {LONGEST} s; {times} were expected.")
        time.sleep(0.05)


def wrk() -> str:
    """The program that sends the requests. Raises Absent where it is not installed."""
    found = shutil.which("wrk")
    if not found:
        raise Absent("wrk, which sends the requests, is not on PATH: `apt install wrk` or `brew install wrk` installs it.")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(wanted: dict[str, Side]) -> Iterator[dict[str, Service]]:
    """{side: its running service}; all are stopped at the end."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        running = {}
        for number, (name, side) in enumerate(wanted.items()):
            running[name] = Service(side, Path(scratch, f"{number}.log"))
            stack.callback(running[name].stop)
        yield running


def _resident(process: psutil.Process) -> int:
    """Bytes; none of a process that has just ended."""
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
