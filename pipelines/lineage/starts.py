"""From an answer, version, alias, run, DVC hash, model or data folder back to the source files: a tree of checked links.

A link is *ok*, *not here* (with how to get it) or *broken*. MLflow's database and DVC's cache are read in place, and reconciled where
they lag behind.
"""

import json
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from json import JSONDecodeError
from pathlib import Path

from pipelines import discovery, predictions
from pipelines.artifacts import lock
from pipelines.datasets import cards
from pipelines.ledger import lines as ledger
from pipelines.ledger import merge
from pipelines.ledger.lines import Line
from pipelines.lineage import answers, links, steps
from pipelines.lineage.steps import Link
from pipelines.models import manifests
from pipelines.registry import reconcile, store
from pipelines.tracking import reader
from pipelines.tracking.tags import CANDIDATE, COMMIT, DATA, DATA_DVC, DIGEST, DVC, KEY, UNKNOWN
from pipelines.training import records

FORMS = (
    "digits@champion, digits@v2, the prediction_id of an answer, a file with an answer's JSON, an MLflow run id, "
    "a DVC hash (1f…c2.dir), models/<candidate> or data/<family>"
)


class UnknownStart(LookupError):
    """Something that lineage cannot start from: no answer, version, alias, run, DVC hash or folder."""


def walk(of: str, files: bool = False) -> Link:
    """The tree from `of` back to the source files, with `files` every file inside a folder or tar. Raises UnknownStart."""
    if found := next((found for start in STARTS if (found := start(of, files))), None):
        return found
    raise UnknownStart(f"{of!r} is no promoted version, alias, run, prediction, folder or answer. Start from {FORMS}.")


# Each _from_... function returns the tree, or None where `of` is of another kind.


def _from_answer(of: str, files: bool) -> Link | None:
    """An answer's JSON, in a file or on standard input for `-`."""
    if of != "-" and not Path(of).is_file():
        return None
    try:
        found = json.loads(sys.stdin.read() if of == "-" else Path(of).read_text())
        model = dict(found.get("model", found))
    except (ValueError, AttributeError, TypeError) as error:
        raise UnknownStart(f"{of} does not hold an answer's JSON ({error}). Start from {FORMS}.") from error
    if not isinstance(model.get("version"), int):
        raise UnknownStart(f"{of} names no version: {model.get('version')!r} is not a number. Start from {FORMS}.")
    line = merge.version(discovery.validate(str(model.get("family"))), model["version"], str(model.get("digest")))
    recorded = answers.recorded(found) if isinstance(found.get("prediction_id"), str) else []
    return steps.link("answer", lambda: answers.answered(model, line), [*recorded, _training(line, files)])


def _from_prediction(of: str, files: bool) -> Link | None:
    """The prediction_id of a recorded answer."""
    row = predictions.Store().find(of) if re.fullmatch(r"[0-9a-f]{32}", of) else None
    if row is None:
        return None
    line = merge.version(discovery.validate(row["family"]), row["version"], row["digest"])
    below = [steps.link("input", lambda: answers.input_of(row)), _training(line, files)]
    return steps.link("prediction", lambda: answers.predicted(row, line), below)


def _from_version(of: str, files: bool) -> Link | None:
    line = version(of)
    return _training(line, files) if line else None


def version(of: str) -> Line | None:
    """The line of digits@v2, digits@champion or digits@challenger; None for another form. Raises UnknownVersion or UnknownStart."""
    found = re.fullmatch(r"(\w+)@(champion|challenger|v?(\d+))", of)
    if not found:
        return None
    family = discovery.validate(found[1])
    if found[3]:
        return ledger.version(family, int(found[3]))
    line = ledger.champion(ledger.read(family)) if found[2] == "champion" else _challenger(family)
    if line is None:
        remedy = f"make train family={family}" if found[2] == "champion" else f"make challenge family={family} candidate=..."
        raise UnknownStart(f"{family} has no {found[2]}. `{remedy}` makes one.")
    return line


def _challenger(family: str) -> Line | None:
    line = ledger.challenger(ledger.read(family))
    if line is None:
        return None
    run = reader.of_training(family, line["run"])
    known = {name: line[name] for name in ("family", "candidate", "digest", "dvc", "data", "commit", "run")}
    return _promotion(line) or (_of_run(run) if run else {**known, "data_dvc": None})


def _from_run(of: str, files: bool) -> Link | None:
    """An MLflow run that has left a model."""
    run = reader.run(of) if re.fullmatch(r"[0-9a-f]{32}", of) else None
    return _training(_of_run(run), files) if run and DIGEST in run.tags else None


def _of_run(run: reader.Run) -> Line:
    """The promotion that a run led to, else what its tags say of the training."""
    tags = run.tags
    line = {
        "family": run.family,
        "candidate": tags[CANDIDATE],
        "digest": tags[DIGEST],
        "dvc": tags.get(DVC),
        "data": tags[DATA],
        "data_dvc": tags.get(DATA_DVC),
        "commit": None if tags.get(COMMIT) == UNKNOWN else tags.get(COMMIT),
        "run": tags[KEY],
        "started": run.started,
    }
    return _promotion(line) or line


def _promotions(family: str) -> list[Line]:
    return list(ledger.versions(ledger.read(family)).values())


def _promotion(line: Line) -> Line | None:
    """The promotion of this training."""
    same = (line["digest"], line["run"])
    return next((known for known in _promotions(line["family"]) if (known["digest"], known["run"]) == same), None)


