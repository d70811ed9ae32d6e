"""The pipeline's own costs: a `dvc repro` with nothing to do, metrics logged, images packed."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks import harness

PICTURES = 60_000
NOTHING = "dvc repro with nothing to do"


def measure() -> Iterator[harness.Row]:
    """Seconds each."""
    with harness.optional(NOTHING):
        settled()
        found = harness.in_turn({"ours": lambda: harness.seconds(["dvc", "repro"])}, 5)
        yield harness.row(NOTHING, "s", "less", found["ours"])
    found = harness.in_turn({side: partial(_logged, side) for side in ("ours", "one by one", "a step at a time")}, 5)
    for peer in ("one by one", "a step at a time"):
        yield harness.row(f"1,000 metrics logged: {peer}", "s", "less", found["ours"], found[peer])
    found = harness.in_turn({"ours": partial(_added, packed), "peer": partial(_added, files)}, 3)
    yield harness.row(f"{PICTURES:,} pictures written and added to DVC: a file each", "s", "less", found["ours"], found["peer"])


def settled() -> None:
    """Is every stage up to date? Otherwise `dvc repro` would train. Raises Absent, naming one of them."""
    status = json.loads(subprocess.run(["dvc", "status", "--json"], capture_output=True, text=True, check=True).stdout)
    stale = [stage for stage, why in status.items() if why != ["always changed"]]
    if stale:
        stages = f"{len(stale)} stages, such as {stale[0]}"
        raise harness.Absent(f"`dvc repro` would run {stages}. Let it (dvc repro), then measure how long nothing takes.")


def _logged(side: str) -> float:
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run([sys.executable, "-m", "benchmarks.logged", side, scratch], capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def _added(write: Callable[[Path], None]) -> float:
    """Seconds to write the images in a new DVC project and to `dvc add` them."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(["dvc", "init", "--no-scm", "-q"], cwd=scratch, check=True)
        Path(scratch, "data").mkdir()
        begun = time.perf_counter()
        write(Path(scratch, "data"))
        return time.perf_counter() - begun + harness.seconds(["dvc", "add", "data", "-q"], cwd=scratch)


@lru_cache
def pictures() -> np.ndarray:
    """[60000, 28, 28], all different."""
    return np.random.default_rng(1).integers(0, 256, (PICTURES, 28, 28), np.uint8)


def packed(folder: Path) -> None:
    """As Atelier packs them: one array."""
    np.save(folder / "train-images.npy", pictures())


def files(folder: Path) -> None:
    """The usual way: a file each."""
    for number, picture in enumerate(tqdm(pictures(), desc="writing", leave=False)):
        (folder / f"{number}.raw").write_bytes(picture.tobytes())
