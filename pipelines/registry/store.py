"""The project's own BentoML model store, and the pointers that services follow. Services read these and nothing else.

Whoever can write here is trusted: models are hashed and their signatures checked before they are opened, pointers carry no signature.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipelines import folders, paths
from pipelines.models import checksums, manifests, selfcheck, signing

ASIDE = paths.ROOT / "aside"  # damaged models, each of which may be the only copy
BENTO = (Path("../bento.yaml"), Path("bentofile.yaml"))  # both exist where a bento runs
CHAMPIONS, CHALLENGERS = "champions", "challengers"  # roles of a pointer
Pointer = dict[str, Any]


class NoChampion(LookupError):
    """There is nothing to serve yet."""


class NotStored(LookupError):
    """A model that the store does not hold, or holds damaged."""


def put(folder: Path, version: int | None) -> str:
    """Copy what a model folder serves, verified, into the store, with its golden example; the tag. A challenger has no version."""
    manifest = manifests.verified(folder)
    bentoml = _bentoml()
    tag = tag_of(manifest["family"], version, manifest["digest"])
    if not holds(tag, manifest["digest"]):
        with bentoml.models.create(tag, labels={"digest": manifest["digest"]}, _model_store=_models()) as model:
            copy_served(folder, Path(model.path), manifest)
        stored = folder_of(tag)
        checksums.complete(stored, *(path.relative_to(stored).as_posix() for path in checksums.files(stored)))
    add_example(folder, folder_of(tag))
    return tag


def copy_served(folder: Path, target: Path, manifest: manifests.Manifest) -> None:
    """Copy the served files and the manifest of a model."""
    for name in [*manifests.served(manifest), manifests.MANIFEST]:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, target / name)


def add_example(source: Path, folder: Path) -> None:
    """Give a stored model its golden example where it has none; an untrusted model is not loaded for that."""
    if not (folder / selfcheck.EXAMPLE).is_file() and signing.trusted(folder):
        selfcheck.copy(source, folder)
        checksums.complete(folder, selfcheck.EXAMPLE)


def tag_of(family: str, version: int | None, digest: str) -> str:
    """The name of a model in the store: digits:v3-0123456789ab, or digits:c-0123456789ab for a challenger."""
    return f"{family}:{'c' if version is None else f'v{version}'}-{digest[:12]}"


def identity(line: dict[str, Any], version: int | None, run_id: str) -> dict[str, Any]:
    """The origin that every answer of a model states: family, version, digest, data, commit, run."""
    return {"family": line["family"], "version": version, **{key: line[key] for key in ("digest", "data", "commit")}, "run_id": run_id}


def holds(tag: str, digest: str) -> bool:
    """Is this model in the store, intact? A damaged one, or another one under its tag, is moved to ASIDE."""
    try:
        if manifests.verified(location(tag))["digest"] == digest:
            return True
    except NotStored:
        return False
    except manifests.BrokenModel:
        pass
    folder = folder_of(tag)
    _forget_latest(folder)
    ASIDE.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f"{folder.parent.name}-{folder.name}-", dir=ASIDE))
    folder.replace(aside)
    print(f"WARNING: {folder} was damaged and is moved to {aside}: it may be the only copy of its served files.", file=sys.stderr)
    return False


def remove(folder: Path) -> None:
    """Delete a stored model, the copy of a challenger."""
    _forget_latest(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _forget_latest(folder: Path) -> None:
    """Remove BentoML's note of the latest model, which nothing reads, where it names this one."""
    latest = folder.with_name("latest")
    if latest.is_file() and latest.read_text(errors="replace") == folder.name:
        latest.unlink(missing_ok=True)


def has_example(tag: str) -> bool:
    return (folder_of(tag) / selfcheck.EXAMPLE).is_file()


def folder_of(tag: str) -> Path:
    """Where a model is, or would be."""
    return _models_folder() / tag.replace(":", "/")


