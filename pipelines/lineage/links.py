"""The links of a training, from the decision on it back to the source files of its data, each checked where its files are."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines import folders, git
from pipelines import paths as project_paths
from pipelines.artifacts import cache, copies, lock
from pipelines.artifacts.copies import FileSet
from pipelines.datasets import cards
from pipelines.fingerprints import accepted
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.lineage import sources as lineage_sources
from pipelines.lineage import steps
from pipelines.lineage.steps import Link, Step
from pipelines.models import checksums, manifests
from pipelines.registry import releases, store
from pipelines.tracking import reader
from pipelines.tracking.tags import DATA, DATA_DVC, DIGEST, DVC
from pipelines.training import records


def training(line: Line, files: bool) -> Link:
    """From the decision on a training to the source files, with `files` every file inside a folder or tar.

    `line` is the ledger's of a promotion; for a training that was never promoted it has no `version`.
    """
    model = [
        steps.link("configuration", lambda: _configuration(line)),
        steps.link("commit", lambda: _commit(line), [steps.link("code", lambda: _code(line))]),
        steps.link("data", lambda: data(line), sources(line, files)),
        *_accepted(line["candidate"]),
    ]
    served = [
        steps.link("served files", lambda: _served(line)),
        steps.link("run", lambda: _run(line)),
        steps.link("model folder", lambda: _folder(line), model),
    ]
    return steps.link("decision", lambda: _decision(line), served)


def _accepted(candidate: str) -> Iterator[Link]:
    """The evidence of `make accept` that later code trains the same: why dvc.lock may name another fingerprint."""
    try:
        yield from [Link("accepted", steps.OK, accepted.words(line), line, []) for line in accepted.of(candidate)]
    except accepted.BrokenLog as fault:
        yield Link("accepted", steps.BROKEN, str(fault), {}, [])


def tags(line: Line) -> dict[str, str | None]:
    """The tags of a training's run in MLflow."""
    return {DIGEST: line["digest"], DATA: line["data"], DVC: line["dvc"], DATA_DVC: line["data_dvc"]}


def _decision(line: Line) -> Step:
    family, candidate = line["family"], line["candidate"]
    if "version" in line:
        facts = {name: line[name] for name in ("family", "version", "candidate", "digest", "time", "reasons", "hash")}
        where = f"{ledger.path(family)} line {line['seq']}, {line['time']}, chain intact"
        return f"{family} version {line['version']}, {candidate}: {where}: {'; '.join(line['reasons'])}", facts
    refused = [known for known in ledger.read(family) if known["event"] == "refuse" and known["digest"] == line["digest"]]
    why = f"rejected on {refused[-1]['time']}: {'; '.join(refused[-1]['reasons'])}" if refused else "nothing was decided on it"
    return f"{family}, {candidate}: never promoted; {why}", {name: line[name] for name in ("family", "candidate", "digest")}


def _served(line: Line) -> Step:
    copy = _serving(line)
    manifest = copy.read(manifests.MANIFEST)
    wanted = {name: manifest["files"][name]["sha256"] for name in manifests.served(manifest)}
    _check(copy, wanted, None, f"make serve family={line['family']}")
    _check_digest(copy, manifest, line)
    return f"{copy.where}, digest {line['digest'][:12]}: {', '.join(wanted)}, every file checked", {"place": copy.where, "files": wanted}


def _check(copy: FileSet, sha256: Mapping[str, str], dvc: str | None, repair: str) -> None:
    """Every file is as the manifest or card, and DVC, record it. Raises ValueError."""
    if wrong := copies.altered(copy, sha256, dvc):
        raise ValueError(f"{copy.where}: {', '.join(wrong)} is missing or altered. `{repair}` restores it.")


def _check_digest(copy: FileSet, manifest: manifests.Manifest, line: Line) -> None:
    """The manifest's digest follows from it, and is the line's. Raises ValueError."""
    found = manifests.digest(manifest)
    if not found == manifest["digest"] == line["digest"]:
        raise ValueError(f"{copy.where}: digest {found[:12]} is not that of the decision, {line['digest'][:12]}")


def _serving(line: Line) -> FileSet:
    """The served files: in the model store, the complete model folder, or released/. Raises cache.NotHere."""
    stored = project_paths.ROOT / "models" / store.tag_of(line["family"], line.get("version"), line["digest"]).replace(":", "/")
    if stored.is_dir():
        return copies.of_folder(stored)
    try:
        return _model(line)
    except cache.NotHere:
        released = project_paths.RELEASED / line["family"]
        if (released / manifests.MANIFEST).is_file() and manifests.read(released)["digest"] == line["digest"]:
            return copies.of_folder(released)
        raise


