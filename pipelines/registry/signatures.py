"""The signatures of registry/signatures/ beside the models of the store and of a release; `make sign` and `make keys`."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from pipelines import discovery, errors, folders, git, paths
from pipelines.ledger import lines as ledger
from pipelines.models import checksums, manifests, signing
from pipelines.models.signing import BadKey, BadSignature
from pipelines.registry import store, versions

UNKNOWN = "is not a signature of this model that git or a key on this machine knows"


def install(folder: Path) -> None:
    """Put the signature beside a model in the store; sign the model first where this machine signs and nobody has. Raises BadKey.

    The caller has taken the model from a line of the ledger: whatever else lies in the store is brought its signature, and never signed.
    """
    manifest = manifests.verified(folder)
    key = signing.configured(signing.SIGNING)
    if key and not signing.path(manifest["family"], manifest["digest"]).exists():
        signing.sign(folder, key)
    _bring(folder, manifest)
    store.add_example(folder, folder)


def _bring(folder: Path, manifest: manifests.Manifest) -> None:
    """The signature that git keeps, where it is sound; where it is damaged and the copy beside the model is not, that one back to git."""
    kept, beside = signing.path(manifest["family"], manifest["digest"]), folder / signing.SIGNATURE
    if not kept.exists() or _content(kept) == _content(beside):
        return
    if _sound(kept, folder, manifest):  # another key has signed since, or the copy was altered
        folders.write(beside, kept.read_text())
        checksums.complete(folder, signing.SIGNATURE)
        return
    words = f"WARNING: {kept} {UNKNOWN}"
    if beside.exists() and kept.read_bytes() != git.committed(kept) and _sound(beside, folder, manifest):
        folders.write(kept, beside.read_text())
        words += f"; it is now what lies at {beside}, which is"
    print(f"{words}. See `make verify family={manifest['family']}`.", file=sys.stderr)


def _sound(signature: Path, folder: Path, manifest: manifests.Manifest) -> bool:
    """Does it hold by a key of this machine? Without one: is it what git's last commit has, or all that there is?"""
    kept = signing.path(manifest["family"], manifest["digest"])
    with ExitStack() as stack:
        private = signing.configured(signing.SIGNING)
        keys = [
            key
            for key in (signing.configured(signing.VERIFYING), stack.enter_context(signing.public_half(private)) if private else None)
            if key
        ]
        if keys:
            return any(not signing.fault_of(folder, manifest, signature, key) for key in keys)
    shown = git.committed(kept)
    return signature.read_bytes() == shown if shown else not (folder / signing.SIGNATURE).exists()


def copy(source: Path, folder: Path) -> None:
    """Put the signature of a model beside its copy in `folder`, where it has one. Raises BadSignature where that is not sound."""
    manifest = manifests.read(source)
    kept = signing.path(manifest["family"], manifest["digest"])
    if not kept.exists():
        return
    if _content(kept) != _content(source / signing.SIGNATURE) and not _sound(kept, source, manifest):
        raise BadSignature(f"{kept} {UNKNOWN}. `make verify family={manifest['family']}` names the repair.")
    folders.write(folder / signing.SIGNATURE, kept.read_text())


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None


def sign_all(family: str) -> Iterator[str]:
    """Sign every version of the ledger that is on this machine and has no signature of this key; in words, what was done with each.

    Raises BadKey where no private key is configured.
    """
    key = signing.configured(signing.SIGNING)
    if key is None:
        raise BadKey(
            f"{signing.SIGNING} is not set, so nothing can be signed. `make keys` makes a pair; "
            f"then {signing.SIGNING}=<the private one> make sign."
        )
    for number, line in ledger.versions(ledger.read(discovery.validate(family))).items():
        try:
            yield f"{family} version {number}: {_signed_once(versions.served_folder(line), key)}"
        except versions.ABSENT as absence:
            yield f"{family} version {number}: not signed. {absence}"
    if (challenger := store.challenger(family)) and "absent" not in challenger:
        yield f"{family}, its challenger: {_signed_once(store.location(challenger['tag']), key)}"
    for folder in store.models(family):
        with suppress(manifests.BrokenModel):  # which `make verify` tells
            _bring(folder, manifests.verified(folder))
            store.add_example(folder, folder)


def _signed_once(folder: Path, key: Path) -> str:
    manifest = manifests.read(folder)
    kept = signing.path(manifest["family"], manifest["digest"])
    with signing.public_half(key) as public:
        if kept.exists() and not signing.fault_of(folder, manifest, kept, public):
            return f"{kept} holds"
    return f"signed: {signing.sign(folder, key)}"


def main() -> None:
    """`sign --family NAME`, or `keys [--to FOLDER]`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("sign").add_argument("--family", required=True)
    commands.add_parser("keys").add_argument("--to", type=Path, default=paths.ROOT / "keys")
    asked = parser.parse_args()
    with errors.printed_once():
        if asked.command == "keys":
            private, public = signing.make_keys(asked.to)
            print(f"{signing.SIGNING}={private.absolute()}    for the machine that promotes, and nobody else")
            print(f"{signing.VERIFYING}={public.absolute()}    for every machine that serves")
            return
        for words in sign_all(asked.family):
            print(words)
        print(f"Commit the signatures: git add {signing.ROOT}")


if __name__ == "__main__":
    main()
