"""promote: the candidates' reports -> a decision in reports/<family>/promotion.json, the ledger, and what is reconciled with it.

DVC runs this stage on every `dvc repro`: a decision is a side effect that must not be cached. Where nothing has changed it ends before
the heavy imports, which are inside functions.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from pipelines import discovery, errors, folders
from pipelines.fingerprints.modules import Sources
from pipelines.ledger import lines as ledger

EXPERIMENT = "DVC_EXP_NAME"  # set by `dvc exp run`
CODE = ("pipelines.registry.gate", "pipelines.registry.promotion")


def inputs(family: str, run: str) -> str:
    """The hash of everything a decision depends on: reports, data, config files, ledger and the code that decides."""
    reports = sorted(Path("reports", family, "candidates").glob("*.json"))
    configs = [discovery.CONF / "config.yaml", discovery.CONF / "family" / f"{family}.yaml", discovery.CONF / "run" / f"{run}.yaml"]
    absent_at_first = [Path("data", family, "card.json"), Path("registry", f"{family}.jsonl")]
    digest = hashlib.sha256()
    for path in [*reports, *configs, *filter(Path.exists, absent_at_first)]:
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    for name in CODE:
        digest.update(Sources().named(name).file.read_bytes())
    digest.update(agreements(family, reports) if any(map(_asks_for_shadow, configs)) else b"")
    return digest.hexdigest()


def _asks_for_shadow(config: Path) -> bool:
    """Does the gate in a config file ask for agreement as challenger?"""
    import yaml

    found = yaml.safe_load(config.read_text())
    return bool(((found or {}).get("gate") or {}).get("shadow"))


def agreements(family: str, reports: list[Path]) -> bytes:
    """JSON of each candidate's agreement with the champion so far, from the prediction store."""
    from pipelines import databases, predictions

    champion, store = ledger.champion(ledger.read(family)), predictions.Store()
    digests = [folders.read_json(report)["digest"] for report in reports] if champion else []
    try:
        return json.dumps([store.agreement(family, champion["digest"], digest) for digest in digests if champion]).encode()
    except databases.NoDatabase:
        return b"unknown"  # deciding raises it


def unchanged(family: str, run: str) -> bool:
    """Was this decision made, and does everything on this machine follow the ledger? A decision may have come with git."""
    decision, pointer = Path("reports", family, "promotion.json"), Path(".store", "champions", f"{family}.json")
    stamp = ledger.STAMPS / f"{family}.json"
    if EXPERIMENT in os.environ or not (decision.exists() and stamp.exists()):
        return False
    decided, followed = folders.read_json(decision), folders.read_json(stamp)
    served = pointer.exists() or decided.get("version") is None
    return bool(served and decided.get("inputs") == inputs(family, run) and followed["head"] == ledger.head(family))


def main() -> None:
    """Decide, and write and print the decision."""
    from pipelines import configs
    from pipelines.registry import promotion

    configs.run(lambda cfg: write_decision(cfg, promotion.promote(cfg)))


def write_decision(cfg: Any, decision: dict[str, Any]) -> None:
    """reports/<family>/promotion.json; an experiment's, or one without the champion's files, has no inputs, so that it is decided again."""
    from pipelines.registry import promotion

    hashed = {} if EXPERIMENT in os.environ or promotion.champion_missing(decision) else {"inputs": inputs(cfg.family, cfg.run)}
    folders.write_json(Path("reports", cfg.family, "promotion.json"), {**decision, **hashed})


if __name__ == "__main__":
    words = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    with errors.printed_once():
        if set(words) == {"family", "run"} and unchanged(**words):
            print(f"{words['family']}: nothing to decide since the last decision (reports/{words['family']}/promotion.json).")
        else:
            main()
