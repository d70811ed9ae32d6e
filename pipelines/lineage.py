"""From an answer, a version, an alias, a run, a DVC hash, a model or data folder back to the source files: a tree of links.

Every link is checked, not believed: it is *ok*, *not here* (with how to get it) or *broken* (the command then ends with 1 and names the
first one). What only looks costs little here: MLflow's database and DVC's cache are read in place, and reconciled where they lag behind.
"""

import argparse
import hashlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from pipelines import (
    cards,
    copies,
    errors,
    families,
    folders,
    ingested,
    ledger,
    manifests,
    outputs,
    predictions,
    records,
    runs,
    stores,
)
from pipelines.copies import Copy
from pipelines.ledger import Line

OK, NOT_HERE, BROKEN = "ok", "not here", "broken"
COLOURS = {OK: "green", NOT_HERE: "yellow", BROKEN: "red"}
RELEASED = Path("released")
WIDTH, INDENT = 110, 32  # columns of the tree, and of what stands before the deepest row of it
FORMS = (
    "digits@champion, digits@v2, the prediction_id of an answer, a file with an answer's JSON, an MLflow run id, "
    "a DVC hash (1f…c2.dir), models/<candidate> or data/<family>"
)
Facts = dict[str, Any]


class UnknownPlace(LookupError):
    """Nothing that lineage can start from."""


@dataclass(frozen=True)
class Link:
    """One step of the walk back: what it is, how it stands, in words and for programs, and what it came from."""

    name: str
    status: str
    words: str
    facts: Facts
    links: list["Link"]


def walk(of: str, files: bool = False) -> Link:
    """The tree from `of` back to the source files, on demand with every file inside a folder or tar. Raises UnknownPlace."""
    return next(found for start in STARTS if (found := start(of, files)))


def flat(link: Link) -> Iterator[Link]:
    """A link, and all below it, in the order in which they are shown."""
    yield link
    for below in link.links:
        yield from flat(below)


def _link(name: str, step: Callable[[], tuple[str, Facts]], links: Iterable[Link] = ()) -> Link:
    below = list(links)
    try:
        return Link(name, OK, *step(), below)
    except outputs.NotHere as absence:
        return Link(name, NOT_HERE, str(absence), {}, below)
    except (ValueError, LookupError, OSError) as fault:
        return Link(name, BROKEN, f"{type(fault).__name__}: {fault}", {}, below)


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
    line = ledger.version(families.known(str(model.get("family"))), model["version"])
    recorded = _recorded(found) if isinstance(found.get("prediction_id"), str) else []
    return _link("answer", lambda: _answered(model, line), [*recorded, _training(line, files)])


def _recorded(answer: dict[str, Any]) -> list[Link]:
    """What the prediction store has of an answer."""
    return [_link("prediction", lambda: _same_answer(answer)), _link("input", lambda: _input(_prediction(answer["prediction_id"])))]


def _same_answer(answer: dict[str, Any]) -> tuple[str, Facts]:
    row = _prediction(answer["prediction_id"])
    if json.loads(row["output"]) != answer:
        raise ValueError(f"prediction {row['id']} was recorded with another answer than this one")
    return _row(row)


def _from_prediction(of: str, files: bool) -> Link | None:
    """A prediction_id whose answer was recorded."""
    row = predictions.Store().find(of) if re.fullmatch(r"[0-9a-f]{32}", of) else None
    if row is None:
        return None
    line = ledger.version(families.known(row["family"]), row["version"])
    return _link("prediction", lambda: _predicted(row, line), [_link("input", lambda: _input(row)), _training(line, files)])


def _prediction(id: str) -> predictions.Row:
    """The recorded answer. Raises outputs.NotHere, also where the store does not answer."""
    from pipelines import databases  # it brings SQLAlchemy

    store = predictions.Store()
    try:
        row = store.find(id)
    except databases.NoDatabase as fault:
        raise outputs.NotHere(str(fault)) from fault
    if row is None:
        words = "a share of the answers is recorded, and for so many days, as `serving.predictions` on the family's page says"
        raise outputs.NotHere(f"{id} is not in the prediction store {store.place}: {words}.")
    return row


