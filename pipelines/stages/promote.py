"""promote: the candidates' reports -> a decision in reports/<family>/promotion.json, the ledger, and all that follows it.

DVC runs this stage on every `dvc repro`, because a decision is a side effect that no cache may swallow. Nothing having
changed since the last one, it ends before the heavy imports: that is why they stand inside main.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from pipelines import discovery
from pipelines.fingerprints.modules import Sources
from pipelines.ledger import lines as ledger

EXPERIMENT = "DVC_EXP_NAME"  # set by `dvc exp run`
CODE = ("pipelines.registry.gate", "pipelines.registry.promotion")


def inputs(family: str, run: str) -> str:
    """Names everything a decision rests on: reports, data, pages, ledger and the code that decides."""
    reports = sorted(Path("reports", family, "candidates").glob("*.json"))
    pages = [discovery.CONF / "config.yaml", discovery.CONF / "family" / f"{family}.yaml", discovery.CONF / "run" / f"{run}.yaml"]
    absent_at_first = [Path("data", family, "card.json"), Path("registry", f"{family}.jsonl")]
    digest = hashlib.sha256()
    for path in [*reports, *pages, *filter(Path.exists, absent_at_first)]:
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    for name in CODE:
        digest.update(Sources().named(name).file.read_bytes())
    digest.update(shown(family, reports) if any(map(_asks, pages)) else b"")
    return digest.hexdigest()


def _asks(page: Path) -> bool:
    """Does a page's gate ask what a candidate has shown as challenger?"""
    import yaml

    found = yaml.safe_load(page.read_text())
    return bool(((found or {}).get("gate") or {}).get("shadow"))


def shown(family: str, reports: list[Path]) -> bytes:
    """Names what the candidates have shown beside the champion: the prediction store grows by itself."""
    from pipelines import databases, predictions

    champion, store = ledger.champion(ledger.read(family)), predictions.Store()
    digests = [json.loads(report.read_text())["digest"] for report in reports] if champion else []
    try:
        return json.dumps([store.agreement(family, champion["digest"], digest) for digest in digests if champion]).encode()
    except databases.NoDatabase:
        return b"unknown"  # deciding says so


def unchanged(family: str, run: str) -> bool:
    """Was this very decision made, and has all that follows from the ledger been done on this machine?

    The decision may have come with git: then it is the ledger that this machine has yet to follow.
    """
    decision, pointer = Path("reports", family, "promotion.json"), Path(".store", "champions", f"{family}.json")
    stamp = ledger.STAMPS / f"{family}.json"
    if EXPERIMENT in os.environ or not (decision.exists() and stamp.exists()):
        return False
    decided, followed = json.loads(decision.read_text()), json.loads(stamp.read_text())
    served = pointer.exists() or decided.get("version") is None
    return bool(served and decided.get("inputs") == inputs(family, run) and followed["head"] == ledger.head(family))


def main() -> None:
    """Decide, write the decision down, and print it."""
    from pipelines import configs
    from pipelines.registry import promotion

    configs.run(lambda cfg: written(cfg, promotion.promote(cfg)))


def written(cfg: Any, decision: dict[str, Any]) -> None:
    """reports/<family>/promotion.json; an experiment's, or one without the champion, names no inputs: it is never taken for a decision."""
    from pipelines import folders
    from pipelines.registry import promotion

    rests_on = {} if EXPERIMENT in os.environ or promotion.unbeaten(decision) else {"inputs": inputs(cfg.family, cfg.run)}
    folders.write_json(Path("reports", cfg.family, "promotion.json"), {**decision, **rests_on})


if __name__ == "__main__":
    asked = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    if set(asked) == {"family", "run"} and unchanged(**asked):
        print(f"{asked['family']}: nothing to decide since the last decision (reports/{asked['family']}/promotion.json).")
    else:
        main()
