"""From an answer, a version, an alias, a run, a DVC hash, a model or data folder back to the source files: a tree of links.

Every link is checked, not believed: it is *ok*, *not here* (with how to get it) or *broken* (the command then ends with 1 and names the
first one). What only looks costs little here: MLflow's database and DVC's cache are read in place, and reconciled where they lag behind.
"""

import json
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from json import JSONDecodeError
from pathlib import Path

from pipelines import discovery, predictions
from pipelines.artifacts import lock
from pipelines.datasets import cards
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.lineage import answers, follow, links, steps
from pipelines.lineage.steps import Link
from pipelines.models import manifests
from pipelines.tracking import reader
from pipelines.tracking.tags import CANDIDATE, COMMIT, DATA, DATA_DVC, DIGEST, DVC, KEY
from pipelines.training import records

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
    line = ledger.version(discovery.validate(str(model.get("family"))), model["version"])
    recorded = answers.recorded(found) if isinstance(found.get("prediction_id"), str) else []
    return steps.link("answer", lambda: answers.answered(model, line), [*recorded, _training(line, files)])


def _from_prediction(of: str, files: bool) -> Link | None:
    """A prediction_id whose answer was recorded."""
    row = predictions.Store().find(of) if re.fullmatch(r"[0-9a-f]{32}", of) else None
    if row is None:
        return None
    line = ledger.version(discovery.validate(row["family"]), row["version"])
    return steps.link(
        "prediction", lambda: answers.predicted(row, line), [steps.link("input", lambda: answers.sent(row)), _training(line, files)]
    )


def _from_version(of: str, files: bool) -> Link | None:
    line = version(of)
    return _training(line, files) if line else None


def version(of: str) -> Line | None:
    """What digits@v2, digits@champion or digits@challenger names; None where it is no such name. Raises UnknownVersion, UnknownPlace."""
    found = re.fullmatch(r"(\w+)@(champion|challenger|v?(\d+))", of)
    if not found:
        return None
    family = discovery.validate(found[1])
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
    run = reader.of_training(family, line["run"])
    told = {name: line[name] for name in ("family", "candidate", "digest", "dvc", "data", "commit", "run")}
    return _promoted(line) or (_of_run(run) if run else {**told, "data_dvc": None})


ALIASES = {"champion": _champion, "challenger": _challenger}


def _from_run(of: str, files: bool) -> Link | None:
    """An MLflow run: of a promoted training, or of any that has left a model."""
    if not re.fullmatch(r"[0-9a-f]{32}", of):
        return None
    run = reader.found(of)
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
        "commit": tags.get(COMMIT),
        "run": tags[KEY],
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
    lines += [_of_run(run) for tag in (DVC, DATA_DVC) for run in reader.tagged(tag, of) if DIGEST in run.tags]
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
    family, data = discovery.validate(manifest["family"]), Path("data", manifest["family"])
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
        return lock.hash_of(folder) if links.card_hash(folder) == data else None
    return None


def _nowhere(folder: Path) -> Line:
    raise UnknownPlace(f"{folder} holds what was served of a model that no ledger knows. Start from {FORMS}.")


def _of_data(folder: Path) -> Line:
    """What a data folder is to a training: the ledger knows its DVC hash where a version rests on it, dvc.lock where none does yet."""
    card = cards.read(folder)
    found = [line["data_dvc"] for line in _resting(discovery.validate(card["name"]), card["hash"])]
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
    follow.follow(line["family"])
    return links.training(line, files)


def _data_and_its_models(line: Line, files: bool) -> Link:
    """A data folder with its sources, and every version and run that rests on it."""
    follow.follow(line["family"])
    tagged = [run for run in reader.tagged(DATA, line["data"]) if DIGEST in run.tags]
    found = [
        *map(_version, _resting(line["family"], line["data"])),
        *(_never_promoted(run) for run in tagged if not _promoted(_of_run(run))),
    ]
    return steps.link("data", lambda: links.data(line), [*found, *links.sources(line, files)])


def _version(line: Line) -> Link:
    words = f"{line['family']}@v{line['version']}: {line['candidate']}, digest {line['digest'][:12]}"
    stands = ", the champion" if _champion(line["family"]) == line else ""
    return Link(
        "version", steps.OK, f"{words}{stands}", {name: line[name] for name in ("family", "version", "candidate", "digest", "dvc")}, []
    )


def _never_promoted(run: reader.Run) -> Link:
    return Link("run", steps.OK, f"{run.id}: {run.tags[CANDIDATE]}, never promoted", {"run_id": run.id}, [])


def _resting(family: str, data: str) -> list[Line]:
    """The versions that were trained on this data."""
    return [line for line in ledger.versions(ledger.read(family)).values() if line["data"] == data]