def _from_version(of: str, files: bool) -> Link | None:
    found = re.fullmatch(r"(\w+)@(champion|challenger|v?(\d+))", of)
    if not found:
        return None
    family = families.known(found[1])
    return _training(ledger.version(family, int(found[3])) if found[3] else ALIASES[found[2]](family), files)


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
    lines = [line for family in families.names() for line in ledger.versions(ledger.read(family)).values()]
    lines += [_of_run(run) for tag in (runs.DVC, runs.DATA_DVC) for run in runs.tagged(tag, of) if runs.DIGEST in run.tags]
    if model := next((line for line in lines if line["dvc"] == of), None):
        return _training(model, files)
    data = next((line for line in lines if line["data_dvc"] == of), None)
    return _data_and_its_models(data, files) if data else None


def _from_folder(of: str, files: bool) -> Link | None:
    """A model folder, by its manifest, or a data folder, by its card."""
    folder = Path(of)
    if (folder / manifests.MANIFEST).is_file():
        return _training(_of_model(folder), files)
    if (folder / cards.CARD).is_file():
        return _data_and_its_models(_of_data(folder), files)
    return None


def _of_model(folder: Path) -> Line:
    """The promotion of the model in a folder, else what its manifest and record say of the training."""
    manifest = manifests.read(folder)
    family, data = families.known(manifest["family"]), Path("data", manifest["family"])
    promoted = ledger.versions(ledger.read(family)).values()
    if not (folder / records.RECORD).is_file():
        return next((line for line in promoted if line["digest"] == manifest["digest"]), None) or _nowhere(folder)
    record = records.read(folder)
    line = {
        **{name: manifest[name] for name in ("family", "candidate", "digest", "data")},
        **{name: record[name] for name in ("commit", "dirty", "started")},
        "run": record["key"],
        "dvc": outputs.hash_of(folder),
        "data_dvc": outputs.hash_of(data) if _card_hash(data) == manifest["data"] else None,
    }
    return {**(_promoted(line) or line), "folder": folder.as_posix()}


def _nowhere(folder: Path) -> Line:
    raise UnknownPlace(f"{folder} holds what was served of a model that no ledger knows. Start from {FORMS}.")


def _card_hash(folder: Path) -> str | None:
    return cards.read(folder)["hash"] if (folder / cards.CARD).is_file() else None


def _of_data(folder: Path) -> Line:
    """What a data folder is to a training: the ledger knows its DVC hash where a version rests on it, dvc.lock where none does yet."""
    card = cards.read(folder)
    found = [line["data_dvc"] for line in _resting(families.known(card["name"]), card["hash"])]
    return {
        "family": card["name"],
        "data": card["hash"],
        "data_dvc": next(iter(found), outputs.hash_of(folder)),
        "data_folder": folder.as_posix(),
    }


def _unknown(of: str, files: bool) -> Link | None:
    raise UnknownPlace(
        f"{of!r} leads nowhere: no promoted version, alias, run, prediction, folder or answer of that name. Start from {FORMS}."
    )


STARTS = (_from_answer, _from_folder, _from_version, _from_run, _from_prediction, _from_dvc, _unknown)


# The tree of a training, whether it was promoted (`line` is the ledger's) or not (it has no `version` then).


def _training(line: Line, files: bool) -> Link:
    _follow(line["family"])
    model = [
        _link("configuration", lambda: _configuration(line)),
        _link("commit", lambda: _commit(line), [_link("code", lambda: _code(line))]),
        _link("data", lambda: _data(line), _sources(line, files)),
    ]
    served = [
        _link("served files", lambda: _served(line)),
        _link("run", lambda: _run(line)),
        _link("model folder", lambda: _folder(line), model),
    ]
    return _link("decision", lambda: _decision(line), served)


def _data_and_its_models(line: Line, files: bool) -> Link:
    """A data folder with its sources, and every version and run that rests on it."""
    _follow(line["family"])
    versions = [_link("version", lambda line=line: _version(line)) for line in _resting(line["family"], line["data"])]  # type: ignore[misc]
    tagged = [run for run in runs.tagged(runs.DATA, line["data"]) if runs.DIGEST in run.tags and not _promoted(_of_run(run))]
    others = [_link("run", lambda run=run: (f"{run.id}: {run.tags['candidate']}, never promoted", {"run_id": run.id})) for run in tagged]  # type: ignore[misc]
    return _link("data", lambda: _data(line), [*versions, *others, *_sources(line, files)])


