"""What a run of the tests left out and the command for it; with --times, the seconds of each file in reports/tests.json."""

import json
from collections import Counter
from pathlib import Path

import pytest

TIERS = {"slow": "make test-slow", "system": "make test-system", "long": "make fuzz"}  # a test of two belongs to the last
SERVERS = {"service", "postgres", "cluster", "postgresql"}  # a test with one of these fixtures, or parameters, is slow ...
QUICK = "test_endpoint_digits.py"  # ... but for this file: one service over HTTP
LONG = 20  # seconds of a file that --times names
TIMES = Path("reports", "tests.json")
COUNTED: dict[str, Counter[str]] = {"left out": Counter(), "seconds": Counter()}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--times", action="store_true", help=f"write the seconds of each file to {TIMES}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _needs(item) & SERVERS and item.path.name != QUICK:
            item.add_marker("slow")


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
    COUNTED["seconds"][report.nodeid.partition("::")[0]] += report.duration  # type: ignore[assignment]


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
