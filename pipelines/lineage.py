"""From an answer, a version, an alias, a run, a DVC hash, a model or data folder back to the source files: a tree of links.

Every link is checked, not believed: it is *ok*, *not here* (with how to get it) or *broken* (the command then ends with 1 and names the
first one). What only looks costs little here: MLflow's database and DVC's cache are read in place, and reconciled where they lag behind.
"""

import argparse
import hashlib
import json
import re
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from dataclasses import asdict
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from pipelines import databases, discovery, errors, manifests, predictions, records, registry, runs, stores, trail
from pipelines.artifacts import cache, lock
from pipelines.datasets import cards
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.trail import Facts, Link

COLOURS = {trail.OK: "green", trail.NOT_HERE: "yellow", trail.BROKEN: "red"}
WIDTH, INDENT = 110, 32  # columns of the tree, and of what stands before the deepest row of it
FORMS = (
    "digits@champion, digits@v2, the prediction_id of an answer, a file with an answer's JSON, an MLflow run id, "
    "a DVC hash (1f…c2.dir), models/<candidate> or data/<family>"
)


class UnknownPlace(LookupError):
    """Nothing that lineage can start from."""


def walk(of: str, files: bool = False) -> Link:
    """The tree from `of` back to the source files, on demand with every file inside a folder or tar. Raises UnknownPlace."""
    return next(found for start in STARTS if (found := start(of, files)))


# Where a walk starts: each gives its tree, or None where `of` is nothing of its kind.


def _from_answer(of: str, files: bool) -> Link | None:
    """An answer's JSON, in a file or on standard input for `-`."""
    if of != "-" and not Path(of).is_file():
        return None
    try:
        found = json.loads(sys.stdin.read() if of == "-" else Path(of).read_text())
        model = dict(found.get("model", found))
    except (ValueError, AttributeError, TypeError) as error:
        raise UnknownPlace(f"{of} does not hold an answer's JSON ({error}). Start from {FORMS}.") from error
    if not isinstance(model.get("version"), int):
        raise UnknownPlace(f"{of} names no version: {model.get('version')!r} is not a number. Start from {FORMS}.")
    line = ledger.version(discovery.known(str(model.get("family"))), model["version"])
    recorded = _recorded(found) if isinstance(found.get("prediction_id"), str) else []
    return trail.link("answer", lambda: _answered(model, line), [*recorded, _training(line, files)])


def _recorded(answer: dict[str, Any]) -> list[Link]:
    """What the prediction store has of an answer."""
    kept = trail.link("input", lambda: _input(_prediction(answer["prediction_id"])))
    return [trail.link("prediction", lambda: _same_answer(answer)), kept]


def _same_answer(answer: dict[str, Any]) -> tuple[str, Facts]:
    row = _prediction(answer["prediction_id"])
    if json.loads(row["output"]) != answer:
        raise ValueError(f"prediction {row['id']} was recorded with another answer than this one")
    return _row(row)


def _prediction(id: str) -> predictions.Row:
    """The recorded answer. Raises cache.NotHere, also where the store does not answer."""
    store = predictions.Store()
    try:
        row = store.find(id)
    except databases.NoDatabase as fault:
        raise cache.NotHere(str(fault)) from fault
    if row is None:
        words = "a share of the answers is recorded, and for so many days, as `serving.predictions` on the family's page says"
        raise cache.NotHere(f"{id} is not in the prediction store {store.place}: {words}.")
    return row


def _from_prediction(of: str, files: bool) -> Link | None:
    """A prediction_id whose answer was recorded."""
    row = predictions.Store().find(of) if re.fullmatch(r"[0-9a-f]{32}", of) else None
    if row is None:
        return None
    line = ledger.version(discovery.known(row["family"]), row["version"])
    return trail.link("prediction", lambda: _predicted(row, line), [trail.link("input", lambda: _input(row)), _training(line, files)])


def _answered(answer: dict[str, Any], line: Line) -> tuple[str, Facts]:
    differing = [key for key in ("digest", "data", "commit") if answer.get(key) != line[key]]
    if differing:
        raise ValueError(f"the answer's {', '.join(differing)} is not that of version {line['version']} in the ledger")
    return f"given by {line['family']} version {line['version']}, digest {line['digest'][:12]}", answer


