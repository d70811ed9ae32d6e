"""`make reproduce of=digits@champion`: train a version again from its manifest and record, and compare.

It happens in .store/reproduced/, with the code of the record's commit, a copy of the data and the manifest's configuration. A training
that was killed resumes when the same command is given again.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from pipelines import folders, git, paths
from pipelines.artifacts import cache
from pipelines.audit import replay
from pipelines.datasets import cards
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.lineage import starts
from pipelines.models import exports, manifests
from pipelines.registry import versions
from pipelines.tracking import client as tracking
from pipelines.training import records

FORMS = "digits@champion or digits@v1"
DIFFER = 3  # the exit code where the digests differ; 1 and 2 are those of errors and of bad arguments
COMPOSED = "import json, sys; from pipelines import configs; print(json.dumps(configs.compose(sys.argv[1:]).recipe()))"


class NotReproducible(ValueError):
    """A training that cannot be repeated: other data, another configuration, or code that fails."""


@dataclass(frozen=True)
class Finding:
    """A version and its second training: folder, digest, metrics and records of both, and how code and configuration differ.

    `differing` names the served files that are not the same bytes nor, for ONNX, the same network, and the manifest's input, output or
    preprocessing where they differ.
    """

    line: Line
    folder: Path
    digest: str
    differing: list[str]
    figures: dict[str, dict[str, float]]
    record: dict[str, Any]
    again: dict[str, Any]
    code: str
    added: list[str]

    @property
    def agrees(self) -> bool:
        return bool(self.digest == self.line["digest"])

    @property
    def differences(self) -> list[tuple[str, str, float, float]]:
        """(split, metric, then, now) of every metric that both have."""
        then = self.line["figures"]
        return [
            (split, metric, value, self.figures[split][metric])
            for split in ("valid", "test")
            for metric, value in then[split].items()
            if metric in self.figures[split]
        ]


def reproduce(of: str) -> Finding:
    """Train and evaluate a version again.

    Raises ledger.UnknownVersion, starts.UnknownStart, NotReproducible, or cache.NotHere with the remedy.
    """
    line = version(of)
    model = versions.model_folder(line)
    manifest, record = manifests.verified(model), records.read(model)
    config = manifest["config"]
    if config["run"] == "darknet":
        raise NotReproducible(
            f"{line['family']} version {line['version']} was trained by Darknet and imported, so it cannot be trained again here. "
            f"`make darknet-export candidate={line['candidate']} to=folder` writes what Darknet needs for that."
        )
    workspace = paths.ROOT / "reproduced" / f"{line['family']}-v{line['version']}"
    with folders.locked(workspace.with_suffix(".lock")):
        code = _code(line["commit"], record["code"], workspace)
        _data(line, workspace / "data" / line["family"])
        added = _write_run_config(config, workspace)
        for stage in ("train", "evaluate"):
            done = replay.python(workspace, "-m", f"pipelines.stages.{stage}", *_overrides(config))
            if done.returncode:
                raise NotReproducible(f"{stage} ended with {done.returncode}; its messages are above, its folder is {workspace}.")
        again = workspace / "models" / line["candidate"]
        report = json.loads((workspace / "reports" / line["family"] / "candidates" / f"{line['candidate']}.json").read_text())
        digest, other = manifests.verified(again)["digest"], _differing(model, again)
        figures = {split: report[split] for split in ("valid", "test")}
        return Finding(line, again, digest, other, figures, record, records.read(again), code, added)


def version(of: str) -> Line:
    """The promotion that `of` names. Raises ledger.UnknownVersion or starts.UnknownStart."""
    line = starts.version(of)
    if not line or not line.get("version"):
        raise ledger.UnknownVersion(f"of={of!r} is not a version. Say {FORMS}.")
    return line


def _code(commit: str | None, recorded: dict[str, str], workspace: Path) -> str:
    """Extract the commit's code, or copy the present one where the commit is not in this clone; which, and what differs."""
    if replay.extract_code(commit, workspace):
        words = f"commit {commit}"
    else:
        words = f"the present code, for commit {commit} is not in this clone" if commit else "the present code: it was trained outside git"
    other = _altered(workspace, recorded)
    return f"{words}; not as it was then: {', '.join(other)}" if other else f"{words}; all {len(recorded)} modules as they were then"


def _altered(folder: Path, sha256: dict[str, str]) -> list[str]:
    """The files that are missing or have another SHA-256."""
    return [name for name, digest in sha256.items() if not (folder / name).is_file() or folders.sha256(folder / name) != digest]


