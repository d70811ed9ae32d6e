"""Where a pretrained TrOCR lies: a person's own folder, or what the hub holds, fetched once and then read without a network."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from pipelines import folders
from pipelines.families.ocr.settings import Model
from pipelines.training.pretrained import MissingWeights

WEIGHTS = "model.safetensors"
FILES = ["*.json", "*.model", "*.txt", WEIGHTS]  # configuration, tokenizer and weights; never the pickled ones


def folder(cfg: Model) -> Path:
    """The folder that `weights` names, as save_pretrained writes it. Raises MissingWeights where it is not there or another one."""
    found = _fetched(cfg) if cfg.weights == "hub" else _own(Path(cfg.weights))
    path = found / WEIGHTS
    if not path.is_file():
        raise MissingWeights(f"model.weights={cfg.weights}: {_called(cfg, found)} has no {WEIGHTS}. {_remedy(cfg)}")
    if cfg.weights_sha256 and (sha256 := folders.sha256(path)) != cfg.weights_sha256:
        raise MissingWeights(
            f"model.weights={cfg.weights}: {_called(cfg, path)} has SHA-256 {sha256}; model.weights_sha256 is {cfg.weights_sha256}. "
            "Name the one that has it, 'hub' or 'none'."
        )
    return found


def _own(path: Path) -> Path:
    """A folder, or the folder of its weights."""
    return path.parent if path.name == WEIGHTS else path


def _called(cfg: Model, path: Path) -> str:
    return f"{cfg.hub} at {cfg.revision}" if cfg.weights == "hub" else str(path)


def _remedy(cfg: Model) -> str:
    if cfg.weights == "hub":
        return "Pickled weights are not read: set model.revision to one that has it, such as refs/pr/1, or model.hub to another name."
    return "Name a folder that save_pretrained wrote, 'hub' or 'none'."


def _fetched(cfg: Model) -> Path:
    """The hub's folder in this machine's cache (HF_HOME): what is there whole is not asked for again."""
    try:
        return _snapshot(cfg, True)
    except LocalEntryNotFoundError:
        pass
    try:
        return _snapshot(cfg, False)
    except (HfHubHTTPError, OSError, ValueError) as error:
        words = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise MissingWeights(
            f"model.weights=hub: {cfg.hub} at {cfg.revision} is not in the cache and could not be fetched ({words[0]}). "
            "Connect to the network (and unset HF_HUB_OFFLINE), set model.weights to a folder that holds it, or to none."
        ) from error


def _snapshot(cfg: Model, cached: bool) -> Path:
    return Path(snapshot_download(cfg.hub, revision=cfg.revision, allow_patterns=FILES, local_files_only=cached))
