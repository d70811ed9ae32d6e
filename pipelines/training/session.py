"""A training with its key, epochs and checkpoint; when killed, it resumes after its last epoch.

Its folder is below .checkpoints/, as DVC deletes the outputs of a stage before each run, named by the hash of recipe, data and code.
"""

import json
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines import folders
from pipelines.configs import Config

ROOT = Path(".checkpoints")
HISTORY = "history.jsonl"
Epoch = dict[str, float]


class Training:
    """`key` identifies it; `history` has a row for each finished epoch; `checkpoint` is the folder of the last one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key, self.started = _identity(folder / "training.json")
        self.checkpoint = max(folder.glob("epoch-*"), default=None)
        self.history = read_history(self.checkpoint) if self.checkpoint else []
        self.listen: Callable[[Epoch], None] = lambda _: None
        self._since = time.perf_counter()

    def remaining(self, epochs: int) -> range:
        """The numbers, from 1, of the epochs of `epochs` that are still to be trained."""
        return range(len(self.history) + 1, epochs + 1)

    def epoch(self, figures: dict[str, float], save: Callable[[Path], None]) -> None:
        """Finish an epoch: `save` writes its weights; they and the figures become the checkpoint in one rename."""
        now = time.perf_counter()
        row = {"epoch": len(self.history) + 1, "seconds": now - self._since, **{name: float(value) for name, value in figures.items()}}
        self.history.append(row)
        self._checkpoint(save)
        saved = time.perf_counter()
        self.listen(row)
        self._since = time.perf_counter()
        row |= {"checkpoint_seconds": saved - now, "logging_seconds": self._since - saved}

    def _checkpoint(self, save: Callable[[Path], None]) -> None:
        old, new = self.checkpoint, self.folder / f"epoch-{len(self.history):06}"
        with folders.replacing(new) as draft:
            save(draft)
            write_history(draft, self.history)
        self.checkpoint = new
        if old:
            shutil.rmtree(old)

    def seconds(self) -> dict[str, float]:
        """{"train", "checkpoint", "logging"} over all epochs, also those before a kill; train includes the others."""
        parts = {name: sum(row.get(f"{name}_seconds", 0.0) for row in self.history) for name in ("checkpoint", "logging")}
        work = sum(row["seconds"] for row in self.history)
        return {"train": work + sum(parts.values()) + time.perf_counter() - self._since, **parts}

    def finish(self) -> None:
        """Delete the checkpoint, once the model folder is complete."""
        shutil.rmtree(self.folder)


def _identity(path: Path) -> tuple[str, float]:
    if not path.exists():
        folders.write_json(path, {"key": uuid.uuid4().hex[:16], "started": time.time()})
    known = json.loads(path.read_text())
    return known["key"], known["started"]


def under_way(cfg: Config, data: str, code: str) -> Training:
    """The training of this recipe on this data with the code of this fingerprint, new or resumed."""
    return Training(ROOT / f"{cfg.candidate}-{folders.hash_of([cfg.recipe(), data, code])[:16]}")


def read_history(folder: Path) -> list[Epoch]:
    """The rows of history.jsonl."""
    return [json.loads(line) for line in (folder / HISTORY).read_text().splitlines()]


def write_history(folder: Path, history: list[Any]) -> None:
    """Write history.jsonl, a row an epoch."""
    folders.write(folder / HISTORY, "".join(f"{json.dumps(row)}\n" for row in history))