def _resting(family: str, data: str) -> list[Line]:
    """The versions that were trained on this data."""
    return [line for line in ledger.versions(ledger.read(family)).values() if line["data"] == data]


def _version(line: Line) -> tuple[str, Facts]:
    stands = _champion(line["family"]) == line
    words = f"{line['family']}@v{line['version']}: {line['candidate']}, digest {line['digest'][:12]}{', the champion' if stands else ''}"
    return words, {name: line[name] for name in ("family", "version", "candidate", "digest", "dvc")}


def _follow(family: str) -> None:
    """Reconcile where MLflow or the pointer is not what the ledger says; looking costs milliseconds, reconciling many seconds."""
    if not _follows(family):
        from pipelines import registry

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
    return run is not None and all(tag in run.tags for tag, value in _tags(line).items() if value)


def _tags(line: Line) -> dict[str, str | None]:
    return {runs.DIGEST: line["digest"], runs.DATA: line["data"], runs.DVC: line["dvc"], runs.DATA_DVC: line["data_dvc"]}


# What is checked of each link: words, and facts for programs. NotHere, ValueError, LookupError and OSError are its status.


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
        raise outputs.NotHere(f"SHA-256 {row['input']}; what was sent was not kept: {how}.")
    if hashlib.sha256(content).hexdigest() != row["input"]:
        raise ValueError(f"what is kept as {row['input'][:12]} has another SHA-256")
    return f"SHA-256 {row['input']}, {len(content):,} bytes, kept", {"sha256": row["input"], "bytes": len(content)}


def _decision(line: Line) -> tuple[str, Facts]:
    if "version" not in line:
        return _not_promoted(line)
    facts = {name: line[name] for name in ("family", "version", "candidate", "digest", "time", "reasons", "hash")}
    words = (
        f"{line['family']} version {line['version']}, {line['candidate']}: {ledger.path(line['family'])} line {line['seq']}, {line['time']}"
    )
    return f"{words}, chain intact: {'; '.join(line['reasons'])}", facts


def _not_promoted(line: Line) -> tuple[str, Facts]:
    refused = [known for known in ledger.read(line["family"]) if known["event"] == "refuse" and known["digest"] == line["digest"]]
    why = f"refused on {refused[-1]['time']}: {'; '.join(refused[-1]['reasons'])}" if refused else "nothing was decided on it"
    return f"{line['family']}, {line['candidate']}: never promoted; {why}", {name: line[name] for name in ("family", "candidate", "digest")}


def _served(line: Line) -> tuple[str, Facts]:
    copy = _serving(line)
    manifest = copy.read(manifests.MANIFEST)
    wanted = {name: manifest["files"][name]["sha256"] for name in manifests.served(manifest)}
    if wrong := copies.wrong(copy, wanted, None):
        raise ValueError(f"{copy.where}: {', '.join(wrong)} is missing or altered. `make serve family={line['family']}` puts it right.")
    _same_digest(copy, manifest, line)
    return f"{copy.where}, digest {line['digest'][:12]}: {', '.join(wanted)}, every file checked", {"place": copy.where, "files": wanted}


def _same_digest(copy: Copy, manifest: manifests.Manifest, line: Line) -> None:
    """The manifest's digest follows from it, and is the line's. Raises ValueError."""
    found = manifests.digest(manifest)
    if not found == manifest["digest"] == line["digest"]:
        raise ValueError(f"{copy.where}: digest {found[:12]} is not that of the decision, {line['digest'][:12]}")


def _serving(line: Line) -> Copy:
    """Where the files lie that this model serves: in the model store, the whole model folder, or released/."""
    stored = stores.ROOT / "models" / stores.tagged(line["family"], line.get("version"), line["digest"]).replace(":", "/")
    if stored.is_dir():
        return copies.of_folder(stored)
    try:
        return _model(line)
    except outputs.NotHere:
        released = RELEASED / line["family"]
        if (released / manifests.MANIFEST).is_file() and manifests.read(released)["digest"] == line["digest"]:
            return copies.of_folder(released)
        raise


def _model(line: Line) -> Copy:
    """The whole model folder: where it was trained if that still is this training, else in DVC's cache. Raises outputs.NotHere."""
    copy = copies.of_folder(Path(line.get("folder") or Path("models", line["candidate"])))
    return copy if _is(copy, line) else _cached(copy.where, line["dvc"])