def _model(line: Line) -> FileSet:
    """The complete model folder: where it was trained if that still is this training, else in DVC's cache. Raises cache.NotHere."""
    copy = copies.of_folder(Path(line.get("folder") or Path("models", line["candidate"])))
    return copy if _is_of(copy, line) else _cached(copy.where, line["dvc"])


def _is_of(copy: FileSet, line: Line) -> bool:
    """Do the manifest and record name this training?"""
    try:
        manifest, record = copy.read(manifests.MANIFEST), copy.read(records.RECORD)
    except (FileNotFoundError, ValueError):
        return False
    same = (manifest["digest"], record["key"]) == (line["digest"], line["run"])
    return same and abs(record["started"] - line.get("started", record["started"])) < 1


def _cached(where: str, dvc: str | None) -> FileSet:
    if dvc is None:
        raise cache.NotHere(f"{where} does not hold it, and no DVC hash of it is known. Train again.")
    return copies.of_cache(dvc)


def _folder(line: Line) -> Step:
    copy, dvc = _model(line), line["dvc"]
    manifest = copy.read(manifests.MANIFEST)
    files = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    _check(copy, files, dvc, f"dvc checkout --force models/{line['candidate']}")
    _check_digest(copy, manifest, line)
    if manifest["data"] != line["data"]:
        raise ValueError(f"{copy.where}: its data hash {manifest['data'][:12]} is not that of the decision, {line['data'][:12]}")
    return f"{_where(copy, dvc)}, every file checked", {"place": copy.where, "dvc": dvc, "files": files}


def _where(copy: FileSet, dvc: str | None) -> str:
    return copy.where if dvc is None or dvc in copy.where else f"{copy.where}, DVC {dvc}"


def _run(line: Line) -> Step:
    run = reader.of_training(line["family"], line["run"])
    if run is None:
        raise cache.NotHere(f"no run with key {line['run']}. `make ui` makes it again from the model folder.")
    wrong = [f"{tag} is {run.tags[tag]}" for tag, value in tags(line).items() if value and run.tags.get(tag, value) != value]
    if wrong:
        raise ValueError(f"run {run.id}: its tag {'; '.join(wrong)}, which is not this training's. Set it back in `make ui`.")
    return f"{run.id} in experiment {line['family']} (make ui)", {"run_id": run.id, "tags": {tag: run.tags.get(tag) for tag in tags(line)}}


def _configuration(line: Line) -> Step:
    """From a manifest whose bytes are recorded by DVC, SHA256SUMS or release.json: its digest covers only what is served."""
    try:
        copy = _model(line)
    except cache.NotHere:
        copy = _serving(line)
        _check_listed(copy, manifests.MANIFEST, hash=line.get("hash"))
    else:
        _check_by_dvc(copy, manifests.MANIFEST, line["dvc"])
    config = copy.read(manifests.MANIFEST)["config"]
    fit = ", ".join(f"{name}={value}" for name, value in config["fit"].items())
    return f"{config['candidate']}, run={config['run']}, seed={config['seed']}, {fit}", config


def _check_by_dvc(copy: FileSet, name: str, dvc: str | None) -> None:
    """This file of a folder is the one that DVC records. Raises cache.NotHere where none is recorded, or ValueError."""
    if dvc is None:
        raise cache.NotHere(f"{copy.where}: DVC records no checksum of {name}. `dvc commit {copy.where}`")
    if not copies.is_listed(copy, name, dvc):
        raise ValueError(f"{copy.where}: {name} is not what DVC records. `dvc checkout --force {copy.where}`")


def _check_listed(copy: FileSet, name: str, **facts: str | None) -> None:
    """As _check_by_dvc(), by release.json, where that has these facts, or else by SHA256SUMS."""
    folder = Path(copy.where)
    release = copy.read(releases.RELEASE) if releases.RELEASE in copy.files else {}
    named = release.get("files", {}) if checksums.summed(release) and facts.items() <= release.items() else {}
    sha256 = (named or checksums.read(folder)).get(name)
    if sha256 is None:
        raise cache.NotHere(f"no checksum of {folder}/{name} is recorded: that is with the model folder. {cache.fetching()}")
    if folders.sha256(copy.files[name]) != sha256:
        raise ValueError(f"{folder}/{name} is altered: its SHA-256 is not the one listed beside it. `make verify` names the repair.")


