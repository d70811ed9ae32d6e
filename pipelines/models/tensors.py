"""Hashes of the tensors in the files of a model, without times and names of nodes, which vary between exports."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

from pipelines.models import exports, manifests

STEADY = ("input", "output", "preprocessing")  # of the manifest


def of_model(folder: Path) -> dict[str, str]:
    """{file or key of the manifest: SHA-256 of its content}. Raises BrokenModel."""
    manifest = manifests.verified(folder)
    files = {name: content(folder / name) for name in manifest["files"]}
    return files | {key: hashlib.sha256(json.dumps(manifest[key], sort_keys=True).encode()).hexdigest() for key in STEADY}


def content(path: Path) -> str:
    """SHA-256 of the tensors of an ONNX or Keras file, and of all bytes of any other."""
    if path.suffix == ".onnx":
        return exports.fingerprint(path)
    return _keras(path) if path.suffix == ".keras" else hashlib.sha256(path.read_bytes()).hexdigest()


def _keras(path: Path) -> str:
    """Over names and values of all arrays, of the optimizer too; other files in it hold times and addresses in memory."""
    import h5py  # a dependency of Keras, which one family needs

    digest = hashlib.sha256()

    def add(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            digest.update(f"{name} {item.dtype} {item.shape}".encode() + item[()].tobytes())

    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
        weights.visititems(add)
    return digest.hexdigest()
