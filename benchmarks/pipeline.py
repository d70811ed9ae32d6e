"""The pipeline's own costs: a `dvc repro` with nothing to do, metrics logged, pictures packed."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks import harness

PICTURES = 60_000


def measure() -> Iterator[harness.Row]:
    """Seconds each."""
    found = harness.in_turn({"ours": lambda: harness.seconds(["dvc", "repro"])}, 5)
    yield harness.row("dvc repro with nothing to do", "s", "less", found["ours"])
    found = harness.in_turn({"ours": lambda: _logged("ours"), "peer": lambda: _logged("peer")}, 5)
    yield harness.row("1,000 metrics logged: one by one", "s", "less", found["ours"], found["peer"])
    found = harness.in_turn({"ours": _added(packed), "peer": _added(files)}, 3)
    yield harness.row(f"{PICTURES:,} pictures into DVC: dvc add of files", "s", "less", found["ours"], found["peer"])


def _logged(side: str) -> float:
    with tempfile.TemporaryDirectory() as room:
        done = subprocess.run([sys.executable, "-m", "benchmarks.logged", side, room], capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def _added(write: Callable[[Path], None]) -> Callable[[], float]:
    """Write the pictures in a fresh DVC project, then time `dvc add`."""

    def add() -> float:
        with tempfile.TemporaryDirectory() as room:
            subprocess.run(["dvc", "init", "--no-scm", "-q"], cwd=room, check=True)
            Path(room, "data").mkdir()
            write(Path(room, "data"))
            return harness.seconds(["dvc", "add", "data", "-q"], cwd=room)

    return add


def pictures() -> np.ndarray:
    """[60000, 28, 28], all different."""
    return np.random.default_rng(1).integers(0, 256, (PICTURES, 28, 28), np.uint8)


def packed(folder: Path) -> None:
    """As Atelier packs them: one array."""
    np.save(folder / "train-images.npy", pictures())


def files(folder: Path) -> None:
    """As most people keep them: a file each."""
    for number, picture in enumerate(tqdm(pictures(), desc="writing", leave=False)):
        (folder / f"{number}.raw").write_bytes(picture.tobytes())
