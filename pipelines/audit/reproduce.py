"""`make reproduce of=digits@champion`: train a version again from its manifest and record, and say how near that comes.

It happens in .store/reproduced/, with the code of the record's commit, a copy of the data and the manifest's whole configuration;
of the project itself nothing changes. A training that was killed goes on where it was when the same command is given again.
"""

import argparse
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from pipelines import errors, folders, git, paths
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
DIFFER = 3  # the exit code where the second training gives another digest; 1 and 2 are those of errors and of wrong words
COMPOSED = "import json, sys; from pipelines import configs; print(json.dumps(configs.compose(sys.argv[1:]).recipe()))"


class NotReproducible(ValueError):
    """A training that cannot be done again as it was: other data, another configuration, or code that fails."""


@dataclass(frozen=True)
class Finding:
    """A version and its second training: digest, metrics and records of both, and how code and choices differ.

    `differing` names the served files that are not the same to the byte and, of ONNX files, not the same network either, and which of
    the manifest's input, output and preprocessing are not.
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
    def apart(self) -> list[tuple[str, str, float, float]]:
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

    Raises ledger.UnknownVersion, starts.UnknownPlace, NotReproducible, or cache.NotHere with the remedy.
    """
    line = version(of)
    model = versions.model_folder(line)
    manifest, record = manifests.verified(model), records.read(model)
    _trained_here(line, manifest["config"])
    place = paths.ROOT / "reproduced" / f"{line['family']}-v{line['version']}"
    with folders.locked(place.with_suffix(".lock")):
        code = _code(line["commit"], record["code"], place)
        _data(line, place / "data" / line["family"])
        added = _configured(manifest["config"], place)
        for stage in ("train", "evaluate"):
            _run(place, stage, manifest["config"])
        again = place / "models" / line["candidate"]
        report = json.loads((place / "reports" / line["family"] / "candidates" / f"{line['candidate']}.json").read_text())
        digest, other = manifests.verified(again)["digest"], _differing(model, again)
        figures = {split: report[split] for split in ("valid", "test")}
        return Finding(line, again, digest, other, figures, record, records.read(again), code, added)


def version(of: str) -> Line:
    """The promotion that `of` names. Raises ledger.UnknownVersion, naming those there are, or starts.UnknownPlace."""
    line = starts.version(of)
    if not line or not line.get("version"):
        raise ledger.UnknownVersion(f"of={of!r} is not a version. Say {FORMS}.")
    return line


def _trained_here(line: Line, config: dict[str, Any]) -> None:
    """Refuse what another program has trained: its name stands where the run's does."""
    if config["run"] == "darknet":
        raise NotReproducible(
            f"{line['family']} version {line['version']} was trained by Darknet and came by `make darknet-import`; "
            f"another framework's training says nothing of it. `make darknet-export candidate={line['candidate']} to=folder` "
            "writes what Darknet needs to train it again."
        )


def _code(commit: str | None, recorded: dict[str, str], place: Path) -> str:
    """Put the commit's code there, or the present one where the commit is not in this clone; say which, and what differs."""
    if replay.lay(commit, place):
        words = f"commit {commit}"
    else:
        words = f"the present code, for commit {commit} is not in this clone" if commit else "the present code: it was trained outside git"
    other = [name for name, sha256 in recorded.items() if not (place / name).is_file() or folders.sha256(place / name) != sha256]
    return f"{words}; not as it was then: {', '.join(other)}" if other else f"{words}; all {len(recorded)} modules as they were then"


def _data(line: Line, folder: Path) -> None:
    """A copy of the data that the version was trained on, each file checked."""
    with folders.replacing(folder) as out:
        shutil.copytree(versions.data_folder(line), out, dirs_exist_ok=True)
        card = cards.read(out)
        wrong = [name for name, sha256 in card["files"].items() if not (out / name).is_file() or folders.sha256(out / name) != sha256]
        if wrong or folders.hash_of(card["files"]) != line["data"]:
            raise NotReproducible(
                f"{', '.join(wrong) or cards.CARD} is not the data of {line['family']} version {line['version']}. "
                f"`dvc checkout --force data/{line['family']}`, or `make rebuild`, brings it back."
            )


