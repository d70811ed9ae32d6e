"""`make release`: the champion's served files in released/<family>/, in git, for machines that have trained nothing."""

from pathlib import Path
from typing import Any

from pipelines import discovery, folders, paths
from pipelines.artifacts import copies, lock
from pipelines.datasets import cards
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.models import checksums, manifests, selfcheck
from pipelines.registry import modelcards, signatures, store, versions
from pipelines.training import records

ROOT = paths.RELEASED
LIMIT_MB = 50  # in git
RELEASE = "release.json"


class NotReleased(ValueError):
    """There is no champion, it is larger than LIMIT_MB, or a file of it is damaged."""


def release(family: str) -> dict[str, Any]:
    """Copy the champion's served files, card, example and signature to released/<family>/; release.json, written last, names every file.

    Raises NotReleased or BadSignature.
    """
    line = ledger.champion(ledger.read(discovery.validate(family)))
    if line is None:
        raise NotReleased(f"{family} has no champion to release. Train one with `make train family={family}`.")
    source = versions.served_folder(line)
    manifest = manifests.verified(source)
    if manifests.served_bytes(manifest) > LIMIT_MB * 1e6:
        raise NotReleased(f"{family} serves {manifests.served_bytes(manifest) / 1e6:.1f} MB; a release holds at most {LIMIT_MB} MB.")
    data = versions.data_folder(line)
    if wrong := _wrong(source, data, line):
        words = f"Missing or altered: {', '.join(map(str, wrong))}. Nothing was released."
        raise NotReleased(f"{words} `make verify family={family}` names the repair.")
    with folders.replacing(ROOT / family) as out:
        store.copy_served(source, out, manifest)
        folders.write_json(out / cards.CARD, cards.read(data))
        modelcards.write(out, line, data)
        selfcheck.copy(source, out)
        signatures.copy(source, out)
        facts = {key: line[key] for key in ("family", "candidate", "version", "digest", "data", "commit", "time", "hash")}
        facts["files"] = {path.relative_to(out).as_posix(): folders.sha256(path) for path in checksums.files(out)}
        folders.write_json(out / RELEASE, {**facts, checksums.SUM: folders.hash_of(facts)})
    return facts


def _wrong(source: Path, data: Path, line: Line) -> list[Path]:
    """Files of the model that differ from its SHA256SUMS, or a complete folder's from DVC's hash; and of the data's two cards."""
    dvc, data_dvc = line["dvc"] if (source / records.RECORD).is_file() else None, lock.hash_of(data) or line["data_dvc"]
    model = [source / name for name in copies.altered(copies.of_folder(source), checksums.read(source), dvc)]
    packed = copies.of_folder(data)
    return model + [data / name for name in (cards.CARD, cards.CROISSANT) if data_dvc and not copies.is_listed(packed, name, data_dvc)]


def main(family: str) -> None:
    """Release the champion of one family."""
    facts = release(family)
    megabytes = sum(path.stat().st_size for path in Path(ROOT, family).rglob("*")) / 1e6
    print(f"released/{family}: version {facts['version']} ({facts['candidate']}), {megabytes:.2f} MB. Commit it: git add released")
