"""What a developer of the project types: tests, style, documentation, benchmarks."""

import os
from typing import Annotated

import typer

from atelier import call
from atelier.call import Family

app = typer.Typer()
WORKERS = min((os.cpu_count() or 1) + 1, 4)  # one more than cores: a fifth of the time tests wait for processes of their own
PYTEST = ("-n", str(WORKERS), "--dist", "loadfile", "--no-loadscope-reorder")
LOCK = "pip compile -q --universal --generate-hashes --no-header --no-annotate --all-extras --upgrade pyproject.toml -o requirements.lock"


@app.command()
def test() -> None:
    """Run the quick tests: minutes."""
    call.python("pytest", *PYTEST)


@app.command("test-slow")
def test_slow() -> None:
    """Run the tests that need every framework, browsers and external servers."""
    call.python("pytest", *PYTEST, "-m", "slow and not system and not long")


@app.command("test-all")
def test_all(
    shard: Annotated[str, typer.Option(help="2/4: the second of four parts that take about as long as each other.")] = "1/1",
) -> None:
    """Run the quick and the slow tests."""
    call.python("pytest", *PYTEST, "-m", "not long and not system", "--shard", shard)


@app.command("test-system")
def test_system() -> None:
    """Run the heaviest tests: a family made from another one and trained."""
    call.python("pytest", "-m", "system")


@app.command("test-times")
def test_times() -> None:
    """Run the quick and the slow tests, write the seconds of each file to reports/tests.json, and name those over 20 s."""
    call.python("pytest", *PYTEST, "-m", "not long and not system", "--times")


@app.command()
def fuzz() -> None:
    """Run the long fuzz tests: hostile input."""
    call.python("pytest", "-m", "long", "tests/test_hostile.py")


@app.command()
def lint() -> None:
    """Check style and types."""
    call.programs("ruff check .", "ruff format --check .", "mypy")


@app.command()
def docs(serve: Annotated[str | None, typer.Option(help="Show the site at an address such as 127.0.0.1:8000.")] = None) -> None:
    """Build the documentation as a site in .docs/site/; a broken link is an error."""
    call.python("docs.generate", *(["--serve", serve] if serve else []))


@app.command()
def lock() -> None:
    """Renew requirements.lock from pyproject.toml."""
    call.python("uv", *LOCK.split())


@app.command()
def bench(name: Annotated[str | None, typer.Argument(help="Default: all.")] = None) -> None:
    """Measure Atelier and its peers side by side, into reports/benchmarks.json."""
    call.python("benchmarks", *([name] if name else []))


@app.command()
def load(family: Family, users: int = 100, seconds: int = 60) -> None:
    """Load-test a service that is started for it, on the loopback address."""
    call.python("benchmarks.load", "--family", family, "--users", str(users), "--seconds", str(seconds))
