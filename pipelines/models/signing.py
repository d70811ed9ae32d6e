"""Signatures of models by OpenSSF model-signing: whoever holds the private key has let this model pass.

MODEL_SIGNING_KEY names a private PEM key: this machine signs what it promotes. MODEL_VERIFYING_KEY names the public one: this machine
serves nothing that is unsigned or altered. Without them nothing is signed, nothing is asked, and nothing is imported.

A signature covers the served files and model.json, and nothing else: so the same one holds for the model folder, the store's copy, the
release and a bento, and through model.json, which names the SHA-256 of every file of a training, it speaks of the whole model folder.
It lies at registry/signatures/<family>/<digest>.sig, in git, and beside the model as model.sig.

Source of the format: https://github.com/sigstore/model-transparency (a Sigstore bundle around an in-toto statement).
"""

import base64
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines import folders
from pipelines.models import manifests

ROOT = Path("registry/signatures")
SIGNATURE = "model.sig"
SIGNING, VERIFYING = "MODEL_SIGNING_KEY", "MODEL_VERIFYING_KEY"
CURVES = "P-256, P-384 or P-521"
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
    if key := configured(VERIFYING):
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
    fault = fault_of(folder, manifest, signature, key)
    if fault:
        raise BadSignature(
            f"{signature} does not vouch for {folder}: {fault}. Is it the right key ({key})? If so, do not use this model. {remedy}"
        )


def _beside(folder: Path, manifest: manifests.Manifest) -> Path | None:
    """The signature of a folder: beside the model, or in git for a folder that was trained here."""
    places = [folder / SIGNATURE, path(manifest["family"], manifest["digest"])]
    return next((place for place in places if place.is_file()), None)


def fault_of(folder: Path, manifest: manifests.Manifest, signature: Path, key: Path) -> str | None:
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


def configured(variable: str) -> Path | None:
    return Path(os.environ[variable]) if os.environ.get(variable) else None


def _loaded(variable: str, key: Path, load: Callable[[], Any]) -> Any:
    """Whatever is done with a key, or BadKey with the remedy."""
    try:
        return load()
    except (OSError, ValueError, TypeError, AttributeError) as error:  # model_signing asks an RSA key for its curve
        kind = "private" if variable == SIGNING else "public"
        raise BadKey(f"{variable}={key} is no {kind} PEM key of an elliptic curve {CURVES} ({error}). `make keys` makes a pair.") from error


def sign(folder: Path, key: Path) -> Path:
    """Sign a model folder, verified first, into registry/signatures/; where its signature lies. Raises BrokenModel or BadKey."""
    from model_signing import signing

    manifest = manifests.verified(folder)
    signer = _loaded(SIGNING, key, lambda: signing.Config().use_elliptic_key_signer(private_key=key))  # type: ignore[no-untyped-call]
    kept = path(manifest["family"], manifest["digest"])
    with folders.drafted(kept) as draft:
        signer.set_hashing_config(_hashing(folder, manifest)).sign(folder, draft)
    return kept


@contextmanager
def public_half(key: Path) -> Iterator[Path]:
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
