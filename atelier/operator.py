"""What an operator types: serve, ask, release, roll back."""

from pathlib import Path
from typing import Annotated

import typer

from atelier import call
from atelier.call import Family, Json, On

app = typer.Typer()
Why = Annotated[str | None, typer.Option(help="The reason, for the ledger.")]
By = Annotated[str | None, typer.Option(help="Who decides, for the ledger (default: who runs this).")]


@app.command()
def up(port: Annotated[int, typer.Option(help="Of the portal; the products have free ones from 3001 on.")] = 8080) -> None:
    """Serve every released product, and the portal in front of them."""
    call.function("serving.portal.up", port)


@app.command()
def portal(host: str = "127.0.0.1", port: Annotated[int, typer.Option(help="0: any that is free.")] = 8080) -> None:
    """Serve the portal: accounts, uploads to all products, history."""
    call.function("serving.portal.__main__", host, port)


@app.command()
def serve(
    family: Family,
    host: str = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any that is free.")] = 3000,
    workers: Annotated[int, typer.Option(help="Processes that answer.")] = 1,
    jobs: Annotated[str | None, typer.Option(help="Processes for queued jobs (default: JOBS_WORKERS, or 1).")] = None,
) -> None:
    """Serve the champion over HTTP."""
    call.function("serving.__main__", family, host, port, workers, jobs)


@app.command()
def worker(family: Family) -> None:
    """One more worker at the queue of jobs, here or, with JOBS_URL (and BROKER_URL), on another machine."""
    call.python("serving.jobs.worker", "--family", family)


@app.command()
def predict(family: Family, image: Annotated[Path, typer.Option(help="PNG, JPEG, ... as the service takes it.")]) -> None:
    """Answer one image, without a server."""
    call.function("serving.ask", family, image)


@app.command()
def batch(
    family: Family,
    source: Annotated[Path, typer.Option("--from", help="A folder, a .tar, a .parquet, or a text file with one path a line.")],
    folder: Annotated[Path, typer.Option("--to", help="A new folder, or that of a batch to go on with.")],
    processes: Annotated[int | None, typer.Option(help="Default: one a core.")] = None,
    on: On = "local",
) -> None:
    """Answer many inputs without a server: a row each, as Parquet; killed, it goes on where it was."""
    call.function("serving.batch.__main__", family, source, folder, processes, on)


@app.command()
def bento(family: Family) -> None:
    """Pack the champion and its endpoint into one folder, with a linted Dockerfile."""
    call.function("serving.bento", family)


@app.command()
def release(family: Family) -> None:
    """Copy the champion's served files to released/, for git."""
    call.function("pipelines.registry.releases", family)


@app.command()
def challenge(
    family: Family,
    candidate: Annotated[str, typer.Option(help="Such as digits-adam; `none` ends the challenge.")],
    share: Annotated[float | None, typer.Option(help="The share of requests to compare: above 0, at most 1.")] = None,
    why: Why = None,
    by: By = None,
) -> None:
    """Let a candidate answer beside the champion, unseen, to be compared."""
    call.function("pipelines.registry.challenge", family, candidate, share, why, by)


@app.command()
def rollback(
    family: Family,
    to: Annotated[int | None, typer.Option(help="A version (default: the champion before).")] = None,
    why: Why = None,
    by: By = None,
) -> None:
    """Make an earlier version the champion again; services follow within a second."""
    call.function("pipelines.registry.rollback", family, to, why, by)


@app.command()
def history(
    family: Family,
    at: Annotated[str | None, typer.Option(help="2026-11-01 or 2026-11-01T12:00: what served then, and why.")] = None,
    json: Json = False,
) -> None:
    """List every decision, or what served at a time."""
    call.function("pipelines.ledger.history", family, at, json)


@app.command("gravures-add")
def gravures_add(name: Annotated[str, typer.Option()], image: Annotated[Path, typer.Option()]) -> None:
    """Add an engraving from one image; nothing is trained, and services find it at once."""
    call.function("serving.gravures.adding:add", name, image)


@app.command("gravures-remove")
def gravures_remove(name: Annotated[str, typer.Option()]) -> None:
    """Remove an added engraving."""
    call.function("serving.gravures.adding:remove", name)
