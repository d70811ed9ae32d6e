"""`make challenge family=digits candidate=digits-adam share=0.2`: a model that answers in shadow of the champion, to be compared.

A challenge is a line of the ledger, which the store, a pointer and the services follow. The prediction store counts how the two agree.
`candidate=none` ends it; so does becoming the champion.
"""

import getpass
from pathlib import Path
from typing import Any

from pipelines import configs, discovery, folders
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.models import manifests
from pipelines.registry import gate, reconcile, reports, versions
from pipelines.training import records

NONE = "none"


class BadChallenge(ValueError):
    """A candidate that cannot challenge this champion, or a share outside 0 to 1."""


def challenge(family: str, candidate: str, share: float | None = None, why: str | None = None, by: str | None = None) -> Line | None:
    """Make a candidate, or NONE, the challenger, by a person or else by who runs this; the line, or None where there was and is none.

    It is given a `share` of the requests, by default that of the family's config file. Raises BadChallenge or BrokenModel.
    """
    lines = ledger.read(discovery.validate(family))
    before, by = ledger.challenger(lines), by or getpass.getuser()
    if candidate == NONE:
        if before is None:
            return None
        named = {key: before[key] for key in ("candidate", "digest", "dvc", "data", "commit", "run")}
        facts = {**named, "share": 0.0, "reasons": [f"taken away by {by}"]}
    else:
        facts = _facts(family, candidate, _share(family, share), lines, by)
    facts["reasons"] += [why] if why else []
    if before and (before["digest"], before["share"]) == (facts["digest"], facts["share"]):
        line = before
    else:
        key = folders.hash_of(["challenge", lines[-1]["hash"], facts["digest"], facts["share"]])
        line = ledger.append(family, "challenge", key, facts, after=lines[-1]["hash"])
    reconcile.reconcile(family)
    return line


def _share(family: str, share: float | None) -> float:
    given = configs.serving(family).shadow if share is None else share
    if not 0 < given <= 1:
        raise BadChallenge(
            f"share={given:g} is no share. Give one above 0, at most 1 (make challenge family={family} candidate=... share=0.1), "
            f"or set serving.shadow in conf/family/{family}.yaml; candidate={NONE} ends a challenge."
        )
    return given


def _facts(family: str, candidate: str, share: float, lines: list[Line], by: str) -> dict[str, Any]:
    """The fields of the ledger's line. Raises BadChallenge or NotRecorded."""
    if candidate not in (known := discovery.candidates(family)):
        raise BadChallenge(f"candidate={candidate!r} is not one of family={family!r}. Choose one of: {', '.join(known)}, {NONE}.")
    champion, folder = ledger.champion(lines), Path("models", candidate)
    if champion is None:
        raise BadChallenge(f"{family} has no champion to challenge yet. `make train family={family}` makes one.")
    manifest, record = manifests.verified(folder), records.read(folder)
    if manifest["digest"] == champion["digest"]:
        raise BadChallenge(f"{candidate} is the champion itself: version {champion['version']}. Choose one of: {', '.join(known)}.")
    _check_schema(candidate, manifest, champion)
    return {
        "candidate": candidate,
        "digest": manifest["digest"],
        "dvc": reports.hash_of(folder, manifests.MANIFEST),
        "data": manifest["data"],
        "commit": record["commit"],
        "run": record["key"],
        "share": share,
        "reasons": [f"given {share:.1%} of the requests beside version {champion['version']}, by {by}"],
    }


def _check_schema(candidate: str, manifest: manifests.Manifest, champion: Line) -> None:
    """Raises BadChallenge where input or output differ. Without the champion's files the service checks it."""
    try:
        served = manifests.read(versions.served_folder(champion))
    except versions.ABSENT:
        return
    schema = gate.schema(manifest, {**served, "version": champion["version"]})
    if not schema.holds:
        raise BadChallenge(f"{candidate} cannot be compared with the champion: {schema.words}.")


def report(family: str, line: Line | None) -> str:
    """What was done, in a sentence."""
    if line is None:
        return f"{family} has no challenger."
    if not line["share"]:
        return f"{family}: {line['candidate']} is no longer the challenger; services follow within a second."
    return (
        f"{family}: {line['candidate']} challenges version {line['version']} with {line['share']:.1%} of the requests, within seconds. "
        "How far the two agree is on the page and at /metrics."
    )


def main(family: str, candidate: str, share: float | None = None, why: str | None = None, by: str | None = None) -> None:
    """Set the challenger of a family, or end the challenge."""
    print(report(family, challenge(family, candidate, share, why, by)))
