"""Signatures of models by OpenSSF model-signing: whoever holds the private key has let this model pass.

MODEL_SIGNING_KEY names a private PEM key: this machine signs what it promotes. MODEL_VERIFYING_KEY names the public one: this machine
serves nothing that is unsigned or altered. Without them nothing is signed, nothing is asked, and nothing is imported.

A signature covers the served files and model.json, and nothing else: so the same one holds for the model folder, the store's copy, the
release and a bento, and through model.json, which names the SHA-256 of every file of a training, it speaks of the whole model folder.
It lies at registry/signatures/<family>/<digest>.sig, in git, and beside the model as model.sig.

Source of the format: https://github.com/sigstore/model-transparency (a Sigstore bundle around an in-toto statement).
"""

import argparse
import base64
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from pipelines import discovery, errors, folders, git, paths, stores
from pipelines.ledger import lines as ledger
from pipelines.models import checksums, manifests

ROOT = Path("registry/signatures")
SIGNATURE = "model.sig"
SIGNING, VERIFYING = "MODEL_SIGNING_KEY", "MODEL_VERIFYING_KEY"
CURVES = "P-256, P-384 or P-521"
UNKNOWN = "is not a signature of this model that git or a key on this machine knows"
KEYS = ("model-signing.pem", "model-signing.pub.pem")


class Unsigned(ValueError):
    """A model without a signature, where one is asked for."""


class BadSignature(ValueError):
    """A signature that was made by another key, for another model, or that was altered; or a model that was."""


class BadKey(ValueError):
    """A key that is not there, or none that signs models."""


def path(family: str, digest: str) -> Path:
    """Where git keeps the signature of a model."""
    return ROOT / family / f"{digest}.sig"


def check(folder: Path) -> None:
    """Is this model signed by the key that this machine trusts? Does nothing where none is configured.

    Raises Unsigned or BadSignature, with the remedy, or BadKey.
    """
    if key := _key(VERIFYING):
        verified(folder, key)


def trusted(folder: Path) -> bool:
    """Would check() let this model pass? Raises BadKey."""
    try:
        check(folder)
    except (Unsigned, BadSignature):
        return False
    return True


def verified(folder: Path, key: Path) -> None:
    """Check a model folder with its signature against a public key. Raises Unsigned, BadSignature or BadKey."""
    manifest = manifests.read(folder)
    remedy = f"Sign it where the private key is: `{SIGNING}=<key.pem> make sign family={manifest['family']}`."
    signature = _beside(folder, manifest)
    if signature is None:
        raise Unsigned(f"{folder} is not signed, and {VERIFYING}={key} asks for a signature. {remedy}")
    fault = _fault(folder, manifest, signature, key)
    if fault:
        raise BadSignature(
            f"{signature} does not vouch for {folder}: {fault}. Is it the right key ({key})? If so, do not use this model. {remedy}"
        )


def _beside(folder: Path, manifest: manifests.Manifest) -> Path | None:
    """The signature of a folder: beside the model, or in git for a folder that was trained here."""
    places = [folder / SIGNATURE, path(manifest["family"], manifest["digest"])]
    return next((place for place in places if place.is_file()), None)


def _fault(folder: Path, manifest: manifests.Manifest, signature: Path, key: Path) -> str | None:
    """What is wrong with a signature, in words; None where it holds."""
    from cryptography.exceptions import InvalidSignature
    from model_signing import verifying

    verifier = _loaded(VERIFYING, key, lambda: verifying.Config().use_elliptic_key_verifier(public_key=key))  # type: ignore[no-untyped-call]
    try:
        verifier.set_hashing_config(_hashing(folder, manifest)).verify(folder, signature)
        left = _covered(manifest) - named(signature)
    except InvalidSignature:
        return "it was altered, or made by another key"
    except (ValueError, KeyError, TypeError, IndexError, OSError) as error:
        return _short(str(error))
    return f"it does not cover {', '.join(sorted(left))}" if left else None