def models(family: str) -> list[Path]:
    """The folders of a family's models in the store."""
    return sorted(path for path in Path(paths.ROOT, "models", family).glob("*") if path.is_dir())


def location(tag: str) -> Path:
    """The folder of a stored model. Raises NotStored, or BrokenModel where BentoML cannot read its model.yaml."""
    bentoml = _bentoml()
    try:
        return Path(bentoml.models.get(tag, _model_store=_models()).path)
    except bentoml.exceptions.NotFound as absence:
        raise NotStored(f"{tag} is not in the model store {paths.ROOT}. `make serve` or `make ui` restores it.") from absence
    except Exception as fault:  # whatever BentoML's reader raises
        raise manifests.BrokenModel(f"{tag} in the model store {paths.ROOT} is incomplete: {fault}. `make serve` restores it.") from fault


def _models() -> Any:
    """The project's own store: BentoML's default is the user's, and fixed for the process."""
    from bentoml._internal.models.model import ModelStore

    _models_folder().mkdir(parents=True, exist_ok=True)
    return ModelStore(_models_folder())


def _models_folder() -> Path:
    """Inside a bento, BentoML keeps the models beside the code."""
    return (Path("../models") if all(map(Path.is_file, BENTO)) else paths.ROOT / "models").absolute()


def _bentoml() -> Any:
    """BentoML, imported on demand (a second), without its usage reports."""
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    import bentoml
    import bentoml.exceptions

    return bentoml


def pointer_path(family: str, role: str = CHAMPIONS) -> Path:
    return paths.ROOT / role / f"{family}.json"


def write_pointer(family: str, pointer: Pointer, role: str = CHAMPIONS) -> None:
    """Point services at a model, atomically.

    {"tag", "model": identity(), "promotion" and "decision": the ledger's lines that made the version and made it champion, "card": the
    data card or None, "released": whether only the released files are on this machine}
    """
    try:
        changed = read_pointer(family, role) != pointer
    except NoChampion:
        changed = True
    if changed:
        folders.write_json(pointer_path(family, role), summed(pointer))


def summed(pointer: Pointer) -> dict[str, Any]:
    """What the file of a pointer holds: the pointer and its sum."""
    return {**pointer, checksums.SUM: folders.hash_of(pointer)}


def read_pointer(family: str, role: str = CHAMPIONS) -> Pointer:
    """The pointer. Raises NoChampion with the remedy, also where its file is unreadable or altered."""
    path = pointer_path(family, role)
    remedy = f"Is {path.parent} readable for this user? If so, `make ui` writes it again."
    try:
        pointer: Pointer = json.loads(path.read_text())
        model = pointer["model"]
        named = pointer["tag"] == tag_of(family, model["version"], model["digest"])
        intact = checksums.summed(pointer) and (named or (model["version"] is None and isinstance(pointer["tag"], str)))
    except FileNotFoundError:
        raise NoChampion(f"{family} has no champion to serve. Train one with `make train family={family}`.") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as fault:
        raise NoChampion(f"{path} cannot be read ({fault}). {remedy}") from fault
    if not intact:
        raise NoChampion(f"{path} is not what was written: its sum, or the version and digest in its tag, are others. {remedy}")
    return {key: value for key, value in pointer.items() if key != checksums.SUM}


def challenger(family: str) -> Pointer | None:
    """{"tag", "model": identity() without a version, "challenge": the ledger's line}; None without a challenger.

    `absent` says why its model is not in the store. Raises NoChampion where the file cannot be read.
    """
    try:
        return read_pointer(family, CHALLENGERS)
    except NoChampion:
        if pointer_path(family, CHALLENGERS).exists():
            raise
        return None


def print_if_released(family: str) -> None:
    """Print a note where only the released files of the champion are on this machine."""
    pointer = read_pointer(family)
    if pointer["released"]:
        print(f"{family}: version {pointer['model']['version']} comes from released/{family}/; this machine has not trained it.")
