"""The trail of a training, from the decision on it to the source files of its data: links, each checked where its files lie.

A link is *ok*, *not here* (with how to get it) or *broken*. Nothing that takes seconds is imported: MLflow's database and DVC's cache
are read in place.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines import folders, git
from pipelines import paths as project_paths
from pipelines.artifacts import cache, copies, lock
from pipelines.artifacts.copies import Copy
from pipelines.datasets import cards
from pipelines.fingerprints import accepted
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.lineage import sources as lineage_sources
from pipelines.lineage import steps
from pipelines.lineage.steps import Facts, Link
from pipelines.models import checksums, manifests
from pipelines.registry import releases, store
from pipelines.tracking import reader
from pipelines.tracking.tags import DATA, DATA_DVC, DIGEST, DVC
from pipelines.training import records


def training(line: Line, files: bool) -> Link:
    """From the decision on a training to the source files, on demand with every file inside a folder or tar.

    `line` is the ledger's of a promotion; of what was never promoted it has no `version`.
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
    """Each time that other code was shown to train the same (accept.py): why dvc.lock names another fingerprint than the training's."""
    try:
        yield from [Link("accepted", steps.OK, accepted.words(line), line, []) for line in accepted.of(candidate)]
    except accepted.BrokenLog as fault:
        yield Link("accepted", steps.BROKEN, str(fault), {}, [])


def tags(line: Line) -> dict[str, str | None]:
    """What the tags of its run say of a training."""
    return {DIGEST: line["digest"], DATA: line["data"], DVC: line["dvc"], DATA_DVC: line["data_dvc"]}


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


def _model(line: Line) -> Copy:
    """The whole model folder: where it was trained if that still is this training, else in DVC's cache. Raises cache.NotHere."""
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
        raise cache.NotHere(f"{where} does not hold it, and no DVC hash of it is known. Train again.")
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
    run = reader.of_training(line["family"], line["run"])
    if run is None:
        raise cache.NotHere(f"no run with key {line['run']}. `make ui` makes it again from the model folder.")
    wrong = [f"{tag} is {run.tags[tag]}" for tag, value in tags(line).items() if value and run.tags.get(tag, value) != value]
    if wrong:
        raise ValueError(f"run {run.id}: its tag {'; '.join(wrong)}, which is not this training's. Set it back in `make ui`.")
    return f"{run.id} in experiment {line['family']} (make ui)", {"run_id": run.id, "tags": {tag: run.tags.get(tag) for tag in tags(line)}}


def _configuration(line: Line) -> tuple[str, Facts]:
    config = _manifest(line)["config"]
    fit = ", ".join(f"{name}={value}" for name, value in config["fit"].items())
    return f"{config['candidate']}, run={config['run']}, seed={config['seed']}, {fit}", config


def _manifest(line: Line) -> manifests.Manifest:
    """The manifest, where somebody vouches for all of it: its digest covers what is served alone. Raises cache.NotHere or ValueError."""
    try:
        copy = _model(line)
    except cache.NotHere:
        copy = _serving(line)
        _listed(copy, manifests.MANIFEST, hash=line.get("hash"))
    else:
        _by_dvc(copy, manifests.MANIFEST, line["dvc"])
    manifest: manifests.Manifest = copy.read(manifests.MANIFEST)
    return manifest


def _by_dvc(copy: Copy, name: str, dvc: str | None) -> None:
    """DVC vouches for this file of a folder. Raises cache.NotHere, or ValueError where the file is another."""
    if dvc is None:
        raise cache.NotHere(f"{copy.where}: {name} is under no hash of DVC's, so nobody vouches for it. `dvc commit {copy.where}`")
    if not copies.listed(copy, name, dvc):
        raise ValueError(f"{copy.where}: {name} is not what DVC says. `dvc checkout --force {copy.where}`")


