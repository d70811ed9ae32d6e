"""`make demo`: from data set to answer in one go, on embedded data, in a copy of the project under .demo/.

The copy has its own git, DVC cache, mlruns/, model store and port: the project itself is left as it was.
"""

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image, ImageOps

from pipelines import discovery, git

COPY = Path(".demo")
CANDIDATES = ["digits-adam", "digits-sgd"]
LOG = "service.log"
LEFT_OUT = ("registry/", "released/", "reports/", "dvc.lock")
PATIENCE = 120  # half seconds that the service may take to start
CANDIDATE = re.compile(r"      (\w+-[\w-]+): \{family:")  # its line in dvc.yaml
CHATTER = re.compile(rb"WARNING: All log messages before absl|[IWE]\d{4} \d\d")  # printed by TensorFlow whatever its settings
FAMILIES = re.compile(r"(foreach: &families )\[.*\]")


class NotStarted(RuntimeError):
    """The service did not come up."""


def main() -> None:
    """Copy, train, decide, serve, ask, follow the answer back."""
    started = time.monotonic()
    os.environ.pop("DATA_MIRROR", None)
    if not sys.stdout.isatty():
        os.environ["TQDM_DISABLE"] = "1"  # no bars in a log file
    say("1 of 4: a copy of the project in .demo/, set to two candidates of digits and the embedded data")
    copy()
    print("The project itself stays as it is: the copy has its own git, DVC cache, MLflow and model store.")
    say("2 of 4: dvc repro promote@digits: ingest, train, evaluate, promote")
    run("dvc", "repro", "-q", "promote@digits")
    check_promoted()
    print("The better candidate on validation passed the gate: one line of a hash-chained ledger, .demo/registry/digits.jsonl, in git.")
    say("3 of 4: the champion behind BentoML, asked over HTTP")
    with service() as address:
        ask(address)
    print("The answer names the version, digest, data, commit and run it comes from.")
    say("4 of 4: from the answer back to the data")
    run(sys.executable, "-m", "atelier", "lineage", "answer.json")
    print("Every link was followed and every file's checksum compared, from the answer to the data's sources.")
    say(f"Done in {time.monotonic() - started:.0f} s. Next:")
    print("  make serve family=digits       this project's own champion, trained on MNIST, on http://127.0.0.1:3000")
    print("  make ui                        its runs, versions and figures in MLflow")
    print("  make train family=digits       train it again (70,000 images)")
    print("  make serve family=objects      what is on a small colour image? CIFAR-10, PyTorch")
    print("  make help                      everything else")


def check_promoted() -> None:
    """End the demo where the gate stayed closed."""
    decision = json.loads((COPY / "reports/digits/promotion.json").read_text())
    if not decision["open"]:
        sys.exit(f"The demo stopped: {decision['words']}")


def say(words: str) -> None:
    """Print a heading."""
    print(f"\n\033[1m{words}\033[0m" if sys.stdout.isatty() else f"\n== {words}", flush=True)


def run(*words: str) -> None:
    """Run a command in the copy; its output is shown without TensorFlow's log of itself, its failure ends the demo."""
    with subprocess.Popen(words, cwd=COPY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        for line in lines(process.stdout):
            if not CHATTER.match(line):
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
    if process.returncode:
        sys.exit(f"The demo stopped at `{' '.join(words)}`; what it left is in {COPY}/.")


def lines(stream: Any) -> Iterator[bytes]:
    """What a program prints, a line or one state of a progress bar at a time."""
    rest = b""
    while chunk := stream.read1():
        *complete, rest = re.split(rb"(?<=[\r\n])", rest + chunk)
        yield from complete
    yield rest


def copy() -> None:
    """The working tree as it is, without what was decided here, as a repository of its own."""
    shutil.rmtree(COPY, ignore_errors=True)
    listed = git.required("ls-files", "-coz", "--exclude-standard").decode()
    for name in filter(None, listed.split("\0")):
        if not name.startswith(LEFT_OUT) and Path(name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, COPY / name)
    choose(COPY, CANDIDATES)
    pipeline = COPY / "conf/pipeline.yaml"
    pipeline.write_text(pipeline.read_text().replace("run: full", "run: demo"))
    for words in ("init -q", "add -A", "-c user.name=demo -c user.email=demo@localhost commit -qm demo"):
        run("git", *words.split())


def choose(folder: Path, candidates: list[str]) -> None:
    """Leave these candidates, and their families, in dvc.yaml and conf/candidate/ of a project."""
    families = ", ".join(sorted({discovery.family_of(candidate) for candidate in candidates}))
    for path in Path(folder, "conf/candidate").glob("*.yaml"):
        if path.stem not in candidates:
            path.unlink()
    pipeline = folder / "dvc.yaml"
    lines = [line for line in pipeline.read_text().splitlines() if (of := CANDIDATE.match(line)) is None or of[1] in candidates]
    pipeline.write_text(FAMILIES.sub(rf"\g<1>[{families}]", "\n".join(lines) + "\n"))


@contextmanager
def service() -> Iterator[str]:
    """The service on a free port of the loopback address; stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "atelier", "serve", "digits", "--port", str(port)]
    with (COPY / LOG).open("wb") as log:
        process = subprocess.Popen(words, cwd=COPY, stdout=log, stderr=log)
    try:
        yield awaited(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(30)


def awaited(address: str, process: subprocess.Popen[bytes]) -> str:
    """The address, once the service is ready. Raises NotStarted."""
    for _ in range(PATIENCE):
        if process.poll() is not None:
            break
        if ready(address):
            return address
        time.sleep(0.5)
    raise NotStarted(f"the service at {address} did not start. Its log is {COPY / LOG}.")


def ready(address: str) -> bool:
    """Does the service answer?"""
    try:
        return httpx.get(f"{address}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False


def ask(address: str) -> None:
    """Send a real test picture, enlarged and dark on light as a person would scan it; print and store the answer."""
    picture, label = sample()
    print(f"POST {address}/predict with a handwritten {label} (280 x 280, PNG)")
    answer = (
        httpx.post(f"{address}/predict", files={"image": ("digit.png", picture, "image/png")}, trust_env=False).raise_for_status().json()
    )
    (COPY / "answer.json").write_text(json.dumps(answer, indent=2))
    print(import_module("serving.digits.answers").as_text(answer).replace("make lineage", f"cd {COPY.name} && make lineage"))


def sample() -> tuple[bytes, int]:
    """A picture of the test split as PNG, and its label."""
    images, labels = (np.load(COPY / f"data/digits/test-{part}.npy", allow_pickle=False) for part in ("images", "labels"))
    stream = io.BytesIO()
    ImageOps.invert(Image.fromarray(images[0])).resize((280, 280), Image.Resampling.BICUBIC).save(stream, "PNG")
    return stream.getvalue(), int(labels[0])
