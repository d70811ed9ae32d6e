"""From an answer, a version, an alias or a run back to the source files; every link is checked, not believed.

Each link is *ok*, *not here* (with how to get it) or *broken* (the command then ends with 1).
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipelines import archives, cards, errors, families, folders, ledger, manifests, outputs, records, registry, sources, tracking
from pipelines.ledger import Line

OK, NOT_HERE, BROKEN = "ok", "not here", "broken"
FORMS = "digits@champion, digits@v2, an MLflow run id, or a file with an answer's JSON"


class UnknownPlace(LookupError):
    """Nothing that lineage can start from."""


@dataclass(frozen=True)
class Link:
    """One step of the walk back."""

    name: str
    status: str
    words: str


def walk(of: str) -> list[Link]:
    """Every link from `of` back to the source files. Raises UnknownPlace."""
    answer = _answer(of)
    line = _line(of, answer)
    registry.reconcile(line["family"])
    first = [_link("answer", lambda: _answered(answer, line))] if answer else []
    steps: dict[str, Callable[[], str]] = {
        "decision": lambda: _decision(line),
        "served files": lambda: _served(line),
        "model folder": lambda: _folder(line),
        "run": lambda: _run(line),
        "configuration": lambda: _configuration(line),
        "commit": lambda: _commit(line),
        "code": lambda: _code(line),
        "data": lambda: _data(line),
    }
    return first + [_link(name, step) for name, step in steps.items()] + list(_sources(line))


def _link(name: str, step: Callable[[], str]) -> Link:
    try:
        return Link(name, OK, step())
    except outputs.NotHere as absence:
        return Link(name, NOT_HERE, str(absence))
    except (ValueError, LookupError, OSError) as fault:
        return Link(name, BROKEN, f"{type(fault).__name__}: {fault}")


def _answer(of: str) -> dict[str, Any] | None:
    """The `model` part of an answer kept in a file, or on standard input for `-`."""
    if of != "-" and not Path(of).is_file():
        return None
    try:
        found = json.loads(sys.stdin.read() if of == "-" else Path(of).read_text())
        return dict(found.get("model", found))
    except (ValueError, AttributeError, TypeError) as error:
        raise UnknownPlace(f"{of} does not hold an answer's JSON ({error}). Start from {FORMS}.") from error


def _line(of: str, answer: dict[str, Any] | None) -> Line:
    if answer:
        if not isinstance(answer.get("version"), int):
            raise UnknownPlace(f"{of} names no version: {answer.get('version')!r} is not a number. Start from {FORMS}.")
        return ledger.version(families.known(str(answer.get("family"))), answer["version"])
    if found := re.fullmatch(r"(\w+)@(champion|v?(\d+))", of):
        return _champion(families.known(found[1])) if found[2] == "champion" else ledger.version(families.known(found[1]), int(found[3]))
    return _of_run(of)


def _champion(family: str) -> Line:
    line = ledger.champion(ledger.read(family))
    if line is None:
        raise UnknownPlace(f"{family} has no champion yet. Train one with `make train family={family}`.")
    return line


def _of_run(run_id: str) -> Line:
    """The promotion that this MLflow run led to."""
    store = tracking.client()
    lines = [line for family in families.names() for line in ledger.versions(ledger.read(family)).values()]
    keys = {line["run"]: line for line in lines}
    if re.fullmatch(r"[0-9a-f]{32}", run_id):
        for run in store.search_runs([found.experiment_id for found in store.search_experiments()], f"attributes.run_id = '{run_id}'"):
            if run.data.tags.get(tracking.KEY) in keys:
                return keys[run.data.tags[tracking.KEY]]
    raise UnknownPlace(f"{run_id!r} leads nowhere: no promoted version, alias, run or answer of that name. Start from {FORMS}.")


def _answered(answer: dict[str, Any], line: Line) -> str:
    differing = [key for key in ("digest", "data", "commit") if answer.get(key) != line[key]]
    if differing:
        raise ValueError(f"the answer's {', '.join(differing)} is not that of version {line['version']} in the ledger")
    return f"given by {line['family']} version {line['version']}, digest {line['digest'][:12]}"


def _decision(line: Line) -> str:
    reasons = "; ".join(line["reasons"])
    return f"{ledger.path(line['family'])} line {line['seq']}, {line['time']}, chain intact: {reasons}"


def _served(line: Line) -> str:
    folder = registry.served(line)
    manifest = manifests.verified(folder)
    if manifest["digest"] != line["digest"]:
        raise ValueError(f"digest {manifest['digest'][:12]} is not the ledger's {line['digest'][:12]}")
    return f"{folder}, digest {line['digest'][:12]}: {', '.join(manifests.served(manifest))}, every file checked"


def _folder(line: Line) -> str:
    folder = registry.whole(line)
    manifest = manifests.verified(folder)
    wrong = [name for name, entry in manifest["files"].items() if folders.sha256(folder / name) != entry["sha256"]]
    if wrong or manifest["data"] != line["data"]:
        raise ValueError(f"{folder}: {', '.join(wrong) or 'its data hash'} is not what the manifest and the ledger say")
    return f"{folder}, DVC {line['dvc']}, every file checked"


def _run(line: Line) -> str:
    run = tracking.find(tracking.client(), line["family"], line["run"])
    if run is None:
        raise outputs.NotHere(f"no run with key {line['run']}. `make ui` makes it again from the model folder.")
    return f"{run.info.run_id} in experiment {line['family']} (make ui)"


def _configuration(line: Line) -> str:
    config = manifests.verified(registry.served(line))["config"]
    fit = ", ".join(f"{key}={value}" for key, value in tracking.flat(config["fit"]).items())
    return f"{config['candidate']}, run={config['run']}, seed={config['seed']}, {fit}"


def _commit(line: Line) -> str:
    if not line["commit"]:
        raise outputs.NotHere("trained outside git: no commit is known. Commit before you train.")
    subject = _git("show", "-s", "--format=%h %cs %s", line["commit"])
    if subject is None:
        raise outputs.NotHere(f"{line['commit']} is not in this clone. `git fetch --unshallow`, or fetch the branch it is on.")
    return subject.decode().strip() + (" (with uncommitted changes: see code)" if line["dirty"] else "")


def _code(line: Line) -> str:
    """Every module that the training imported, held against the commit."""
    code = records.read(registry.whole(line))["code"]
    if _git("cat-file", "-e", f"{line['commit']}^{{commit}}") is None:
        raise outputs.NotHere(f"commit {line['commit']} is not in this clone")
    changed = [
        path for path, digest in code.items() if hashlib.sha256(_git("show", f"{line['commit']}:{path}") or b"").hexdigest() != digest
    ]
    if changed:
        raise ValueError(
            f"not as in commit {line['commit'][:12]}: {', '.join(changed)}. Trained with uncommitted changes: commit, then train again."
        )
    return f"{len(code)} modules, each as in the commit"


def _git(*words: str) -> bytes | None:
    done = subprocess.run(["git", *words], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def _data(line: Line) -> str:
    folder = registry.data(line)
    card = cards.read(folder)
    wrong = [name for name, digest in card["files"].items() if not (folder / name).is_file() or folders.sha256(folder / name) != digest]
    if wrong or folders.hash_of(card["files"]) != line["data"]:
        raise ValueError(
            f"{folder}: {', '.join(wrong) or cards.CARD} is not what the card says. `dvc checkout --force data/{line['family']}`"
        )
    counts = ", ".join(f"{count} {split}" for split, count in card["counts"].items())
    return f"{folder}/{cards.CARD}, hash {line['data'][:12]}: {counts}; every file checked"


def _sources(line: Line) -> Iterator[Link]:
    try:
        card = _card(line)
    except outputs.NotHere as absence:
        yield Link("source", NOT_HERE, str(absence))
        return
    for source in card["sources"]:
        yield _link("source", lambda source=source: _source(source))  # type: ignore[misc]


def _card(line: Line) -> dict[str, Any]:
    """The data card, or its released copy."""
    try:
        return cards.read(registry.data(line))
    except outputs.NotHere:
        released = registry.RELEASED / line["family"]
        if (released / cards.CARD).exists() and cards.read(released)["hash"] == line["data"]:
            return cards.read(released)
        raise


def _source(source: dict[str, Any]) -> str:
    """Recompute the SHA-256 of a source's content (an origin's decompressed), where the source is at hand."""
    if source["kind"] == "mongo":
        return _store(source)
    path = _at_hand(source)
    if source["kind"] == "folder":
        _same(str(path), archives.fingerprint(path), source["sha256"])
    else:
        sources.unpack(path, Path(os.devnull), source["sha256"], source["bytes"])
    return f"{path}, SHA-256 {source['sha256'][:12]}, {source['licence']}"


def _store(source: dict[str, Any]) -> str:
    """A data set of the image store, by what it holds now."""
    if "MONGO_URL" not in os.environ:
        raise outputs.NotHere(f"data set {source['path']} of the image store (SHA-256 {source['sha256'][:12]}): set MONGO_URL")
    from pipelines import imagestore

    _same(source["url"], imagestore.fingerprint(source["path"]), source["sha256"])
    return f"{source['url']}, SHA-256 {source['sha256'][:12]}, {source['licence']}"


def _same(where: str, found: str, sha256: str) -> None:
    if found != sha256:
        raise ValueError(f"{where} holds other files than were ingested: its fingerprint is {found[:12]}, the card's is {sha256[:12]}")


def _at_hand(source: dict[str, Any]) -> Path:
    if source["kind"] == "folder":
        try:
            return archives.located(source["path"])
        except sources.MissingData as absence:
            raise outputs.NotHere(str(absence)) from absence
    if source["kind"] == "embedded":
        package, _, name = source["path"].partition("/")
        return Path(str(files(package) / name))
    mirror = os.environ.get("DATA_MIRROR")
    path = Path(mirror, source["path"]) if mirror else None
    if path is None or not path.is_file():
        raise outputs.NotHere(f"{source['path']} (SHA-256 {source['sha256'][:12]}): download {source['url']}, or set DATA_MIRROR")
    return path


def show(links: list[Link]) -> None:
    """The walk as a table."""
    colours = {OK: "green", NOT_HERE: "yellow", BROKEN: "red"}
    table = Table("link", "status", "what", show_lines=True)
    for link in links:
        table.add_row(link.name, f"[{colours[link.status]}]{link.status}", link.words)
    Console(width=max(110, Console().width)).print(table, highlight=False)


def main() -> None:
    """Walk back and print; exit 1 when a link is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("of", help=FORMS)
    asked = parser.parse_args()
    with errors.printed_once():
        links = walk(asked.of)
        show(links)
    sys.exit(any(link.status == BROKEN for link in links))


if __name__ == "__main__":
    main()