def _predicted(row: predictions.Row, line: Line) -> tuple[str, Facts]:
    told = _row(row)
    _answered(json.loads(row["output"])["model"], line)
    if row["digest"] != line["digest"]:
        raise ValueError(f"its row names digest {row['digest'][:12]}, which is not that of version {line['version']} in the ledger")
    return told


def _row(row: predictions.Row) -> tuple[str, Facts]:
    """A recorded answer, if its row is as it was written."""
    if predictions.altered(row):
        raise ValueError(f"row {row['id']} is not what was written: its hash does not fit")
    words = f"{row['id']}, recorded {row['time']}, answered in {row['milliseconds']:.0f} ms by {row['family']}@v{row['version']}"
    return f"{words}; the row is as it was written", {**row, "output": json.loads(row["output"])}


def _input(row: predictions.Row) -> tuple[str, Facts]:
    content = predictions.Store().input(row["input"])
    if content is None:
        how = f"`serving.predictions.inputs: true` in conf/family/{row['family']}.yaml keeps what is sent from then on"
        raise cache.NotHere(f"SHA-256 {row['input']}; what was sent was not kept: {how}.")
    if hashlib.sha256(content).hexdigest() != row["input"]:
        raise ValueError(f"what is kept as {row['input'][:12]} has another SHA-256")
    return f"SHA-256 {row['input']}, {len(content):,} bytes, kept", {"sha256": row["input"], "bytes": len(content)}


def _from_version(of: str, files: bool) -> Link | None:
    line = version(of)
    return _training(line, files) if line else None


def version(of: str) -> Line | None:
    """What digits@v2, digits@champion or digits@challenger names; None where it is no such name. Raises UnknownVersion, UnknownPlace."""
    found = re.fullmatch(r"(\w+)@(champion|challenger|v?(\d+))", of)
    if not found:
        return None
    family = discovery.known(found[1])
    return ledger.version(family, int(found[3])) if found[3] else ALIASES[found[2]](family)


def _champion(family: str) -> Line:
    line = ledger.champion(ledger.read(family))
    if line is None:
        raise UnknownPlace(f"{family} has no champion yet. Train one with `make train family={family}`.")
    return line


def _challenger(family: str) -> Line:
    line = ledger.challenger(ledger.read(family))
    if line is None:
        raise UnknownPlace(f"{family} has no challenger. `make challenge family={family} candidate=...` sets one.")
    run = runs.of_training(family, line["run"])
    told = {name: line[name] for name in ("family", "candidate", "digest", "dvc", "data", "commit", "run")}
    return _promoted(line) or (_of_run(run) if run else {**told, "data_dvc": None})


ALIASES = {"champion": _champion, "challenger": _challenger}


def _from_run(of: str, files: bool) -> Link | None:
    """An MLflow run: of a promoted training, or of any that has left a model."""
    if not re.fullmatch(r"[0-9a-f]{32}", of):
        return None
    run = runs.found(of)
    return _training(_of_run(run), files) if run and runs.DIGEST in run.tags else None


def _of_run(run: runs.Run) -> Line:
    """The promotion that a run led to, else what its tags say of the training."""
    tags = run.tags
    line = {
        "family": run.family,
        "candidate": tags["candidate"],
        "digest": tags[runs.DIGEST],
        "dvc": tags.get(runs.DVC),
        "data": tags[runs.DATA],
        "data_dvc": tags.get(runs.DATA_DVC),
        "commit": tags.get("mlflow.source.git.commit"),
        "run": tags[runs.KEY],
        "started": run.started,
    }
    return _promoted(line) or line


def _promoted(line: Line) -> Line | None:
    """The promotion of this very training."""
    lines = ledger.versions(ledger.read(line["family"])).values()
    return next((known for known in lines if (known["digest"], known["run"]) == (line["digest"], line["run"])), None)