def _listed(copy: Copy, name: str, **facts: str | None) -> None:
    """SHA256SUMS, or a release.json that says so, vouches for this file. Raises cache.NotHere, or ValueError as _by_dvc()."""
    folder = Path(copy.where)
    release = copy.read(releases.RELEASE) if releases.RELEASE in copy.files else {}
    named = release.get("files", {}) if checksums.summed(release) and facts.items() <= release.items() else {}
    sha256 = (named or checksums.read(folder)).get(name)
    if sha256 is None:
        raise cache.NotHere(f"nobody vouches for {folder}/{name}. `make rebuild` fetches the model folder and the data.")
    if folders.sha256(copy.files[name]) != sha256:
        raise ValueError(f"{folder}/{name} is altered: its SHA-256 is not the one listed beside it. `make verify` says how to mend it.")


def _commit(line: Line) -> tuple[str, Facts]:
    if not line["commit"]:
        raise cache.NotHere("trained outside git: no commit is known. Commit before you train.")
    subject = git.output("show", "-s", "--format=%h %cs %s", line["commit"])
    if subject is None:
        raise cache.NotHere(f"{line['commit']} is not in this clone. `git fetch --unshallow`, or fetch the branch it is on.")
    return subject.decode().strip() + (" (with uncommitted changes: see code)" if line.get("dirty") else ""), {"commit": line["commit"]}


def _code(line: Line) -> tuple[str, Facts]:
    """Every module that the training imported, held against the commit."""
    code, commit = _model(line).read(records.RECORD)["code"], line["commit"]
    if git.output("cat-file", "-e", f"{commit}^{{commit}}") is None:
        raise cache.NotHere(f"commit {commit} is not in this clone")
    changed = [path for path, sha256 in _committed(commit, list(code)).items() if sha256 != code[path]]
    if changed:
        raise ValueError(
            f"not as in commit {commit[:12]}: {', '.join(changed)}. Trained with uncommitted changes: commit, then train again."
        )
    return f"{len(code)} modules, each as in the commit", {"files": code}


def _committed(commit: str, paths: list[str]) -> dict[str, str | None]:
    """{path: SHA-256 of the file in a commit, or None}, asked of git at once."""
    answers = git.output("cat-file", "--batch", given="".join(f"{commit}:{path}\n" for path in paths).encode()) or b""
    found: dict[str, str | None] = {}
    for path in paths:
        head, _, answers = answers.partition(b"\n")
        size = int(head.split()[-1]) if head.split()[-2:-1] == [b"blob"] else None
        found[path] = None if size is None else hashlib.sha256(answers[:size]).hexdigest()
        answers = answers if size is None else answers[size + 1 :]
    return found


def data(line: Line) -> tuple[str, Facts]:
    """The packed data, every file held against its card, the line and DVC."""
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
    """The packed data: data/<family> where that still is this data, else in DVC's cache. Raises cache.NotHere."""
    folder = Path(line.get("data_folder") or Path("data", line["family"]))
    return copies.of_folder(folder) if card_hash(folder) == line["data"] else _cached(folder.as_posix(), line["data_dvc"])


def _data_dvc(line: Line, copy: Copy) -> str | None:
    """The DVC hash of this copy: in data/ that of dvc.lock, for the same packed data can come from other sources, under another card."""
    return lock.hash_of(Path(copy.where)) or line["data_dvc"]


def sources(line: Line, files: bool) -> Iterator[Link]:
    """What the data was packed from, as its card says, or the card's released copy."""
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
        found.links.extend(_file(*inside) for inside in lineage_sources.files(named))
    return found


def _file(name: str, size: int, sha256: str) -> Link:
    return Link("file", steps.OK, f"{sha256}  {name}", {"name": name, "bytes": size, "sha256": sha256}, [])


def _card(line: Line) -> dict[str, Any]:
    """The data card, or its released copy, where release.json vouches for that. Raises cache.NotHere or ValueError."""
    try:
        return dict(_packed(line).read(cards.CARD))
    except cache.NotHere:
        if card_hash(project_paths.RELEASED / line["family"]) != line["data"]:
            raise
    copy = copies.of_folder(project_paths.RELEASED / line["family"])
    _listed(copy, cards.CARD, data=line["data"])
    return dict(copy.read(cards.CARD))


def card_hash(folder: Path) -> str | None:
    """The hash of the data that a folder has the card of, if it has one."""
    return cards.read(folder)["hash"] if (folder / cards.CARD).is_file() else None