def _from_dvc(of: str, files: bool) -> Link | None:
    """A DVC hash of a model or data folder: by the ledgers, then by the runs that have it as a tag."""
    if not re.fullmatch(r"[0-9a-f]{32}\.dir", of):
        return None
    lines = [line for family in discovery.names() for line in _promotions(family)]
    lines += [_of_run(run) for tag in (DVC, DATA_DVC) for run in reader.tagged(tag, of) if DIGEST in run.tags]
    if model := next((line for line in lines if line["dvc"] == of), None):
        return _training(model, files)
    data = next((line for line in lines if line["data_dvc"] == of), None)
    return _data_and_its_models(data, files) if data else None


def _from_folder(of: str, files: bool) -> Link | None:
    """A model folder, by its manifest, or a data folder, by its card."""
    folder = Path(of)
    if (folder / manifests.MANIFEST).is_file():
        return _training(_read(folder, _of_model), files)
    if (folder / cards.CARD).is_file():
        return _data_and_its_models(_read(folder, _of_data), files)
    return None


def _read(folder: Path, read: Callable[[Path], Line]) -> Line:
    """A folder's description of itself. Raises UnknownStart where a file of it is damaged."""
    try:
        return read(folder)
    except (JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as fault:
        words = f"{folder} does not say what is in it: {type(fault).__name__}: {fault}"
        raise UnknownStart(f"{words}. `make verify` names the file, and the repair.") from fault


def _of_model(folder: Path) -> Line:
    """The promotion of the model in a folder, else what its manifest and record say of the training. Raises UnknownStart."""
    manifest = manifests.read(folder)
    family, data = discovery.validate(manifest["family"]), Path("data", manifest["family"])
    if not (folder / records.RECORD).is_file():
        if promoted := next((line for line in _promotions(family) if line["digest"] == manifest["digest"]), None):
            return promoted
        raise UnknownStart(f"{folder} holds the served files of a model that no ledger knows. Start from {FORMS}.")
    record = records.read(folder)
    line = {
        **{name: manifest[name] for name in ("family", "candidate", "digest", "data")},
        **{name: record[name] for name in ("commit", "dirty", "started")},
        "run": record["key"],
        "dvc": lock.hash_of(folder),
        "data_dvc": None,
    }
    with suppress(JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):  # the link `data` names a damaged card
        line["data_dvc"] = lock.hash_of(data) if links.card_hash(data) == manifest["data"] else None
    return {**(_promotion(line) or line), "folder": folder.as_posix()}


def _of_data(folder: Path) -> Line:
    """A data folder as a training names it: its DVC hash is the ledger's, or dvc.lock's where no version was trained on it."""
    card = cards.read(folder)
    found = [line["data_dvc"] for line in _promotions(discovery.validate(card["name"])) if line["data"] == card["hash"]]
    dvc = next(iter(found), lock.hash_of(folder))
    return {"family": card["name"], "data": card["hash"], "data_dvc": dvc, "data_folder": folder.as_posix()}


STARTS = (_from_answer, _from_folder, _from_version, _from_run, _from_prediction, _from_dvc)


def _training(line: Line, files: bool) -> Link:
    _reconcile_if_behind(line["family"])
    return links.training(line, files)


def _data_and_its_models(line: Line, files: bool) -> Link:
    """A data folder with its sources, and every version and run that was trained on it."""
    _reconcile_if_behind(line["family"])
    lines = ledger.read(line["family"])
    runs = [run for run in reader.tagged(DATA, line["data"]) if DIGEST in run.tags and not _promotion(_of_run(run))]
    below = [
        *(_version(known, known == ledger.champion(lines)) for known in ledger.versions(lines).values() if known["data"] == line["data"]),
        *(Link("run", steps.OK, f"{run.id}: {run.tags[CANDIDATE]}, never promoted", {"run_id": run.id}, []) for run in runs),
    ]
    return steps.link("data", lambda: links.data(line), [*below, *links.sources(line, files)])


def _version(line: Line, champion: bool) -> Link:
    words = f"{line['family']}@v{line['version']}: {line['candidate']}, digest {line['digest'][:12]}{', the champion' if champion else ''}"
    return Link("version", steps.OK, words, {name: line[name] for name in ("family", "version", "candidate", "digest", "dvc")}, [])


def _reconcile_if_behind(family: str) -> None:
    """Reconcile where MLflow or the pointer lags behind the ledger: checking takes milliseconds, reconciling many seconds."""
    try:
        if not _is_current(family):
            with redirect_stdout(sys.stderr):
                reconcile.reconcile(family)
    except reader.Unreadable:  # the link `run` says so, and the remedy
        return


def _is_current(family: str) -> bool:
    """Do MLflow's versions, alias and runs, and the pointer, agree with the ledger?"""
    lines = ledger.read(family)
    promoted, champion = ledger.versions(lines), ledger.champion(lines)
    if champion is None:
        return True
    try:
        model = store.read_pointer(family)["model"]
    except store.NoChampion:
        return False
    pointed = (model["version"], model["digest"]) == (champion["version"], champion["digest"])
    registered = {number: digest for number, (_, digest) in reader.versions(family).items()}
    return (
        pointed
        and reader.alias(family, "champion") == champion["version"]
        and registered == {number: line["digest"] for number, line in promoted.items()}
        and all(map(_has_tagged_run, promoted.values()))
    )


def _has_tagged_run(line: Line) -> bool:
    """Does the promotion's run exist in MLflow, with the DVC hashes as tags?"""
    run = reader.of_training(line["family"], line["run"])
    return run is not None and all(tag in run.tags for tag, value in links.tags(line).items() if value)