def _short(words: str) -> str:
    """model_signing's words without the bytes of the hashes."""
    altered = re.findall(r"Hash mismatch for \\*'([^'\\]+)", words)
    return f"{', '.join(altered)} is not what was signed" if altered else " ".join(words.split())[:300].rstrip(". ")


def _covered(manifest: manifests.Manifest) -> set[str]:
    return {*manifests.served(manifest), manifests.MANIFEST}


def _hashing(folder: Path, manifest: manifests.Manifest) -> Any:
    """What is hashed of a folder: the served files and the manifest; what lies beside them is left out."""
    from model_signing import hashing

    there = {found.relative_to(folder).as_posix() for found in folder.rglob("*") if found.is_file()}
    return hashing.Config().set_ignored_paths(paths=sorted(there - _covered(manifest)), ignore_git_paths=False).set_allow_symlinks(True)  # type: ignore[no-untyped-call]


def named(signature: Path) -> set[str]:
    """The files that a signature names. Raises KeyError or ValueError."""
    statement = json.loads(base64.b64decode(json.loads(signature.read_text())["dsseEnvelope"]["payload"]))
    return {resource["name"] for resource in statement["predicate"]["resources"]}


def _key(variable: str) -> Path | None:
    return Path(os.environ[variable]) if os.environ.get(variable) else None


def _loaded(variable: str, key: Path, load: Callable[[], Any]) -> Any:
    """Whatever is done with a key, or BadKey with the remedy."""
    try:
        return load()
    except (OSError, ValueError, TypeError, AttributeError) as error:  # model_signing asks an RSA key for its curve
        kind = "private" if variable == SIGNING else "public"
        raise BadKey(f"{variable}={key} is no {kind} PEM key of an elliptic curve {CURVES} ({error}). `make keys` makes a pair.") from error


def lay(folder: Path) -> None:
    """Put the signature beside a model in the store; sign the model first where this machine signs and nobody has. Raises BadKey.

    The caller has taken the model from a line of the ledger: whatever else lies in the store is brought its signature, and never signed.
    """
    manifest = manifests.verified(folder)
    key = _key(SIGNING)
    if key and not path(manifest["family"], manifest["digest"]).exists():
        sign(folder, key)
    _bring(folder, manifest)
    stores.example(folder, folder)


def _bring(folder: Path, manifest: manifests.Manifest) -> None:
    """The signature that git keeps, where it is sound; where it is damaged and the copy beside the model is not, that one back to git."""
    kept, beside = path(manifest["family"], manifest["digest"]), folder / SIGNATURE
    if not kept.exists() or _content(kept) == _content(beside):
        return
    if _sound(kept, folder, manifest):  # another key has signed since, or the copy was altered
        folders.write(beside, kept.read_text())
        checksums.complete(folder, SIGNATURE)
        return
    words = f"WARNING: {kept} {UNKNOWN}"
    if beside.exists() and kept.read_bytes() != git.shown(kept) and _sound(beside, folder, manifest):
        folders.write(kept, beside.read_text())
        words += f"; it is now what lies at {beside}, which is"
    print(f"{words}. See `make verify family={manifest['family']}`.", file=sys.stderr)


def _sound(signature: Path, folder: Path, manifest: manifests.Manifest) -> bool:
    """Does it hold by a key of this machine? Without one: is it what git's last commit has, or all that there is?"""
    kept = path(manifest["family"], manifest["digest"])
    with ExitStack() as stack:
        private = _key(SIGNING)
        keys = [key for key in (_key(VERIFYING), stack.enter_context(_public_half(private)) if private else None) if key]
        if keys:
            return any(not _fault(folder, manifest, signature, key) for key in keys)
    shown = git.shown(kept)
    return signature.read_bytes() == shown if shown else not (folder / SIGNATURE).exists()