def _is(copy: Copy, line: Line) -> bool:
    """Does this folder say that it is from this training?"""
    try:
        manifest, record = copy.read(manifests.MANIFEST), copy.read(records.RECORD)
    except (FileNotFoundError, ValueError):
        return False
    same = (manifest["digest"], record["key"]) == (line["digest"], line["run"])
    return same and abs(record["started"] - line.get("started", record["started"])) < 1


def _cached(where: str, dvc: str | None) -> Copy:
    if dvc is None:
        raise outputs.NotHere(f"{where} does not hold it, and no DVC hash of it is known. Train again.")
    return copies.of_cache(dvc)


def _folder(line: Line) -> tuple[str, Facts]:
    copy = _model(line)
    manifest = copy.read(manifests.MANIFEST)
    files = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    if wrong := copies.wrong(copy, files, line["dvc"]):
        raise ValueError(
            f"{copy.where}: {', '.join(wrong)} is not what the manifest or DVC says. `dvc checkout --force models/{line['candidate']}`"
        )
    _same_digest(copy, manifest, line)
    if manifest["data"] != line["data"]:
        raise ValueError(f"{copy.where}: its data hash {manifest['data'][:12]} is not that of the decision, {line['data'][:12]}")
    return f"{_named(copy, line['dvc'])}, every file checked", {"place": copy.where, "dvc": line["dvc"], "files": files}


def _named(copy: Copy, dvc: str | None) -> str:
    """Where it is, and its DVC hash."""
    return copy.where if dvc is None or dvc in copy.where else f"{copy.where}, DVC {dvc}"


def _run(line: Line) -> tuple[str, Facts]:
    run = runs.of_training(line["family"], line["run"])
    if run is None:
        raise outputs.NotHere(f"no run with key {line['run']}. `make ui` makes it again from the model folder.")
    wrong = [f"{tag} is {run.tags[tag]}" for tag, value in _tags(line).items() if value and run.tags.get(tag, value) != value]
    if wrong:
        raise ValueError(f"run {run.id}: its tag {'; '.join(wrong)}, which is not this training's. Set it back in `make ui`.")
    return f"{run.id} in experiment {line['family']} (make ui)", {"run_id": run.id, "tags": {tag: run.tags.get(tag) for tag in _tags(line)}}


def _configuration(line: Line) -> tuple[str, Facts]:
    config = _serving(line).read(manifests.MANIFEST)["config"]
    fit = ", ".join(f"{name}={value}" for name, value in config["fit"].items())
    return f"{config['candidate']}, run={config['run']}, seed={config['seed']}, {fit}", config


def _commit(line: Line) -> tuple[str, Facts]:
    if not line["commit"]:
        raise outputs.NotHere("trained outside git: no commit is known. Commit before you train.")
    subject = _git("show", "-s", "--format=%h %cs %s", line["commit"])
    if subject is None:
        raise outputs.NotHere(f"{line['commit']} is not in this clone. `git fetch --unshallow`, or fetch the branch it is on.")
    return subject.decode().strip() + (" (with uncommitted changes: see code)" if line.get("dirty") else ""), {"commit": line["commit"]}


def _code(line: Line) -> tuple[str, Facts]:
    """Every module that the training imported, held against the commit."""
    code, commit = _model(line).read(records.RECORD)["code"], line["commit"]
    if _git("cat-file", "-e", f"{commit}^{{commit}}") is None:
        raise outputs.NotHere(f"commit {commit} is not in this clone")
    changed = [path for path, sha256 in _committed(commit, list(code)).items() if sha256 != code[path]]
    if changed:
        raise ValueError(
            f"not as in commit {commit[:12]}: {', '.join(changed)}. Trained with uncommitted changes: commit, then train again."
        )
    return f"{len(code)} modules, each as in the commit", {"files": code}


def _committed(commit: str, paths: list[str]) -> dict[str, str | None]:
    """{path: SHA-256 of the file in a commit, or None}, asked of git at once."""
    answers = _git("cat-file", "--batch", given="".join(f"{commit}:{path}\n" for path in paths).encode()) or b""
    found: dict[str, str | None] = {}
    for path in paths:
        head, _, answers = answers.partition(b"\n")
        size = int(head.split()[-1]) if head.split()[-2:-1] == [b"blob"] else None
        found[path] = None if size is None else hashlib.sha256(answers[:size]).hexdigest()
        answers = answers if size is None else answers[size + 1 :]
    return found


