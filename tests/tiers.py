"""What a run of the tests left out and the command for it; --times writes the seconds of each file, --shard runs a part of the files."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

TIERS = {"slow": "make test-slow", "system": "make test-system", "long": "make fuzz"}  # a test of two belongs to the last
SERVERS = {"service", "postgres", "cluster", "postgresql"}  # a test with one of these fixtures, or parameters, is slow ...
QUICK = "test_endpoint_digits.py"  # ... but for this file: one service over HTTP
LONG = 20  # seconds of a file that --times names
TIMES = Path(__file__).parents[1] / "reports/tests.json"
COUNTED: dict[str, Counter[str]] = {"left out": Counter(), "seconds": Counter()}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--times", action="store_true", help=f"write the seconds of each file to {TIMES.name}")
    parser.addoption("--shard", default="1/1", metavar="2/4", help="the second of four parts that take about as long as each other")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if _needs(item) & SERVERS and item.path.name != QUICK:
            item.add_marker("slow")
    mine, seconds = _shard(config.getoption("--shard"), {_file(item.nodeid) for item in items}), timed()
    items[:] = [item for item in items if _file(item.nodeid) in mine]
    items.sort(key=lambda item: -seconds.get(_file(item.nodeid), 1))  # no worker is left with a long file at the end


def _shard(words: str, files: set[str]) -> set[str]:
    number, of = map(int, words.split("/")) if re.fullmatch(r"\d+/\d+", words) else (0, 0)
    if not 1 <= number <= of:
        raise pytest.UsageError(f"--shard {words} is no part. Give the part and how many there are, from 1/4 to 4/4.")
    return shards(files, of)[number - 1]


def shards(files: Iterable[str], of: int) -> list[set[str]]:
    """The files in so many parts: the longest first, each to the part with the least to do. One that was not timed counts a second."""
    seconds = timed()
    parts: list[set[str]] = [set() for _ in range(of)]
    for file in sorted(files, key=lambda file: (-seconds.get(file, 1), file)):
        min(parts, key=lambda part: sum(seconds.get(each, 1) for each in part)).add(file)
    return parts


def timed() -> dict[str, float]:
    """{file: seconds} of the last `make test-times`."""
    seconds: dict[str, float] = json.loads(TIMES.read_text())
    return seconds


def _file(test: str) -> str:
    return test.partition("::")[0]


def _needs(item: pytest.Item) -> set[str]:
    """The names of a test's fixtures, and its parameters."""
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return {*getattr(item, "fixturenames", ()), *map(str, parameters)}


def pytest_deselected(items: list[pytest.Item]) -> None:
    COUNTED["left out"].update(next((tier for tier in reversed(TIERS) if item.get_closest_marker(tier)), "") for item in items)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist sends what it left out."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left out"] = dict(COUNTED["left out"])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Every worker collects all tests, so the counts of one are enough."""
    COUNTED["left out"] |= Counter(getattr(node, "workeroutput", {}).get("left out", {}))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    COUNTED["seconds"][_file(report.nodeid)] += report.duration  # type: ignore[assignment]


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for tier, command in TIERS.items():
        if number := COUNTED["left out"][tier]:
            terminalreporter.write_line(f"{number} tests marked {tier} were left out: {command}")
    if config.getoption("--times"):
        seconds = {file: round(taken, 1) for file, taken in COUNTED["seconds"].most_common()}
        TIMES.write_text(json.dumps(seconds, indent=2) + "\n")
        for file, taken in seconds.items():
            if taken > LONG:
                terminalreporter.write_line(f"{taken:7.1f} s  {file}")