def _from_dvc(of: str, files: bool) -> Link | None:
    """A DVC hash of a model or data folder: by the ledgers, then by the runs that carry it."""
    if not re.fullmatch(r"[0-9a-f]{32}\.dir", of):
        return None
    lines = [line for family in discovery.names() for line in ledger.versions(ledger.read(family)).values()]
    lines += [_of_run(run) for tag in (runs.DVC, runs.DATA_DVC) for run in runs.tagged(tag, of) if runs.DIGEST in run.tags]
    if model := next((line for line in lines if line["dvc"] == of), None):
        return _training(model, files)
    data = next((line for line in lines if line["data_dvc"] == of), None)
    return _data_and_its_models(data, files) if data else None


def _from_folder(of: str, files: bool) -> Link | None:
    """A model folder, by its manifest, or a data folder, by its card."""
    folder = Path(of)
    if (folder / manifests.MANIFEST).is_file():
        return _training(_told(folder, _of_model), files)
    if (folder / cards.CARD).is_file():
        return _data_and_its_models(_told(folder, _of_data), files)
    return None


def _told(folder: Path, read: Callable[[Path], Line]) -> Line:
    """What a folder says of itself. Raises UnknownPlace where a file of it is not what was written."""
    try:
        return read(folder)
    except (JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as fault:
        words = f"{folder} does not say what it is of: {type(fault).__name__}: {fault}"
        raise UnknownPlace(f"{words}. `make verify` names the file, and how to put it right.") from fault


def _of_model(folder: Path) -> Line:
    """The promotion of the model in a folder, else what its manifest and record say of the training."""
    manifest = manifests.read(folder)
    family, data = discovery.known(manifest["family"]), Path("data", manifest["family"])
    promoted = ledger.versions(ledger.read(family)).values()
    if not (folder / records.RECORD).is_file():
        return next((line for line in promoted if line["digest"] == manifest["digest"]), None) or _nowhere(folder)
    record = records.read(folder)
    line = {
        **{name: manifest[name] for name in ("family", "candidate", "digest", "data")},
        **{name: record[name] for name in ("commit", "dirty", "started")},
        "run": record["key"],
        "dvc": lock.hash_of(folder),
        "data_dvc": _data_dvc(data, manifest["data"]),
    }
    return {**(_promoted(line) or line), "folder": folder.as_posix()}


def _data_dvc(folder: Path, data: str) -> str | None:
    """The DVC hash of the data folder, where it holds this data; of a damaged card the link `data` tells."""
    with suppress(JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        return lock.hash_of(folder) if trail.card_hash(folder) == data else None
    return None


def _nowhere(folder: Path) -> Line:
    raise UnknownPlace(f"{folder} holds what was served of a model that no ledger knows. Start from {FORMS}.")


def _of_data(folder: Path) -> Line:
    """What a data folder is to a training: the ledger knows its DVC hash where a version rests on it, dvc.lock where none does yet."""
    card = cards.read(folder)
    found = [line["data_dvc"] for line in _resting(discovery.known(card["name"]), card["hash"])]
    return {
        "family": card["name"],
        "data": card["hash"],
        "data_dvc": next(iter(found), lock.hash_of(folder)),
        "data_folder": folder.as_posix(),
    }


def _unknown(of: str, files: bool) -> Link | None:
    raise UnknownPlace(
        f"{of!r} leads nowhere: no promoted version, alias, run, prediction, folder or answer of that name. Start from {FORMS}."
    )


STARTS = (_from_answer, _from_folder, _from_version, _from_run, _from_prediction, _from_dvc, _unknown)


def _training(line: Line, files: bool) -> Link:
    _follow(line["family"])
    return trail.training(line, files)


def _data_and_its_models(line: Line, files: bool) -> Link:
    """A data folder with its sources, and every version and run that rests on it."""
    _follow(line["family"])
    tagged = [run for run in runs.tagged(runs.DATA, line["data"]) if runs.DIGEST in run.tags]
    found = [
        *map(_version, _resting(line["family"], line["data"])),
        *(_never_promoted(run) for run in tagged if not _promoted(_of_run(run))),
    ]
    return trail.link("data", lambda: trail.data(line), [*found, *trail.sources(line, files)])


def _version(line: Line) -> Link:
    words = f"{line['family']}@v{line['version']}: {line['candidate']}, digest {line['digest'][:12]}"
    stands = ", the champion" if _champion(line["family"]) == line else ""
    return Link(
        "version", trail.OK, f"{words}{stands}", {name: line[name] for name in ("family", "version", "candidate", "digest", "dvc")}, []
    )


def _never_promoted(run: runs.Run) -> Link:
    return Link("run", trail.OK, f"{run.id}: {run.tags['candidate']}, never promoted", {"run_id": run.id}, [])


def _resting(family: str, data: str) -> list[Line]:
    """The versions that were trained on this data."""
    return [line for line in ledger.versions(ledger.read(family)).values() if line["data"] == data]


# What shows and serves follows the ledger; looking whether it does costs milliseconds, reconciling many seconds.


def _follow(family: str) -> None:
    """Reconcile where MLflow or the pointer is not what the ledger says; looking costs milliseconds, reconciling many seconds."""
    try:
        follows = _follows(family)
    except runs.Unreadable:  # the link `run` says so, and the remedy
        return
    if not follows:
        with redirect_stdout(sys.stderr):
            registry.reconcile(family)


def _follows(family: str) -> bool:
    lines = ledger.read(family)
    promoted, champion = ledger.versions(lines), ledger.champion(lines)
    if champion is None:
        return True
    found = {number: digest for number, (_, digest) in runs.versions(family).items()}
    standing = runs.alias(family, "champion") == champion["version"] and _pointed(family) == [champion["version"], champion["digest"]]
    return standing and found == {number: line["digest"] for number, line in promoted.items()} and all(map(_linked, promoted.values()))


def _pointed(family: str) -> list[Any] | None:
    try:
        model = stores.pointed(family)["model"]
    except stores.NoChampion:
        return None
    return [model["version"], model["digest"]]


def _linked(line: Line) -> bool:
    """Has the promotion its run, with the DVC hashes on it?"""
    run = runs.of_training(line["family"], line["run"])
    return run is not None and all(tag in run.tags for tag, value in trail.tags(line).items() if value)


# The walk as a person or a program reads it.


def show(of: str, root: Link) -> None:
    """The walk as a tree."""
    tree = Tree(Text(of, "bold"))
    _grow(tree, root)
    rows = [len(link.words) + INDENT for link in trail.flat(root) if link.name == "file"]
    Console(width=max([WIDTH, Console().width, *rows])).print(tree, highlight=False)


def _label(link: Link) -> Text:
    return Text.assemble((link.status, COLOURS[link.status]), "  ", (link.name, "bold"), "  ", link.words)


def _grow(tree: Tree, link: Link) -> None:
    branch = tree.add(Text(link.words) if link.name == "file" else _label(link))
    for below in link.links:
        _grow(branch, below)


def as_json(of: str, root: Link) -> str:
    """{"of", "status", "broken": the first broken link or None, "tree": {"name", "status", "words", "facts", "links"}}."""
    return json.dumps({"of": of, "status": trail.status(root), "broken": trail.broken(root), "tree": asdict(root)}, indent=2)


def told(root: Link) -> str:
    """How the walk ended, in one line."""
    if first := trail.broken(root):
        return f"Broken at {first}"
    found = [link.status for link in trail.flat(root)]
    absent = found.count(trail.NOT_HERE)
    return f"{len(found) - absent} links are ok" + (f", {absent} not here: each says how to get it." if absent else ", none is missing.")


def main() -> None:
    """Walk back and print; exit 1 when a link is broken, the first one named on the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("of", help=FORMS)
    parser.add_argument("--files", action="store_true", help="every file inside a source, with its SHA-256")
    parser.add_argument("--json", action="store_true", help="for programs")
    asked = parser.parse_args()
    with errors.printed_once():
        root = walk(asked.of, asked.files)
        if asked.json:
            print(as_json(asked.of, root))
        else:
            show(asked.of, root)
    print(told(root), file=sys.stderr if asked.json else sys.stdout)
    sys.exit(trail.broken(root) is not None)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it without a word
    main()
