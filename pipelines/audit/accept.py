"""`make accept candidate=digits-adam`: prove that changed code trains the same to the bit, then renew dvc.lock.

The code that dvc.lock names is taken from git and trains twice, from one seed, on one thread, with deterministic operations: these two
must agree. Then the present code trains, and every tensor it writes must be the same. The stages run on the family's embedded data, one
epoch of a few batches. The evidence is a line of registry/accepted.jsonl.
"""

import getpass
import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipelines import devices, discovery, folders, git
from pipelines.artifacts import lock
from pipelines.audit import replay
from pipelines.fingerprints import accepted, fingerprint
from pipelines.fingerprints.fingerprint import Code
from pipelines.models import tensors
from pipelines.stages import code as stage_code
from pipelines.training import records

FOLDER = Path(".store", "accepting")
STAGES = ("train", "evaluate")
SMALL = ("run=smoke", "data.sources=[embedded]", "data.limit=64")  # one epoch of a few batches
VARIES = {"digest", "hardware", "latency_ms", "seconds", "size_mb"}  # keys of a report; digest and size as exporters number names freely
DETERMINISTIC = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
SETUPS = {  # framework: what makes its training deterministic
    "torch": "import torch; torch.use_deterministic_algorithms(True, warn_only=True); torch.set_num_threads(1)",
    "tensorflow": "import tensorflow; tensorflow.config.experimental.enable_op_determinism()",
}
RUN = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"


class NothingToAccept(LookupError):
    """A candidate whose code is the one that dvc.lock names, or that was never trained."""


class NotAccepted(ValueError):
    """Changed code that computes something else than the code that dvc.lock names, or whose equality cannot be shown."""


@dataclass(frozen=True)
class Stale:
    """A stage of a candidate, the MD5 that dvc.lock names for the fingerprint of its code, and the present fingerprint."""

    candidate: str
    family: str
    stage: str
    locked: str
    now: str

    @property
    def path(self) -> Path:
        return fingerprint.report(self.family, self.stage)


def accept(candidate: str) -> list[dict[str, Any]]:
    """Prove the stale stages of a candidate, one process at a time, and renew dvc.lock; the evidence.

    Raises UnknownFamily, NothingToAccept, NotAccepted, BrokenLock, BrokenLog.
    """
    accepted.read()
    with folders.locked(FOLDER.with_suffix(".lock")):
        stale = list(changed(candidate))
        if not stale:
            raise NothingToAccept(f"The code of {candidate} is what {lock.LOCK} names: there is nothing to accept.")
        commit = recorded(stale)
        evidence = compare(candidate, commit, [each.stage for each in stale])
        trained = Code(stale[0].family, (FOLDER / stale[0].family).absolute())
        if edited := [each.stage for each in stale if trained.fingerprint(each.stage) != each.now]:
            raise NotAccepted(f"The code of {', '.join(edited)} was edited meanwhile. Nothing was changed; run the same command again.")
        lines = [_line(each, commit, evidence[each.stage]) for each in stale]
        for each, line in zip(stale, lines, strict=True):
            accepted.append(line)
            lock.renew(f"{each.stage}@{candidate}", each.path, each.now.encode())
        stage_code.main(stale[0].family)
        return lines


def changed(candidate: str) -> Iterator[Stale]:
    """The stages of a candidate whose code is not the one that dvc.lock names. Raises NothingToAccept."""
    family = discovery.family_of(candidate)
    code, locked = Code(family), lock.dependencies()
    for stage in STAGES:
        known = locked.get(f"{stage}@{candidate}", {}).get(fingerprint.report(family, stage).as_posix())
        if known is None and stage == "train":
            raise NothingToAccept(f"{candidate} was never trained, by {lock.LOCK}. `make train family={family}` trains it.")
        now = code.fingerprint(stage)
        if known and known != _md5(now.encode()):
            yield Stale(candidate, family, stage, known, now)


def recorded(stale: list[Stale]) -> str:
    """The newest commit that changed code or fingerprint and has the code that dvc.lock names. Raises NotAccepted."""
    history = git.output("log", "--format=%H", "HEAD", "--", "pipelines", *(each.path.as_posix() for each in stale)) or b""
    for commit in history.decode().split():
        shown = [git.output("show", f"{commit}:./{each.path.as_posix()}") or b"" for each in stale]
        if [_md5(content) for content in shown] == [each.locked for each in stale] and _fingerprints_match(commit, stale):
            return commit
    first = stale[0]
    raise NotAccepted(
        f"No commit of this branch holds the code that {lock.LOCK} names for {first.candidate} ({first.path}, MD5 {first.locked[:12]}). "
        f"In a shallow clone, `git fetch --unshallow` may find it; or train it with `make train family={first.family}`."
    )


def _fingerprints_match(commit: str, stale: list[Stale]) -> bool:
    """Does a commit's code, run by itself, give the fingerprints that dvc.lock names?"""
    folder = FOLDER / "recorded"
    shutil.rmtree(folder, ignore_errors=True)
    if not replay.extract_code(commit, folder):
        return False
    done = replay.python(folder, "-m", "pipelines.stages.code", f"family={stale[0].family}", capture_output=True)
    return done.returncode == 0 and all(_md5((folder / each.path).read_bytes()) == each.locked for each in stale)


