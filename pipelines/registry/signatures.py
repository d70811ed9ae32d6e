"""`make sign` and `make keys`; the signatures of registry/signatures/ beside the models of the store and of a release."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from pipelines import discovery, folders, git
from pipelines.ledger import lines as ledger
from pipelines.models import checksums, manifests, signing
from pipelines.models.signing import SIGNATURE, BadKey, BadSignature
from pipelines.registry import store, versions

UNKNOWN = "is neither in git's last commit nor valid by a key on this machine"


def install(folder: Path) -> None:
    """Copy a stored model's signature from git beside it, after signing it where this machine has a key and none exists. Raises BadKey."""
    manifest = manifests.verified(folder)
    key = signing.configured(signing.SIGNING)
    if key and not _in_git(manifest).exists():
        signing.sign(folder, key)
    try:
        _synchronise(folder, manifest)
    except git.Unusable as fault:
        print(f"WARNING: the signature of {folder} is left as it is. {fault}", file=sys.stderr)
    store.add_example(folder, folder)


def _in_git(manifest: manifests.Manifest) -> Path:
    return signing.path(manifest["family"], manifest["digest"])


def _synchronise(folder: Path, manifest: manifests.Manifest) -> None:
    """Copy a valid signature from git to the model; where only the copy beside the model is valid, back to git."""
    tracked, beside = _in_git(manifest), folder / SIGNATURE
    if not tracked.exists() or _same(tracked, beside):
        return
    if _valid(tracked, folder, manifest):  # another key has signed since, or the copy was altered
        folders.write(beside, tracked.read_text())
        checksums.complete(folder, SIGNATURE)
        return
    words = f"{tracked} {UNKNOWN}"
    if beside.exists() and tracked.read_bytes() != git.committed(tracked) and _valid(beside, folder, manifest):
        folders.write(tracked, beside.read_text())
        words += f"; it is replaced by {beside}, which is"
    print(f"WARNING: {words}. See `make verify family={manifest['family']}`.", file=sys.stderr)


def _valid(signature: Path, folder: Path, manifest: manifests.Manifest) -> bool:
    """Is it valid by a key of this machine? Without keys: is it the one in git's last commit, or the only one?"""
    with ExitStack() as stack:
        private = signing.configured(signing.SIGNING)
        public = stack.enter_context(signing.public_half(private)) if private else None
        if keys := [key for key in (signing.configured(signing.VERIFYING), public) if key]:
            return any(not signing.fault_of(folder, manifest, signature, key) for key in keys)
    committed = git.committed(_in_git(manifest))
    return signature.read_bytes() == committed if committed else not (folder / SIGNATURE).exists()


def copy(source: Path, folder: Path) -> None:
    """Put the signature of a model beside its copy in `folder`, where it has one. Raises BadSignature where that is invalid."""
    manifest = manifests.read(source)
    tracked = _in_git(manifest)
    if not tracked.exists():
        return
    if not _same(tracked, source / SIGNATURE) and not _valid(tracked, source, manifest):
        raise BadSignature(f"{tracked} {UNKNOWN}. `make verify family={manifest['family']}` names the repair.")
    folders.write(folder / SIGNATURE, tracked.read_text())


def _same(one: Path, other: Path) -> bool:
    return other.exists() and one.read_bytes() == other.read_bytes()


def sign_all(family: str) -> Iterator[str]:
    """Sign every version on this machine that has no signature of this key; one sentence for each. Raises BadKey without a private key."""
    key = signing.configured(signing.SIGNING)
    if key is None:
        raise BadKey(f"{signing.SIGNING} is not set. `make keys` makes a pair; then {signing.SIGNING}=<the private one> make sign.")
    for number, line in ledger.versions(ledger.read(discovery.validate(family))).items():
        try:
            yield f"{family} version {number}: {_sign(versions.served_folder(line), key)}"
        except versions.ABSENT as absence:
            yield f"{family} version {number}: not signed. {absence}"
    if (challenger := store.challenger(family)) and "absent" not in challenger:
        yield f"{family}, its challenger: {_sign(store.location(challenger['tag']), key)}"
    for folder in store.models(family):
        with suppress(manifests.BrokenModel):  # a fault for `make verify`
            _synchronise(folder, manifests.verified(folder))
            store.add_example(folder, folder)


def _sign(folder: Path, key: Path) -> str:
    manifest = manifests.read(folder)
    tracked = _in_git(manifest)
    with signing.public_half(key) as public:
        if tracked.exists() and not signing.fault_of(folder, manifest, tracked, public):
            return f"{tracked} is valid"
    return f"signed: {signing.sign(folder, key)}"


def keys(to: Path) -> None:
    """Make a pair of keys and print how they are named to the programs."""
    private, public = signing.make_keys(to)
    print(f"{signing.SIGNING}={private.absolute()}    for the machine that promotes, and no other")
    print(f"{signing.VERIFYING}={public.absolute()}    for every machine that serves")


def main(family: str) -> None:
    """Sign every version of a family that is here."""
    print(*sign_all(family), f"Commit the signatures: git add {signing.ROOT}", sep="\n")