def _data(line: Line, folder: Path) -> None:
    """A copy of the data that the version was trained on, each file checked."""
    with folders.replacing(folder) as out:
        shutil.copytree(versions.data_folder(line), out, dirs_exist_ok=True)
        files = cards.read(out)["files"]
        wrong = _altered(out, files)
        if wrong or folders.hash_of(files) != line["data"]:
            raise NotReproducible(
                f"{', '.join(wrong) or cards.CARD} is not the data of {line['family']} version {line['version']}. "
                f"`dvc checkout --force data/{line['family']}` restores it from DVC's cache. {cache.fetching()}"
            )


def _write_run_config(config: dict[str, Any], workspace: Path) -> list[str]:
    """Write the manifest's configuration as a run, and check what the code composes of it; the keys that this code has added."""
    run = {key: value for key, value in config.items() if key not in {"family", "candidate"}}
    folders.write(workspace / "conf/run" / f"{config['run']}.yaml", "# @package _global_\n" + yaml.safe_dump(run, sort_keys=False))
    done = replay.python(workspace, "-c", COMPOSED, *_overrides(config), capture_output=True, text=True)
    if done.returncode:
        raise NotReproducible(f"this code does not take the recorded configuration: {done.stderr.strip()}")
    then, now = tracking.flat(config), tracking.flat(json.loads(done.stdout.splitlines()[-1]))
    if other := [f"{key}={now.get(key)!r}, which was {value!r}" for key, value in then.items() if key not in now or now[key] != value]:
        raise NotReproducible(f"this code reads the recorded configuration in another way: {'; '.join(other)}.")
    return [f"{key}={value!r}" for key, value in now.items() if key not in then]


def _differing(model: Path, again: Path) -> list[str]:
    """The names of what differs between two model folders, for Finding.differing."""
    then, now = (manifests.read(folder) for folder in (model, again))
    names = dict.fromkeys([*manifests.served(then), *manifests.served(now)])
    files = [name for name in names if not _same(model / name, again / name)]
    return files + [key for key in ("input", "output", "preprocessing") if then[key] != now[key]]


def _same(then: Path, now: Path) -> bool:
    if not (then.is_file() and now.is_file()):
        return False
    same_bytes = folders.sha256(then) == folders.sha256(now)
    return same_bytes or (then.suffix == ".onnx" and exports.fingerprint(then) == exports.fingerprint(now))


def _overrides(config: dict[str, Any]) -> list[str]:
    return [f"{key}={config[key]}" for key in ("family", "candidate", "run")]


def show(found: Finding) -> None:
    """Print whether the digests agree, or how far the metrics are apart; and what was not as it was then."""
    line, console = found.line, Console(width=max(110, Console().width))
    then, now = line["figures"]["seconds"]["train"], found.again["seconds"]["train"]
    version = f"{line['family']} version {line['version']} ({line['candidate']})"
    lines = [f"{version}, trained again in {now:.0f} s, then {then:.0f} s, with {found.code}."]
    lines += [f"Configuration that this code has added: {', '.join(found.added)}."] if found.added else []
    for name in ("versions", "hardware"):
        lines.append(f"{name.capitalize()}: {records.differing(found.record[name], found.again[name])}.")
    lines.append(f"Versions that packed the data: {_ingested(line, found.again['versions'])}.")
    console.print(*lines, sep="\n", highlight=False)
    if found.agrees:
        console.print(f"The digests agree: {found.digest}.", highlight=False)
    else:
        console.print(f"The digests differ: then {line['digest']}, now {found.digest}.", highlight=False)
        console.print(_comparison(found), _largest_difference(found), f"The second model is {found.folder}.", sep="\n", highlight=False)


def _comparison(found: Finding) -> Table | str:
    """A table of the metrics of both, or why there is nothing to compare."""
    if not found.differing:
        return "The networks are the same: every operation and weight agrees, only names inside the files differ."
    table = Table("split", "metric", "then", "now", "difference", title=f"not the same: {', '.join(found.differing)}")
    for split, metric, before, after in found.differences:
        table.add_row(split, metric, f"{before:.5f}", f"{after:.5f}", f"{after - before:+.5f}")
    return table


def _largest_difference(found: Finding) -> str:
    if not found.differences:
        return "The two have no metric in common."
    split, metric, before, after = max(found.differences, key=lambda row: abs(row[3] - row[2]))
    return f"The largest difference is {metric} on {split}: {after - before:+.5f}." if before != after else "No metric differs."


def _ingested(line: Line, now: dict[str, str]) -> str:
    """How the packages that packed the data differ from the present ones."""
    report = json.loads(git.committed(Path("reports", line["family"], "ingest.json")) or "{}")
    return records.differing(report["versions"], now) if report.get("data") == line["data"] else "not recorded"


def main(of: str) -> int:
    """Train again, compare, print; the exit code: 0 where the digests agree, 3 where they differ."""
    found = reproduce(of)
    show(found)
    return 0 if found.agrees else DIFFER
