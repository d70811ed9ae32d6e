"""`make challenge family=digits candidate=digits-adam share=0.2`: a model that answers beside the champion, unseen, to be held against it.

A challenge is a line of the ledger; store and pointer follow it, and services follow the pointer. What the two say of the same
requests is counted in the prediction store, for each pair of digests. `candidate=none` ends it; so does becoming the champion.
"""

import argparse
import getpass
from pathlib import Path
from typing import Any

from pipelines import configs, discovery, errors, folders
from pipelines.artifacts import lock
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.models import manifests
from pipelines.registry import gate, reconcile, versions
from pipelines.training import records

NONE = "none"


class BadChallenge(ValueError):
    """A challenger that cannot stand beside this champion, or a share that is none."""


def challenge(family: str, candidate: str, share: float | None = None) -> Line | None:
    """Let a candidate, or nobody, challenge the champion; the line of the ledger, or None where nobody did and nobody does.

    `share` of the requests is given to it too; without one, as much as the family's page says. Raises BadChallenge or BrokenModel.
    """
    lines = ledger.read(discovery.validate(family))
    if candidate == NONE:
        return _ended(family, lines)
    facts = _facts(family, candidate, _share(family, share), lines)
    before = ledger.challenger(lines)
    if before and (before["digest"], before["share"]) == (facts["digest"], facts["share"]):
        return _followed(before)
    return _written(family, facts, lines)


def _ended(family: str, lines: list[Line]) -> Line | None:
    """A challenge with no share: the challenger is given nothing more."""
    before = ledger.challenger(lines)
    if before is None:
        return None
    named = {key: before[key] for key in ("candidate", "digest", "dvc", "data", "commit", "run")}
    return _written(family, {**named, "share": 0.0, "reasons": [f"taken away by {getpass.getuser()}"]}, lines)


def _written(family: str, facts: dict[str, Any], lines: list[Line]) -> Line:
    key = folders.hash_of(["challenge", lines[-1]["hash"], facts["digest"], facts["share"]])
    return _followed(ledger.append(family, "challenge", key, facts, after=lines[-1]["hash"]))


def _followed(line: Line) -> Line:
    reconcile.reconcile(line["family"])
    return line


def _share(family: str, share: float | None) -> float:
    given = configs.serving(family).shadow if share is None else share
    if not 0 < given <= 1:
        raise BadChallenge(
            f"share={given:g} is no share of the requests. Give one above 0, at most 1 (make challenge family={family} candidate=... "
            f"share=0.1), or set serving.shadow on conf/family/{family}.yaml; candidate={NONE} ends a challenge."
        )
    return given


def _facts(family: str, candidate: str, share: float, lines: list[Line]) -> dict[str, Any]:
    """What the ledger says of the challenger. Raises BadChallenge where it cannot be one."""
    if candidate not in (known := discovery.candidates(family)):
        raise BadChallenge(f"candidate={candidate!r} is not one of family={family!r}. Choose one of: {', '.join(known)}, {NONE}.")
    champion, folder = ledger.champion(lines), Path("models", candidate)
    if champion is None:
        raise BadChallenge(f"{family} has no champion to challenge yet. `make train family={family}` makes one.")
    manifest, record = manifests.verified(folder), records.read(folder)
    if manifest["digest"] == champion["digest"]:
        raise BadChallenge(f"{candidate} is the champion itself: version {champion['version']}. Choose one of: {', '.join(known)}.")
    _fits(candidate, manifest, champion)
    return {
        "candidate": candidate,
        "digest": manifest["digest"],
        "dvc": lock.hash_of(folder),
        "data": manifest["data"],
        "commit": record["commit"],
        "run": record["key"],
        "share": share,
        "reasons": [f"given {share:.1%} of the requests beside version {champion['version']}, by {getpass.getuser()}"],
    }


def _fits(candidate: str, manifest: manifests.Manifest, champion: Line) -> None:
    """Raises BadChallenge where the two do not take and answer the same."""
    try:
        served = manifests.read(versions.served_folder(champion))
    except versions.ABSENT:
        return  # the service looks again, with the champion that it serves
    fits = gate.schema(manifest, {**served, "version": champion["version"]})
    if not fits.holds:
        raise BadChallenge(f"{candidate} cannot be held against the champion: {fits.words}.")


def main() -> None:
    """Set the challenger of a family, or take it away."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--family", required=True)
    parser.add_argument("--candidate", required=True, help="`none` ends the challenge")
    parser.add_argument("--share", type=float, help="of the requests, above 0, at most 1")
    asked = parser.parse_args()
    with errors.printed_once():
        print(told(asked.family, challenge(asked.family, asked.candidate, asked.share)))


def told(family: str, line: Line | None) -> str:
    """What was done, as a person reads it."""
    if line is None:
        return f"{family} has no challenger."
    if not line["share"]:
        return f"{family}: {line['candidate']} challenges no more; services follow within a second."
    return (
        f"{family}: {line['candidate']} challenges version {line['version']}; services give it {line['share']:.1%} of the requests within "
        f"seconds. How far the two agree stands on the page and at /metrics."
    )


if __name__ == "__main__":
    main()