def _configured(config: dict[str, Any], place: Path) -> list[str]:
    """Lay the manifest's whole configuration over the pages, and hold what comes of it against the manifest; what the code has added."""
    page = {key: value for key, value in config.items() if key not in {"family", "candidate"}}
    folders.write(place / "conf/run" / f"{config['run']}.yaml", "# @package _global_\n" + yaml.safe_dump(page, sort_keys=False))
    done = replay.python(place, "-c", COMPOSED, *_words(config), capture_output=True, text=True)
    if done.returncode:
        raise NotReproducible(f"this code does not take the configuration of then: {done.stderr.strip()}")
    then, now = tracking.flat(config), tracking.flat(json.loads(done.stdout.splitlines()[-1]))
    other = [
        f"{key}={now.get(key)!r}, which was {value!r}" for key, value in then.items() if now.get(key, value) != value or key not in now
    ]
    if other:
        raise NotReproducible(f"this code reads the configuration of then in another way: {'; '.join(other)}.")
    return [f"{key}={value!r}" for key, value in now.items() if key not in then]


def _differing(model: Path, again: Path) -> list[str]:
    """The served files that are not the same, to the byte or, of ONNX files, as networks; and what else the digest is of."""
    then, now = (manifests.read(folder) for folder in (model, again))
    names = dict.fromkeys([*manifests.served(then), *manifests.served(now)])
    files = [name for name in names if not _same(model / name, again / name)]
    return files + [key for key in ("input", "output", "preprocessing") if then[key] != now[key]]


def _same(then: Path, now: Path) -> bool:
    if not (then.is_file() and now.is_file()):
        return False
    if folders.sha256(then) == folders.sha256(now):
        return True
    return then.suffix == ".onnx" and exports.fingerprint(then) == exports.fingerprint(now)


def _words(config: dict[str, Any]) -> list[str]:
    return [f"{key}={config[key]}" for key in ("family", "candidate", "run")]


def _run(place: Path, stage: str, config: dict[str, Any]) -> None:
    """One stage, its words on this terminal."""
    done = replay.python(place, "-m", f"pipelines.stages.{stage}", *_words(config))
    if done.returncode:
        raise NotReproducible(f"{stage} ended with {done.returncode}; what it said stands above. Its folder is {place}.")


def show(found: Finding) -> None:
    """Do the digests agree, or how far are the metrics apart; and what was not as it was then."""
    line, console = found.line, Console(width=max(110, Console().width))
    then, now = line["figures"]["seconds"]["train"], found.again["seconds"]["train"]
    told = f"{line['family']} version {line['version']} ({line['candidate']})"
    lines = [f"{told}, trained again in {now:.0f} s, then {then:.0f} s, with {found.code}."]
    lines += [f"Choices that this code has added: {', '.join(found.added)}."] if found.added else []
    for name in ("versions", "hardware"):
        lines.append(f"{name.capitalize()}: {records.differing(found.record[name], found.again[name])}.")
    lines.append(f"Versions that packed the data: {_ingested(line, found.again['versions'])}.")
    console.print(*lines, sep="\n", highlight=False)
    if found.agrees:
        console.print(f"The digests agree: {found.digest}.", highlight=False)
    else:
        console.print(f"The digests differ: then {line['digest']}, now {found.digest}.", highlight=False)
        console.print(_apart(found), _farthest(found), f"The second model is {found.folder}.", sep="\n", highlight=False)


def _apart(found: Finding) -> Table | str:
    """The metrics of both, or why there is nothing to compare."""
    if not found.differing:
        return "The networks do not: every operation and every weight is the same, and only the names in the files are others."
    table = Table("split", "metric", "then", "now", "apart", title=f"not the same: {', '.join(found.differing)}")
    for split, metric, before, after in found.apart:
        table.add_row(split, metric, f"{before:.5f}", f"{after:.5f}", f"{after - before:+.5f}")
    return table


def _farthest(found: Finding) -> str:
    if not found.apart:
        return "The two have no metric in common."
    split, metric, before, after = max(found.apart, key=lambda row: abs(row[3] - row[2]))
    return f"The farthest apart is {metric} on {split}: {after - before:+.5f}." if before != after else "No metric differs."


def _ingested(line: Line, now: dict[str, str]) -> str:
    """How the packages that packed the data differ from those of now, where that is recorded."""
    report = json.loads(git.committed(Path("reports", line["family"], "ingest.json")) or "{}")
    if report.get("data") != line["data"]:
        return "what packed the data is not recorded"
    return records.differing(report["versions"], now)


def main() -> None:
    """Train again, compare, print; exit 3 where the digests differ."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=f"Exit code: 0 where the digests agree, {DIFFER} where they differ.")
    parser.add_argument("of", help=FORMS)
    asked = parser.parse_args()
    with errors.printed_once():
        found = reproduce(asked.of)
        show(found)
    sys.exit(0 if found.agrees else DIFFER)


if __name__ == "__main__":
    main()