def _commit(line: Line) -> Step:
    if not line["commit"]:
        raise cache.NotHere(f"unknown, and so is whether the code was changed: {_unknown_commit(line)}")
    subject = git.output("show", "-s", "--format=%h %cs %s", line["commit"])
    if subject is None:
        raise cache.NotHere(f"{line['commit']} is not in this clone. `git fetch --unshallow`, or fetch the branch it is on.")
    return subject.decode().strip() + (" (with uncommitted changes: see code)" if line.get("dirty") else ""), {"commit": line["commit"]}


def _unknown_commit(line: Line) -> str:
    """Why the training recorded no commit."""
    known = _model(line).read(records.RECORD).get(records.UNKNOWN)
    return str(known or "the training recorded none. Commit before you train.")


def _code(line: Line) -> Step:
    """Every module that the training imported is the commit's."""
    code, commit = _model(line).read(records.RECORD)["code"], line["commit"]
    if not commit:
        raise cache.NotHere(f"{len(code)} modules, which no known commit can be held against")
    if git.output("cat-file", "-e", f"{commit}^{{commit}}") is None:
        raise cache.NotHere(f"commit {commit} is not in this clone")
    changed = [path for path, sha256 in _committed(commit, list(code)).items() if sha256 != code[path]]
    if changed:
        raise ValueError(f"not as in commit {commit[:12]}: {', '.join(changed)}. Uncommitted changes: commit, then train again.")
    return f"{len(code)} modules, each as in the commit", {"files": code}


def _committed(commit: str, paths: list[str]) -> dict[str, str | None]:
    """{path: SHA-256 of the file in a commit, or None}, in one call of git."""
    answers = git.required("cat-file", "--batch", given="".join(f"{commit}:{path}\n" for path in paths).encode())
    found: dict[str, str | None] = {}
    for path in paths:
        head, _, answers = answers.partition(b"\n")
        size = int(head.split()[-1]) if head.split()[-2:-1] == [b"blob"] else None
        found[path] = None if size is None else hashlib.sha256(answers[:size]).hexdigest()
        answers = answers if size is None else answers[size + 1 :]
    return found


def data(line: Line) -> Step:
    """The packed data, every file checked against its card, the line and DVC."""
    copy = _packed(line)
    card = copy.read(cards.CARD)
    dvc = lock.hash_of(Path(copy.where)) or line["data_dvc"]  # the same data may have another card in data/
    repair = f"dvc checkout --force data/{line['family']}"
    _check(copy, card["files"], dvc, repair)
    if folders.hash_of(card["files"]) != line["data"]:
        raise ValueError(f"{copy.where}: {cards.CARD} is altered: its hash is not that of the decision. `{repair}` restores it.")
    counts = ", ".join(f"{count} {split}" for split, count in card["counts"].items())
    facts = {"place": copy.where, "hash": line["data"], "dvc": line["data_dvc"], "counts": card["counts"], "files": card["files"]}
    return f"{_where(copy, dvc)}, hash {line['data'][:12]}: {counts}; every file checked", facts


def _packed(line: Line) -> FileSet:
    """The packed data: data/<family> where it still is this data, else in DVC's cache. Raises cache.NotHere."""
    folder = Path(line.get("data_folder") or Path("data", line["family"]))
    return copies.of_folder(folder) if card_hash(folder) == line["data"] else _cached(folder.as_posix(), line["data_dvc"])


def sources(line: Line, files: bool) -> Iterator[Link]:
    """The sources that the data card names, or its released copy."""
    try:
        card = _card(line)
    except (OSError, ValueError) as absence:
        yield Link("source", steps.NOT_HERE if isinstance(absence, cache.NotHere) else steps.BROKEN, str(absence), {}, [])
        return
    for named in card["sources"]:
        yield source(named, files)


def source(named: lineage_sources.Source, files: bool) -> Link:
    """A source of the data, with its licence and hash, and the files inside."""
    found = steps.link("source", lambda: (lineage_sources.checked(named), named))
    if files and found.status == steps.OK:
        for name, size, sha256 in lineage_sources.files(named):
            found.links.append(Link("file", steps.OK, f"{sha256}  {name}", {"name": name, "bytes": size, "sha256": sha256}, []))
    return found


def _card(line: Line) -> dict[str, Any]:
    """The data card, or its released copy where release.json records its checksum. Raises cache.NotHere or ValueError."""
    released = project_paths.RELEASED / line["family"]
    try:
        copy = _packed(line)
    except cache.NotHere:
        if card_hash(released) != line["data"]:
            raise
        copy = copies.of_folder(released)
        _check_listed(copy, cards.CARD, data=line["data"])
    return dict(copy.read(cards.CARD))


def card_hash(folder: Path) -> str | None:
    """The data hash in a folder's card; None without a card."""
    return cards.read(folder)["hash"] if (folder / cards.CARD).is_file() else None
