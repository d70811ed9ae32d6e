"""Signatures of models by OpenSSF model-signing.

MODEL_SIGNING_KEY names a private PEM key: this machine signs what it promotes. MODEL_VERIFYING_KEY names the public one: this machine
serves nothing that is unsigned or altered. Without them nothing is signed, checked or imported.

A signature covers the served files and model.json, so that it is valid for the model folder, the copy in the store, the release and a
bento. It is registry/signatures/<family>/<digest>.sig, in git, and model.sig beside the model.

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
    """A model without a signature, where one is required."""


class BadSignature(ValueError):
    """A signature by another key or for another model, or an altered signature or model."""


class BadKey(ValueError):
    """A missing key, or one that cannot sign models."""


def path(family: str, digest: str) -> Path:
    """The signature of a model in git."""
    return ROOT / family / f"{digest}.sig"


def check(folder: Path) -> None:
    """Check a model folder against MODEL_VERIFYING_KEY, where that is set. Raises Unsigned, BadSignature or BadKey."""
    if key := configured(VERIFYING):
        verified(folder, key)


def trusted(folder: Path) -> bool:
    """Does check() pass? Raises BadKey."""
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
        raise Unsigned(f"{folder} is not signed; {VERIFYING}={key} requires a signature. {remedy}")
    if fault := fault_of(folder, manifest, signature, key):
        raise BadSignature(f"{signature} is not valid for {folder} and {key}: {fault}. If the key is right, do not use it. {remedy}")


def _beside(folder: Path, manifest: manifests.Manifest) -> Path | None:
    """The signature of a folder: beside the model, or in git where it was trained here."""
    places = [folder / SIGNATURE, path(manifest["family"], manifest["digest"])]
    return next((place for place in places if place.is_file()), None)


def fault_of(folder: Path, manifest: manifests.Manifest, signature: Path, key: Path) -> str | None:
    """What is wrong with a signature; None where it is valid."""
    from cryptography.exceptions import InvalidSignature
    from model_signing import verifying

    verifier = _loaded(VERIFYING, key, lambda: verifying.Config().use_elliptic_key_verifier(public_key=key))  # type: ignore[no-untyped-call]
    try:
        verifier.set_hashing_config(_hashing(folder, manifest)).verify(folder, signature)
        missing = _covered(manifest) - named(signature)
    except InvalidSignature:
        return "it was altered, or made by another key"
    except (ValueError, KeyError, TypeError, IndexError, OSError) as error:
        return _short(str(error))
    return f"it does not cover {', '.join(sorted(missing))}" if missing else None


def _short(words: str) -> str:
    """The message of model_signing without the bytes of the hashes."""
    altered = re.findall(r"Hash mismatch for \\*'([^'\\]+)", words)
    return f"{', '.join(altered)} is not what was signed" if altered else " ".join(words.split())[:300].rstrip(". ")


def _covered(manifest: manifests.Manifest) -> set[str]:
    return {*manifests.served(manifest), manifests.MANIFEST}


def _hashing(folder: Path, manifest: manifests.Manifest) -> Any:
    """The hashing of model_signing over the served files and the manifest alone."""
    from model_signing import hashing

    files = {found.relative_to(folder).as_posix() for found in folder.rglob("*") if found.is_file()}
    return hashing.Config().set_ignored_paths(paths=sorted(files - _covered(manifest)), ignore_git_paths=False).set_allow_symlinks(True)  # type: ignore[no-untyped-call]


def named(signature: Path) -> set[str]:
    """The files that a signature covers. Raises KeyError or ValueError."""
    statement = json.loads(base64.b64decode(json.loads(signature.read_text())["dsseEnvelope"]["payload"]))
    return {resource["name"] for resource in statement["predicate"]["resources"]}


def configured(variable: str) -> Path | None:
    """The key that an environment variable names."""
    return Path(os.environ[variable]) if os.environ.get(variable) else None


def _loaded(variable: str, key: Path, load: Callable[[], Any]) -> Any:
    """load(), its errors as BadKey."""
    try:
        return load()
    except (OSError, ValueError, TypeError, AttributeError) as error:  # model_signing asks an RSA key for its curve
        kind = "private" if variable == SIGNING else "public"
        raise BadKey(f"{variable}={key} is no {kind} PEM key of an elliptic curve {CURVES} ({error}). `make keys` makes a pair.") from error


def sign(folder: Path, key: Path) -> Path:
    """Verify and sign a model folder; returns the signature, in registry/signatures/. Raises BrokenModel or BadKey."""
    from model_signing import signing

    manifest = manifests.verified(folder)
    signer = _loaded(SIGNING, key, lambda: signing.Config().use_elliptic_key_signer(private_key=key))  # type: ignore[no-untyped-call]
    signature = path(manifest["family"], manifest["digest"])
    with folders.drafted(signature) as draft:
        signer.set_hashing_config(_hashing(folder, manifest)).sign(folder, draft)
    return signature


@contextmanager
def public_half(key: Path) -> Iterator[Path]:
    """The public key of a private one, as a temporary file."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    private = _loaded(SIGNING, key, lambda: load_pem_private_key(key.read_bytes(), None))
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        file.flush()
        yield Path(file.name)


def make_keys(folder: Path) -> tuple[Path, Path]:
    """A new pair of P-256, (private, public); only this user may read the private one. Raises BadKey where it exists."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    private, public = (folder / name for name in KEYS)
    if private.exists():
        raise BadKey(f"{private} exists; its signatures would become invalid. Choose another folder: make keys to=...")
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public
