"""What a data scientist types: train, compare, explain, share."""

import signal
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from atelier import call
from atelier.call import Families, Family, FamilyOrAll, Json, On
from pipelines import discovery
from pipelines.errors import BadSetting

app = typer.Typer()


def _candidate(name: str) -> str:
    """The name itself, checked before anything slow is imported; `all` is `accept`'s. Raises UnknownFamily."""
    if name != "all":
        discovery.family_of(name)
    return name


Candidate = Annotated[str, typer.Argument(help="Such as digits-adam.", callback=_candidate)]


@app.command()
def demo() -> None:
    """From data set to answer on embedded data, in a copy of the project: train, decide, serve, ask."""
    call.function("serving.digits.demo")


@app.command()
def train(
    family: FamilyOrAll,
    on: On = "local",
    cpus: Annotated[int, typer.Option(help="Cores of a training, with on=ray.")] = 1,
    gpus: Annotated[float, typer.Option(help="GPUs of a training, with on=ray.")] = 0,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes that train one candidate together, with on=ray.")] = 1,
) -> None:
    """Ingest, train all candidates, evaluate, promote the best; with on=ray the candidates side by side."""
    families = discovery.names() if family == "all" else [family]
    if on == "local" and nodes > 1:
        raise BadSetting(f"nodes={nodes} needs on=ray, a cluster with as many nodes.")
    if on == "local":
        call.python("dvc", "repro", *(f"promote@{name}" for name in families))
    call.function("pipelines.cluster.train", families, on, cpus, gpus, nodes)


@app.command("cluster-up")
def cluster_up(
    nodes: Annotated[int, typer.Option(help="How many.")] = 3,
    cpus: Annotated[int | None, typer.Option(help="Cores of each (default: this machine's, shared out).")] = None,
) -> None:
    """Run a cluster of Ray on the loopback address, for on=ray, until Ctrl-C."""
    call.function("pipelines.cluster.up", nodes, cpus)


@app.command()
def promote(family: Family) -> None:
    """Decide again on what has been evaluated."""
    call.function("pipelines.registry.promotion:check_data", family)
    call.python("dvc", "repro", "-s", f"promote@{family}")


@app.command()
def experiment(
    family: Family,
    settings: Annotated[list[str], typer.Option("--set", help="digits-adam:fit.epochs=4, digits:data.limit=1000, seed=2 or run=smoke.")],
    name: Annotated[str | None, typer.Option(help="Of the experiment (default: DVC makes one).")] = None,
) -> None:
    """Run all stages with other settings in a folder of their own: compared, never promoted, and nothing here changes."""
    call.function("pipelines.artifacts.experiments:run", family, settings, name)


Sweep = Annotated[str | None, typer.Option("--name", help="Of the sweep (default: the family's only one).")]


