"""Pairs in turn, after a warm-up: a figure of ours beside one of a peer's, from the same minutes on the same machine."""

import json
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from pipelines import devices, folders

REPORT = Path("reports/benchmarks.json")
PACKAGES = (
    *("bentoml", "celery", "dvc", "faiss-cpu", "fastapi", "keras", "mlflow", "numpy", "onnxruntime", "opencv-python-headless", "openvino"),
    *("tensorflow", "tensorflow-cpu", "torch", "torchvision", "uvicorn"),
)
Row = dict[str, Any]
Better = Literal["more", "less"]


def in_turn(sides: Mapping[str, Callable[[], Any]], rounds: int, warm: int = 1) -> dict[str, list[Any]]:
    """{side: what each of its rounds measured}: `warm` rounds of each to warm up, then A B C, A B C, ..."""
    found: dict[str, list[Any]] = {name: [] for name in sides}
    with tqdm(total=(rounds + warm) * len(sides), unit="round", leave=False) as bar:
        for turn in range(rounds + warm):
            for name, measure in sides.items():
                bar.set_description(name)
                value = measure()
                bar.update()
                if turn >= warm:
                    found[name].append(value)
    return found


def row(name: str, unit: str, better: Better, ours: list[float], peer: list[float] | None = None, **more: Any) -> Row:
    """A line of the report: medians, the spread (least to most) and how many times better ours is, round by round."""
    line: Row = {"name": name, "ours": _short(statistics.median(ours)), "peer": None, "unit": unit, "ratio": None}
    line["spread"] = {"ours": [_short(min(ours)), _short(max(ours))]}
    if peer:
        ratios = [a / b if better == "more" else b / a for a, b in zip(ours, peer, strict=True)]
        line |= {"peer": _short(statistics.median(peer)), "ratio": _short(statistics.median(ratios))}
        line["spread"] |= {"peer": [_short(min(peer)), _short(max(peer))], "ratio": [_short(min(ratios)), _short(max(ratios))]}
    return {**line, "better": better, "rounds": len(ours), **more}


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def record(bench: str, rows: Iterable[Row]) -> list[Row]:
    """Put the rows of one benchmark into reports/benchmarks.json, with machine, versions and command; those not measured now stay."""
    facts = {"bench": bench, "hardware": devices.hardware(), "versions": _versions(), "command": f"make bench name={bench}"}
    done = [{**line, **facts, "date": time.strftime("%Y-%m-%d", time.gmtime())} for line in rows]
    names = {line["name"] for line in done}
    folders.write_json(REPORT, [line for line in read() if line["bench"] != bench or line["name"] not in names] + done)
    return done


def read() -> list[Row]:
    """The current report; empty before the first benchmark."""
    return json.loads(REPORT.read_text()) if REPORT.exists() else []


def _versions() -> dict[str, str]:
    """Of the packages that are installed."""
    installed = {package.name.lower(): package.version for package in metadata.distributions()}
    return {name: installed[name] for name in PACKAGES if name in installed}


def seconds(words: list[str], **how: Any) -> float:
    """Seconds that a command takes, with its start. Raises CalledProcessError when it fails."""
    begun = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True, **how)
    return time.perf_counter() - begun


class Stopped(SystemExit):
    """A benchmark that cannot go on: the message is printed, and the exit status is 1."""


class Absent(Stopped):
    """What a benchmark, or a peer, needs is not on this machine."""


@contextmanager
def optional(what: str) -> Iterator[None]:
    """Leave out by name what needs something that is not here."""
    try:
        yield
    except Absent as absence:
        print(f"Left out: {what}. {absence}")


class Child:
    """A side in a process of its own, which measures once for every line it is sent (benchmarks/child.py)."""

    def __init__(self, words: list[str]) -> None:
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self) -> dict[str, Any]:
        """What the child measured: {"value", "peak_mb"}, or more."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(60)


@contextmanager
def children(sides: Mapping[str, list[str]]) -> Any:
    """{side: its Child}, ended at the end."""
    running = {name: Child(words) for name, words in sides.items()}
    try:
        yield running
    finally:
        for child in running.values():
            child.end()
