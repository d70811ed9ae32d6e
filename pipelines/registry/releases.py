"""released/<family>/: what the champion serves, small, in git, so that a machine that has trained nothing can answer."""

import argparse
import shutil
from pathlib import Path
from typing import Any

from pipelines import discovery, errors, folders, paths
from pipelines.artifacts import copies, lock
from pipelines.datasets import cards
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.models import checksums, manifests, selfcheck
from pipelines.registry import modelcards, signatures, versions
from pipelines.training import records

ROOT = paths.RELEASED
LIMIT_MB = 50
RELEASE = "release.json"


class TooLarge(ValueError):
    """More than git should carry."""


class NothingToRelease(LookupError):
    """There is no champion."""


class Damaged(ValueError):
    """A file that a release would vouch for, and that is not as it was written."""


def release(family: str) -> dict[str, Any]:
    """Copy what the champion serves, its card, example and signature to released/<family>/; release.json, written last, names every file.

    Raises TooLarge, NothingToRelease, Damaged or BadSignature.
    """
    line = ledger.champion(ledger.read(discovery.validate(family)))
    if line is None:
        raise NothingToRelease(f"{family} has no champion to release. Train one with `make train family={family}`.")
    source = versions.served_folder(line)
    manifest = manifests.verified(source)
    if manifests.served_bytes(manifest) > LIMIT_MB * 1e6:
        raise TooLarge(f"{family} serves {manifests.served_bytes(manifest) / 1e6:.1f} MB; a release holds at most {LIMIT_MB} MB.")
    data = versions.data_folder(line)
    if wrong := [*_wrong_in_model(source, line), *_wrong_in_data(data, line)]:
        words = f"Missing, or not as it was written: {', '.join(map(str, wrong))}. Nothing was released."
        raise Damaged(f"{words} `make verify family={family}` names the repair.")
    with folders.replacing(ROOT / family) as out:
        for name in [*manifests.served(manifest), manifests.MANIFEST]:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, out / name)
        folders.write_json(out / cards.CARD, cards.read(data))
        modelcards.write(out, line, data)
        selfcheck.bring(source, out)
        signatures.copy(source, out)
        facts = {key: line[key] for key in ("family", "candidate", "version", "digest", "data", "commit", "time", "hash")}
        facts["files"] = {path.relative_to(out).as_posix(): folders.sha256(path) for path in checksums.files(out)}
        folders.write_json(out / RELEASE, {**facts, checksums.SUM: folders.hash_of(facts)})
    return facts


def _wrong_in_model(source: Path, line: Line) -> list[Path]:
    """By its sums in the store, by DVC's hash the whole folder; an earlier release has its own list, which `make verify` reads."""
    dvc = line["dvc"] if (source / records.RECORD).is_file() else None
    return [source / name for name in copies.wrong(copies.of_folder(source), checksums.read(source), dvc)]


def _wrong_in_data(data: Path, line: Line) -> list[Path]:
    """Of the data itself nothing is released: its card is, in two forms."""
    packed, dvc = copies.of_folder(data), lock.hash_of(data) or line["data_dvc"]
    return [data / name for name in (cards.CARD, cards.CROISSANT) if dvc and not copies.listed(packed, name, dvc)]


def main() -> None:
    """Release the champion of one family."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--family", required=True)
    asked = parser.parse_args()
    with errors.printed_once():
        facts = release(asked.family)
        megabytes = sum(path.stat().st_size for path in Path(ROOT, asked.family).rglob("*")) / 1e6
        print(
            f"released/{asked.family}: version {facts['version']} ({facts['candidate']}), {megabytes:.2f} MB. Commit it: git add released"
        )


if __name__ == "__main__":
    main()
