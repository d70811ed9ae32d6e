"""The project's own BentoML model store, and the pointer that services follow. Services read these and nothing else.

Who may write here is trusted: a model is hashed and its signature checked first, then it is opened, and pointers carry no signature.
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

ASIDE = paths.ROOT / "aside"  # where goes what is damaged and may be the only copy
BENTO = (Path("../bento.yaml"), Path("bentofile.yaml"))  # both are there where a bento runs
CHAMPIONS, CHALLENGERS = "champions", "challengers"  # what a pointer names
Pointer = dict[str, Any]


class NoChampion(LookupError):
    """There is nothing to serve yet."""


class NotStored(LookupError):
    """A model that the store does not hold, or holds damaged."""


def put(folder: Path, version: int | None) -> str:
    """Copy what a model folder serves, verified, into the store; return its tag. What is there already stays.

    Beside it lies its stored example, of the folder, or made here, once the signature holds where one is asked for (signatures.lay).
    `version` is None of a challenger, which has none.
    """
    manifest = manifests.verified(folder)
    bentoml = _bentoml()
    tag = tag_of(manifest["family"], version, manifest["digest"])
    if not holds(tag, manifest["digest"]):
        with bentoml.models.create(tag, labels={"digest": manifest["digest"]}, _model_store=_models()) as model:
            _copy(folder, Path(model.path), manifest)
        checksums.complete(folder_of(tag), *(path.relative_to(folder_of(tag)).as_posix() for path in checksums.files(folder_of(tag))))
    add_example(folder, folder_of(tag))
    return tag


def add_example(source: Path, folder: Path) -> None:
    """Bring a stored model its example where it has none. One that is not signed as this machine asks is not even loaded for that."""
    if not (folder / selfcheck.EXAMPLE).is_file() and signing.trusted(folder):
        selfcheck.bring(source, folder)
        checksums.complete(folder, selfcheck.EXAMPLE)


def tag_of(family: str, version: int | None, digest: str) -> str:
    """The name of a model in the store: digits:v3-0123456789ab, or digits:c-0123456789ab of a challenger."""
    return f"{family}:{'c' if version is None else f'v{version}'}-{digest[:12]}"


def _copy(folder: Path, target: Path, manifest: manifests.Manifest) -> None:
    for name in [*manifests.served(manifest), manifests.MANIFEST]:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, target / name)


def holds(tag: str, digest: str) -> bool:
    """Is this very model in the store, undamaged? A damaged or half-copied one is put aside, and another one under its name."""
    try:
        if manifests.verified(location(tag))["digest"] == digest:
            return True
    except NotStored:
        return False
    except manifests.BrokenModel:
        pass
    _set_aside(folder_of(tag))
    return False


def _set_aside(folder: Path) -> None:
    """Out of the way, and not deleted: what it serves may be whole, and nowhere else."""
    ASIDE.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f"{folder.parent.name}-{folder.name}-", dir=ASIDE))
    folder.replace(aside)
    print(f"WARNING: {folder} was damaged, and lies at {aside} now, for it may be the only copy of what it serves.", file=sys.stderr)


def has_example(tag: str) -> bool:
    """Has a stored model its example beside it?"""
    return (folder_of(tag) / selfcheck.EXAMPLE).is_file()


def folder_of(tag: str) -> Path:
    """Where a model is, or would be."""
    return _models_folder() / tag.replace(":", "/")


def models(family: str) -> list[Path]:
    """The folders of every model of a family that is in the store."""
    return sorted(path for path in Path(paths.ROOT, "models", family).glob("*") if path.is_dir())


def location(tag: str) -> Path:
    """The folder of a stored model. Raises NotStored, or BrokenModel where BentoML cannot read what it wrote beside it."""
    bentoml = _bentoml()
    try:
        return Path(bentoml.models.get(tag, _model_store=_models()).path)
    except bentoml.exceptions.NotFound as absence:
        raise NotStored(f"{tag} is not in the model store {paths.ROOT}. `make serve` and `make ui` bring it back.") from absence
    except Exception as fault:  # a damaged model.yaml raises whatever its reader does
        raise manifests.BrokenModel(f"{tag} in the model store {paths.ROOT} is incomplete: {fault}. `make serve` mends it.") from fault


def _models() -> Any:
    """The project's own store: BentoML's default one is the user's, and the process's for good."""
    from bentoml._internal.models.model import ModelStore

    _models_folder().mkdir(parents=True, exist_ok=True)
    return ModelStore(_models_folder())


def _models_folder() -> Path:
    """Inside a bento, BentoML keeps the models beside the code."""
    return (Path("../models") if all(map(Path.is_file, BENTO)) else paths.ROOT / "models").absolute()


def _bentoml() -> Any:
    """BentoML, imported where it is needed (a second), and told first to report to nobody."""
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    import bentoml
    import bentoml.exceptions

    return bentoml


def pointer_path(family: str, role: str = CHAMPIONS) -> Path:
    return paths.ROOT / role / f"{family}.json"


def write_pointer(family: str, pointer: Pointer, role: str = CHAMPIONS) -> None:
    """Move what services follow, atomically.

    {"tag", "model": what every answer carries, "promotion" and "decision": the ledger's lines that made this version and
    that it stands by, "card": the data card or None, "released": whether this machine has only the released files}
    """
    try:
        moved = read_pointer(family, role) != pointer
    except NoChampion:
        moved = True
    if moved:
        folders.write_json(pointer_path(family, role), {**pointer, checksums.SUM: folders.hash_of(pointer)})


def read_pointer(family: str, role: str = CHAMPIONS) -> Pointer:
    """The pointer. Raises NoChampion with the remedy, also where its file cannot be read, or is not what was written."""
    path = pointer_path(family, role)
    try:
        pointer: Pointer = json.loads(path.read_text())
        as_written = pointer.pop(checksums.SUM, None) in (None, folders.hash_of(pointer)) and _agrees(family, pointer)
    except FileNotFoundError:
        raise NoChampion(f"{family} has no champion to serve. Train one with `make train family={family}`.") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as fault:
        raise NoChampion(f"{path} cannot be read ({fault}). {_anew(path)}") from fault
    if not as_written:
        raise NoChampion(f"{path} is not what was written: its sum, or the version and digest in its tag, are others. {_anew(path)}")
    return pointer


def _agrees(family: str, pointer: Pointer) -> bool:
    """Does the tag name the version and the digest that answers would name? A challenger has no version."""
    model = pointer["model"]
    named = tag_of(family, model["version"], model["digest"])
    return pointer["tag"] == named or (model["version"] is None and isinstance(pointer["tag"], str))


def _anew(path: Path) -> str:
    return f"Is {path.parent} this user's to read? If so, `make ui` writes it anew."


def challenger(family: str) -> Pointer | None:
    """{"tag", "model": whence its answers would come, but for a version, "challenge": the ledger's line}; None where nobody challenges.

    Where its model could not be brought into the store, `absent` says why. Raises NoChampion where its file cannot be read.
    """
    try:
        return read_pointer(family, CHALLENGERS)
    except NoChampion:
        if pointer_path(family, CHALLENGERS).exists():
            raise
        return None


def print_if_released(family: str) -> None:
    """Say so where the champion was not trained on this machine."""
    pointer = read_pointer(family)
    if pointer["released"]:
        print(f"{family}: version {pointer['model']['version']} comes from released/{family}/; this machine has not trained it.")