def copy(source: Path, folder: Path) -> None:
    """Put the signature of a model beside its copy in `folder`, where it has one. Raises BadSignature where that is not sound."""
    manifest = manifests.read(source)
    kept = path(manifest["family"], manifest["digest"])
    if not kept.exists():
        return
    if _content(kept) != _content(source / SIGNATURE) and not _sound(kept, source, manifest):
        raise BadSignature(f"{kept} {UNKNOWN}. `make verify family={manifest['family']}` names the repair.")
    folders.write(folder / SIGNATURE, kept.read_text())


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None


def sign(folder: Path, key: Path) -> Path:
    """Sign a model folder, verified first, into registry/signatures/; where its signature lies. Raises BrokenModel or BadKey."""
    from model_signing import signing

    manifest = manifests.verified(folder)
    signer = _loaded(SIGNING, key, lambda: signing.Config().use_elliptic_key_signer(private_key=key))  # type: ignore[no-untyped-call]
    kept = path(manifest["family"], manifest["digest"])
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = kept.with_name(f".{kept.name}.draft-{os.getpid()}")
    try:
        signer.set_hashing_config(_hashing(folder, manifest)).sign(folder, draft)
        draft.rename(kept)
    finally:
        draft.unlink(missing_ok=True)
    return kept


def sign_all(family: str) -> Iterator[str]:
    """Sign every version of the ledger that is on this machine and has no signature of this key; in words, what was done with each.

    Raises BadKey where no private key is configured.
    """
    key = _key(SIGNING)
    if key is None:
        raise BadKey(
            f"{SIGNING} is not set, so nothing can be signed. `make keys` makes a pair; then {SIGNING}=<the private one> make sign."
        )
    from pipelines import registry  # which imports this module

    for number, line in ledger.versions(ledger.read(discovery.known(family))).items():
        try:
            yield f"{family} version {number}: {_signed_once(registry.served(line), key)}"
        except registry.ABSENT as absence:
            yield f"{family} version {number}: not signed. {absence}"
    if (challenger := stores.challenger(family)) and "absent" not in challenger:
        yield f"{family}, its challenger: {_signed_once(stores.location(challenger['tag']), key)}"
    for folder in stores.kept(family):
        with suppress(manifests.BrokenModel):  # which `make verify` tells
            _bring(folder, manifests.verified(folder))
            stores.example(folder, folder)


def _signed_once(folder: Path, key: Path) -> str:
    manifest = manifests.read(folder)
    kept = path(manifest["family"], manifest["digest"])
    with _public_half(key) as public:
        if kept.exists() and not _fault(folder, manifest, kept, public):
            return f"{kept} holds"
    return f"signed: {sign(folder, key)}"


@contextmanager
def _public_half(key: Path) -> Iterator[Path]:
    """The public key of a private one, as a file for as long as it is needed."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    private = _loaded(SIGNING, key, lambda: load_pem_private_key(key.read_bytes(), None))
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        file.flush()
        yield Path(file.name)


def make_keys(folder: Path) -> tuple[Path, Path]:
    """A new pair of P-256, (private, public); the private one is this user's alone to read. Raises BadKey where there is one already."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    private, public = (folder / name for name in KEYS)
    if private.exists():
        raise BadKey(
            f"{private} is there already, and what it has signed would not be trusted any more. Choose another folder: make keys to=..."
        )
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def main() -> None:
    """`sign --family NAME`, or `keys [--to FOLDER]`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("sign").add_argument("--family", required=True)
    commands.add_parser("keys").add_argument("--to", type=Path, default=paths.ROOT / "keys")
    asked = parser.parse_args()
    with errors.printed_once():
        if asked.command == "keys":
            private, public = make_keys(asked.to)
            print(f"{SIGNING}={private.absolute()}    for the machine that promotes, and nobody else")
            print(f"{VERIFYING}={public.absolute()}    for every machine that serves")
            return
        for words in sign_all(asked.family):
            print(words)
        print(f"Commit the signatures: git add {ROOT}")


if __name__ == "__main__":
    main()