def _git(*words: str, given: bytes = b"") -> bytes | None:
    """What git says; None where it refuses, or is not installed."""
    try:
        done = subprocess.run(["git", *words], input=given, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def _data(line: Line) -> tuple[str, Facts]:
    copy = _packed(line)
    card = copy.read(cards.CARD)
    wrong = copies.wrong(copy, card["files"], _data_dvc(line, copy))
    if wrong or folders.hash_of(card["files"]) != line["data"]:
        raise ValueError(
            f"{copy.where}: {', '.join(wrong) or cards.CARD} is not what the card or DVC says. `dvc checkout --force data/{line['family']}`"
        )
    counts = ", ".join(f"{count} {split}" for split, count in card["counts"].items())
    facts = {"place": copy.where, "hash": line["data"], "dvc": line["data_dvc"], "counts": card["counts"], "files": card["files"]}
    return f"{_named(copy, _data_dvc(line, copy))}, hash {line['data'][:12]}: {counts}; every file checked", facts


def _packed(line: Line) -> Copy:
    """The packed data: data/<family> where that still is this data, else in DVC's cache. Raises outputs.NotHere."""
    folder = Path(line.get("data_folder") or Path("data", line["family"]))
    return copies.of_folder(folder) if _card_hash(folder) == line["data"] else _cached(folder.as_posix(), line["data_dvc"])


def _data_dvc(line: Line, copy: Copy) -> str | None:
    """The DVC hash of this copy: in data/ that of dvc.lock, for the same packed data can come from other sources, under another card."""
    return outputs.hash_of(Path(copy.where)) or line["data_dvc"]


def _sources(line: Line, files: bool) -> Iterator[Link]:
    try:
        card = _card(line)
    except (OSError, ValueError) as absence:
        yield Link("source", NOT_HERE if isinstance(absence, outputs.NotHere) else BROKEN, str(absence), {}, [])
        return
    for source in card["sources"]:
        yield _source(source, files)


def _source(source: ingested.Source, files: bool) -> Link:
    link = _link("source", lambda: (ingested.checked(source), source))
    if files and link.status == OK:
        link.links.extend(
            Link("file", OK, f"{sha256}  {name}", {"name": name, "bytes": size, "sha256": sha256}, [])
            for name, size, sha256 in ingested.files(source)
        )
    return link


def _card(line: Line) -> dict[str, Any]:
    """The data card, or its released copy. Raises outputs.NotHere."""
    try:
        return dict(_packed(line).read(cards.CARD))
    except outputs.NotHere:
        if _card_hash(RELEASED / line["family"]) == line["data"]:
            return cards.read(RELEASED / line["family"])
        raise


# The walk as a person or a program reads it.


def show(of: str, root: Link) -> None:
    """The walk as a tree."""
    tree = Tree(Text(of, "bold"))
    _grow(tree, root)
    rows = [len(link.words) + INDENT for link in flat(root) if link.name == "file"]
    Console(width=max([WIDTH, Console().width, *rows])).print(tree, highlight=False)


def _label(link: Link) -> Text:
    return Text.assemble((link.status, COLOURS[link.status]), "  ", (link.name, "bold"), "  ", link.words)


def _grow(tree: Tree, link: Link) -> None:
    branch = tree.add(Text(link.words) if link.name == "file" else _label(link))
    for below in link.links:
        _grow(branch, below)


def as_json(of: str, root: Link) -> str:
    """{"of", "status", "broken": the first broken link or None, "tree": {"name", "status", "words", "facts", "links"}}."""
    return json.dumps({"of": of, "status": status(root), "broken": broken(root), "tree": asdict(root)}, indent=2)


def status(root: Link) -> str:
    """The worst of all links."""
    found = {link.status for link in flat(root)}
    return next(worst for worst in (BROKEN, NOT_HERE, OK) if worst in found)


def broken(root: Link) -> str | None:
    """The first broken link, and why."""
    return next((f"{link.name}: {link.words}" for link in flat(root) if link.status == BROKEN), None)


def told(root: Link) -> str:
    """How the walk ended, in one line."""
    if first := broken(root):
        return f"Broken at {first}"
    found = [link.status for link in flat(root)]
    absent = found.count(NOT_HERE)
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
    sys.exit(broken(root) is not None)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it without a word
    main()