def compare(candidate: str, commit: str, stages: list[str]) -> dict[str, dict[str, str]]:
    """{stage: {what it wrote: SHA-256}}, the same with the commit's code, twice, and with the present one. Raises NotAccepted."""
    family = discovery.family_of(candidate)
    folder = FOLDER / family
    replay.extract_code(None, folder)
    _run(folder, "ingest", family, [f"family={family}"])  # the embedded data, packed once
    ways = tqdm((commit, commit, None), f"{candidate}: recorded code twice, then present code", unit="training")
    first, again, now = (_outputs(candidate, way, folder, stages) for way in ways)
    _require_same(first, again, f"Two trainings with the code of {commit[:12]} differ, so equality cannot be shown")
    _require_same(first, now, f"The present code computes something else than that of {commit[:12]}")
    return first


def _outputs(candidate: str, commit: str | None, folder: Path, stages: list[str]) -> dict[str, dict[str, str]]:
    """Train, and evaluate where that is a stage, with the code of a commit or the present one; {stage: {what it wrote: SHA-256}}."""
    family, model = discovery.family_of(candidate), folder / "models" / candidate
    if replay.extract_code(commit, folder) is (commit is None):
        raise NotAccepted(f"Commit {commit} is not in this clone: `git fetch --unshallow`.")
    for left in (model, folder / "reports", folder / ".checkpoints"):
        shutil.rmtree(left, ignore_errors=True)
    for stage in STAGES if "evaluate" in stages else STAGES[:1]:
        _run(folder, stage, family, [f"family={family}", f"candidate={candidate}"])
    found = {"train": lambda: tensors.of_model(model), "evaluate": lambda: _report(folder / "reports" / family, candidate)}
    return {stage: found[stage]() for stage in stages}


def _run(folder: Path, stage: str, family: str, words: list[str]) -> None:
    start = f"{SETUPS[framework(family)]}; {RUN}" if stage == "train" else RUN
    few = getattr(discovery.part(family, "settings"), "FEW_STEPS", ()) if stage == "train" else ()
    asked = [f"pipelines.stages.{stage}", *words, *SMALL, *few]
    done = replay.python(folder, "-c", start, *asked, given=DETERMINISTIC, capture_output=True, text=True)
    if done.returncode:
        raise NotAccepted(f"{stage} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")


def framework(family: str) -> str:
    """The framework that a family's training imports."""
    targets = {target.partition(".")[0] for module in Code(family).closure("train").values() for target in module.targets}
    return next(name for name in SETUPS if name in targets)


def _report(folder: Path, candidate: str) -> dict[str, str]:
    """{file: SHA-256} of what evaluate wrote: the report without VARIES, plots, sheets."""
    report = json.loads((folder / "candidates" / f"{candidate}.json").read_text())
    steady = {key: value for key, value in report.items() if key not in VARIES}
    files = [path for name in ("plots", "sheets") for path in sorted((folder / name / candidate).rglob("*")) if path.is_file()]
    return {"report": folders.hash_of(steady), **{path.relative_to(folder).as_posix(): folders.sha256(path) for path in files}}


def _require_same(one: dict[str, dict[str, str]], other: dict[str, dict[str, str]], words: str) -> None:
    pairs = [(stage, name) for stage in one for name in {**one[stage], **other[stage]}]
    apart = [f"{stage}: {name}" for stage, name in pairs if one[stage].get(name) != other[stage].get(name)]
    if apart:
        raise NotAccepted(f"{words}: {', '.join(apart)}. Nothing was changed; train again.")


def _line(stale: Stale, commit: str, evidence: dict[str, str]) -> dict[str, Any]:
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "by": getpass.getuser(),
        "candidate": stale.candidate,
        "stage": stale.stage,
        "was": {"commit": commit, "md5": stale.locked},
        "now": {"md5": _md5(stale.now.encode()), "modules": json.loads(stale.now)["modules"]},
        "data": " ".join(SMALL),
        "same": evidence,
        "python": records.versions()["python"],
        "hardware": devices.hardware(),
    }


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def main(candidate: str) -> None:
    """Accept one candidate, or all that are stale."""
    if not (candidates := _candidates(candidate)):
        print(f"The code of every trained candidate is what {lock.LOCK} names: there is nothing to accept.")
    if rejected := [fault for each in candidates if (fault := _rejection(each))]:
        raise NotAccepted("\n".join(rejected))


def _rejection(candidate: str) -> str | None:
    """Accept a candidate and print it; the reason where that fails, so that the next ones are still tried."""
    try:
        for line in accept(candidate):
            print(f"{line['stage']}@{candidate}: the same to the bit, {len(line['same'])} parts; {accepted.LOG} says so.")
    except NotAccepted as fault:
        return f"{candidate}: {fault}"
    return None


def _candidates(candidate: str) -> list[str]:
    if candidate != "all":
        return [candidate]
    known = [name for family in discovery.names() for name in discovery.candidates(family)]
    return [name for name in known if f"train@{name}" in lock.dependencies() and list(changed(name))]
