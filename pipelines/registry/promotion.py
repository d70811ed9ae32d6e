"""The best candidate against the champion: decide, and commit the promotion or the rejection to the ledger."""

import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipelines import configs, discovery, folders, predictions
from pipelines.artifacts import cache
from pipelines.configs import Config
from pipelines.datasets import cards
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.models import manifests
from pipelines.registry import gate, reconcile, reports, versions
from pipelines.registry.gate import Condition
from pipelines.registry.reports import Report
from pipelines.tracking import client as tracking
from pipelines.training import records

CHAMPION = "champion"  # the condition that its files are on this machine


class NothingToPromote(LookupError):
    """No candidate has been evaluated on the data in data/."""


def promote(cfg: Config) -> dict[str, Any]:
    """Decide and, unless this is an experiment, commit and reconcile; the content of promotion.json."""
    board = leaderboard(cfg)
    lines = ledger.read(cfg.family)
    decision = decide(cfg, board[0], lines)
    if experiment():
        reconcile.candidate_runs(tracking.client(), cfg.family)
        decision["words"] += " This is an experiment: it decides but never promotes."
    else:
        champion = ledger.champion(lines)
        if not (champion and champion["digest"] == decision["digest"]) and not champion_missing(decision):
            decision["version"] = commit(cfg, board[0], decision, lines)["version"]
        reconcile.reconcile(cfg.family)
    show(board, headline(cfg), decision)
    return decision


def champion_missing(decision: dict[str, Any]) -> bool:
    """Were the champion's files not on this machine? Then nothing was decided on the candidate, and nothing is committed."""
    return any(condition["name"] == CHAMPION for condition in decision["conditions"])


def experiment() -> bool:
    """Is this `dvc exp run`?"""
    return "DVC_EXP_NAME" in os.environ


def headline(cfg: Config) -> str:
    """The family's headline metric."""
    return str(discovery.part(cfg.family, "score").HEADLINE)


def check_data(family: str) -> None:
    """Raises NothingToPromote where the data that candidates are compared on is not here, as in a fresh clone."""
    if not Path("data", family).exists():
        words = f"data/{family} is not here, so no candidate can be compared. `make train family={family}` makes it and the candidates"
        raise NothingToPromote(f"{words}; {cache.fetching()}")


def leaderboard(cfg: Config) -> list[Report]:
    """The reports of the candidates in models/ on the data in data/, best on validation first. Raises NothingToPromote or NotRecorded."""
    data = cards.read(cfg.data_folder)["hash"]
    found = [report for report in reports.recorded(cfg.family) if report["data"] == data]
    if not found:
        raise NothingToPromote(
            f"no candidate of {cfg.family} has been evaluated on data {data[:12]}. Run `make train family={cfg.family}`."
        )
    return sorted(found, key=lambda report: (-report["valid"][headline(cfg)], report["latency_ms"], report["candidate"]))


def decide(cfg: Config, challenger: Report, lines: list[Line]) -> dict[str, Any]:
    """The decision, its key, and each condition in words.

    The key names candidate, champion's decision, gate and data; not a shadow's samples, which grow by themselves.
    """
    champion, last = ledger.champion(lines), ledger.decision(lines)
    key = folders.hash_of([challenger["digest"], last and last["hash"], cfg.gate.model_dump(), challenger["data"]])
    asked = gate.conditions(cfg.gate, headline(cfg), challenger) + (_against(cfg, challenger, champion) if champion else [])
    asked += gate.returned(cfg.family, ledger.rolled_back(lines).get(challenger["digest"]))
    opens, words = _verdict(challenger, champion, asked)
    return {
        "family": cfg.family,
        "candidate": challenger["candidate"],
        "digest": challenger["digest"],
        "champion": champion and champion["version"],
        "version": champion and champion["version"],
        "key": key,
        "open": opens,
        "words": words,
        "conditions": [vars(condition) for condition in asked],
    }