@app.command()
def sweep(
    family: Family,
    name: Sweep = None,
    trials: Annotated[int | None, typer.Option(min=1, help="To be finished in all (default: the sweep's).")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Trials side by side (default: as many as cores or GPUs allow).")] = None,
    on: On = "local",
    join: Annotated[bool, typer.Option("--join", help="Share the trials of a sweep that another process runs.")] = False,
) -> None:
    """Search the settings of a candidate, or go on where a search stopped."""
    call.function("pipelines.sweeps.driver", family, name, trials, workers, on, join)


@app.command("sweep-show")
def sweep_show(family: Family, name: Sweep = None) -> None:
    """List a sweep's trials and which settings mattered; the same as one HTML page."""
    call.function("pipelines.sweeps.show", family, name)


@app.command("sweep-adopt")
def sweep_adopt(
    family: Family, name: Sweep = None, trial: Annotated[int | None, typer.Option(help="Its number (default: the best).")] = None
) -> None:
    """Make a sweep's best trial a candidate, which `atelier train` trains and the gate judges."""
    call.function("pipelines.sweeps.adopt", family, name, trial)


@app.command()
def experiments() -> None:
    """What differs between the experiments on this commit: settings and headline figures."""
    call.function("pipelines.artifacts.experiments:show")


@app.command()
def plots() -> None:
    """Curves, confusions and mistakes of all candidates, as a page that needs no network."""
    call.function("pipelines.artifacts.plots:show")


@app.command()
def notebooks(family: Families = None) -> None:
    """Run the notebooks on the data that is here, as pages in .notebooks/."""
    call.function("pipelines.datasets.notebooks:run", family)


@app.command()
def ui(host: str = "127.0.0.1", port: int = 5000) -> None:
    """MLflow's page: runs, versions, aliases."""
    call.function("pipelines.registry.ui", host, port)


@app.command()
def lineage(
    of: Annotated[str, typer.Argument(help="digits@champion, digits@v2, a run, a prediction's id, an answer's file, a model folder.")],
    files: Annotated[bool, typer.Option("--files", help="Every file inside a source, with its SHA-256.")] = False,
    json: Json = False,
) -> None:
    """Follow a version, alias, run, prediction, answer or folder back to the source files."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it quietly
    call.function("pipelines.lineage.show", of, files, json)


@app.command()
def reproduce(of: Annotated[str, typer.Argument(help="Such as digits@champion.")]) -> None:
    """Train a version again from manifest and record: exit code 0 where the digests agree, 3 where they differ."""
    call.function("pipelines.audit.reproduce", of)


@app.command()
def accept(candidate: Annotated[str, typer.Argument(help="Such as digits-adam, or all.")]) -> None:
    """Prove by a few steps that changed code trains the same to the bit; then nothing is stale."""
    call.function("pipelines.audit.accept", candidate)


@app.command("new-family")
def new_family(
    name: Annotated[str, typer.Option(help="Of the new family: a-z and digits.")],
    like: Annotated[str, typer.Option(help="The family whose files are copied.")],
) -> None:
    """Make a family as a copy of another one, and list what to change."""
    call.function("pipelines.scaffold", name, like)
    call.programs("ruff check -q --fix --exit-zero .", "ruff format -q .")


@app.command("store-put")
def store_put(
    dataset: Annotated[str | None, typer.Option(help="Name of a data set in the store.")] = None,
    source: Annotated[str | None, typer.Option("--from", help="Its tar, folder or address.")] = None,
    cfg: Annotated[Path | None, typer.Option(help="A Darknet cfg.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Darknet weights.")] = None,
) -> None:
    """Copy a data set, cfg or weights into the image store at MONGO_URL."""
    call.function("pipelines.imagestore.transfer:put", dataset, source, cfg, weights)


@app.command("store-get")
def store_get(
    to: Annotated[Path, typer.Option(help="The folder or file to write.")],
    dataset: Annotated[str | None, typer.Option(help="Name of a data set in the store.")] = None,
    cfg: Annotated[Path | None, typer.Option(help="A Darknet cfg.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Darknet weights.")] = None,
) -> None:
    """Copy a data set, cfg or weights out of the image store, byte for byte."""
    call.function("pipelines.imagestore.transfer:get", to, dataset, cfg, weights)


@app.command("darknet-export")
def darknet_export(candidate: Candidate, to: Annotated[Path, typer.Option(help="A new folder.")]) -> None:
    """Write cfg, lists and pages for training with a Darknet program."""
    call.function("pipelines.families.signatures.exchange:export", _composed(candidate), to)


@app.command("darknet-import")
def darknet_import(
    candidate: Candidate,
    cfg: Annotated[Path, typer.Option(help="network.cfg of the exported folder.")],
    weights: Annotated[Path, typer.Option(help="What Darknet wrote into backup/.")],
) -> None:
    """Take the weights that Darknet has trained as a candidate's model."""
    call.function("pipelines.families.signatures.exchange:take", _composed(candidate), cfg, weights)


def _composed(candidate: str) -> Any:
    return import_module("pipelines.configs").compose(["family=signatures", f"candidate={candidate}"])