def _verdict(challenger: Report, champion: Line | None, asked: list[Condition]) -> tuple[bool, str]:
    name, failed = challenger["candidate"], [condition.words for condition in asked if not condition.holds]
    if champion and champion["digest"] == challenger["digest"]:
        return False, f"{name} is the champion already: version {champion['version']}."
    if failed:
        return False, f"The gate stays closed for {name}: {'; '.join(failed)}."
    return True, f"The gate opens for {name}: {'; '.join(condition.words for condition in asked)}."


def _against(cfg: Config, challenger: Report, champion: Line) -> list[Condition]:
    """The conditions that need the champion's files: it answers the same validation images. Raises NoDatabase."""
    if champion["digest"] == challenger["digest"]:
        return []
    try:
        served = versions.served_folder(champion)
    except versions.ABSENT as absence:
        return [Condition(CHAMPION, False, f"version {champion['version']}, the champion to beat, is not here: {absence}")]
    examples, predict, scoring = (discovery.part(cfg.family, name) for name in ("examples", "predict", "score"))
    valid, model = examples.load(cfg.data_folder, "valid"), Path("models", challenger["candidate"])
    fits = gate.schema(manifests.read(model), {**manifests.read(served), "version": champion["version"]})
    if not fits.holds:
        return [fits]
    pair = [scoring.outcomes(predict.Predictor(folder), valid) for folder in (model, served)]
    conditions = [fits, gate.gain(cfg.gate, scoring.headline, pair[0], pair[1], cfg.seed)]
    if cfg.gate.shadow:
        found = predictions.Store().agreement(cfg.family, champion["digest"], challenger["digest"])
        conditions.append(gate.shadow(cfg.gate.shadow, found, champion["version"], cfg.family, challenger["candidate"]))
    return conditions


def commit(cfg: Config, challenger: Report, decision: dict[str, Any], lines: list[Line]) -> Line:
    """Append the promotion, or the rejection, to the ledger; one rejection per conditions and champion. Raises NotRecorded."""
    asked = sorted(decision["conditions"], key=lambda condition: bool(condition["holds"]))  # failed ones first
    failed = [condition["name"] for condition in asked if not condition["holds"]]
    event, key = ("refuse", folders.hash_of([decision["key"], sorted(failed)])) if failed else ("promote", decision["key"])
    folder = Path("models", challenger["candidate"])
    manifest, record = manifests.verified(folder), records.read(folder)
    study = configs.compose([f"family={cfg.family}", f"candidate={challenger['candidate']}"]).study
    facts = {
        "candidate": challenger["candidate"],
        "digest": manifest["digest"],
        "dvc": reports.hash_of(folder, manifests.MANIFEST),
        "data": manifest["data"],
        "data_dvc": reports.hash_of(cfg.data_folder, cards.CARD),
        "commit": record["commit"],
        "dirty": record["dirty"],
        "run": record["key"],
        "started": record["started"],
        "figures": {key: challenger[key] for key in ("valid", "test", "examples", "seconds", "hardware")},
        "reasons": [condition["words"] for condition in asked],
        **({"failed": failed} if failed else {}),
        **({"study": study.model_dump()} if study else {}),
    }
    return ledger.append(cfg.family, event, key, facts, after=lines[-1]["hash"] if lines else None)


def show(board: list[Report], metric: str, decision: dict[str, Any]) -> None:
    """Print the leaderboard and the decision."""
    table = Table("", "candidate", f"valid {metric}", f"test {metric}", "train s", "ms", "MB", title=decision["family"])
    for place, report in enumerate(board, 1):
        figures = f"{report['valid'][metric]:.4f}", f"{report['test'][metric]:.4f}", f"{report['seconds']['train']:.0f}"
        table.add_row(str(place), report["candidate"], *figures, f"{report['latency_ms']:.2f}", f"{report['size_mb']:.2f}")
    console = Console(width=max(100, Console().width))
    console.print(table)
    console.print(decision["words"], highlight=False)
    champion = f"the champion is version {decision['version']}" if decision["version"] else "there is no champion yet"
    console.print(f"{decision['family']}: {champion}.", highlight=False)
