"""The best candidate against the champion: decide, say why, commit the promotion or the refusal to the ledger."""

import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipelines import discovery, folders, predictions
from pipelines.artifacts import lock
from pipelines.configs import Config
from pipelines.datasets import cards
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.models import manifests
from pipelines.registry import gate, reconcile, versions
from pipelines.registry.gate import Condition
from pipelines.tracking import client as tracking
from pipelines.training import records

Report = dict[str, Any]
CHAMPION = "champion"  # the condition that it is here


class NothingToPromote(LookupError):
    """No candidate has been evaluated on the data that is here."""


def promote(cfg: Config) -> dict[str, Any]:
    """Decide and, unless this is an experiment, commit and reconcile. Returns what promotion.json holds."""
    board = leaderboard(cfg)
    lines = ledger.read(cfg.family)
    decision = decide(cfg, board[0], lines)
    if experiment():
        reconcile.candidate_runs(tracking.client(), cfg.family)
        decision["words"] += " This is an experiment: it decides but never promotes."
    else:
        if not (_stands(decision["digest"], lines) or unbeaten(decision)):
            decision["version"] = commit(cfg, board[0], decision, lines)["version"]
        reconcile.reconcile(cfg.family)
    show(board, headline(cfg), decision)
    return decision


def unbeaten(decision: dict[str, Any]) -> bool:
    """Was the champion not on this machine to be beaten? That is no decision on the model: it is written nowhere, and made again."""
    return any(condition["name"] == CHAMPION for condition in decision["conditions"])


def experiment() -> bool:
    """Is this `dvc exp run`?"""
    return "DVC_EXP_NAME" in os.environ


def headline(cfg: Config) -> str:
    """The name of the metric that this family is judged by."""
    return str(discovery.part(cfg.family, "score").HEADLINE)


def leaderboard(cfg: Config) -> list[Report]:
    """The report of every candidate as it stands in models/, on the present data, best on validation first.

    Raises NothingToPromote where there is none.
    """
    data = cards.read(cfg.data_folder)["hash"]
    reports = [report for name in discovery.candidates(cfg.family) if (report := _report(cfg.family, name)) and report["data"] == data]
    if not reports:
        raise NothingToPromote(
            f"no candidate of {cfg.family} has been evaluated on data {data[:12]}. Run `make train family={cfg.family}`."
        )
    return sorted(reports, key=lambda report: (-report["valid"][headline(cfg)], report["latency_ms"], report["candidate"]))


def _report(family: str, candidate: str) -> Report | None:
    """A candidate's report, if it is of the model that is there now."""
    page, folder = Path("reports", family, "candidates", f"{candidate}.json"), Path("models", candidate)
    if not page.exists() or not (folder / manifests.MANIFEST).exists():
        return None
    report: Report = json.loads(page.read_text())
    return report if report["digest"] == manifests.read(folder)["digest"] else None


def decide(cfg: Config, challenger: Report, lines: list[Line]) -> dict[str, Any]:
    """The decision, its key, and each condition in words.

    The key is of the candidate, the decision by which the champion stands, gate and data. What grows by itself, such as a
    shadow's samples, is no part of it: each look would be another decision.
    """
    standing, stands_by = ledger.champion(lines), ledger.decision(lines)
    key = folders.hash_of([challenger["digest"], stands_by and stands_by["hash"], cfg.gate.model_dump(), challenger["data"]])
    asked = gate.conditions(cfg.gate, headline(cfg), challenger) + (_against(cfg, challenger, standing) if standing else [])
    asked += gate.returned(cfg.family, ledger.rolled_back(lines).get(challenger["digest"]))
    opens, words = _verdict(challenger, lines, asked)
    return {
        "family": cfg.family,
        "candidate": challenger["candidate"],
        "digest": challenger["digest"],
        "champion": standing and standing["version"],
        "version": standing and standing["version"],
        "key": key,
        "open": opens,
        "words": words,
        "conditions": [vars(condition) for condition in asked],
    }


def _verdict(challenger: Report, lines: list[Line], asked: list[Condition]) -> tuple[bool, str]:
    name, standing = challenger["candidate"], ledger.champion(lines)
    failed = [condition.words for condition in asked if not condition.holds]
    if standing and _stands(challenger["digest"], lines):
        return False, f"{name} is the champion already: version {standing['version']}."
    if failed:
        return False, f"The gate stays closed for {name}: {'; '.join(failed)}."
    return True, f"The gate opens for {name}: {'; '.join(condition.words for condition in asked)}."


def _stands(digest: str, lines: list[Line]) -> bool:
    """Is this model the champion already? Then there is nothing to commit."""
    standing = ledger.champion(lines)
    return standing is not None and bool(standing["digest"] == digest)


def _against(cfg: Config, challenger: Report, standing: Line) -> list[Condition]:
    """The conditions that need the champion's own files: it answers the same validation pictures."""
    if standing["digest"] == challenger["digest"]:
        return []
    try:
        champion = versions.served_folder(standing)
    except versions.ABSENT as absence:
        return [Condition(CHAMPION, False, f"version {standing['version']}, the champion to beat, is not here: {absence}")]
    examples, predict, scoring = (discovery.part(cfg.family, name) for name in ("examples", "predict", "score"))
    valid, model = examples.load(cfg.data_folder, "valid"), Path("models", challenger["candidate"])
    fits = gate.schema(manifests.read(model), {**manifests.read(champion), "version": standing["version"]})
    if not fits.holds:
        return [fits]
    pair = [scoring.outcomes(predict.Predictor(folder), valid) for folder in (model, champion)]
    return [fits, gate.gain(cfg.gate, scoring.headline, pair[0], pair[1], cfg.seed), *_shown(cfg, challenger, standing)]


def _shown(cfg: Config, challenger: Report, standing: Line) -> list[Condition]:
    """Where the gate asks for it: how the candidate has answered beside the champion. Raises NoDatabase."""
    if cfg.gate.shadow is None:
        return []
    found = predictions.Store().agreement(cfg.family, standing["digest"], challenger["digest"])
    return [gate.shadow(cfg.gate.shadow, found, standing["version"], cfg.family, challenger["candidate"])]


def commit(cfg: Config, challenger: Report, decision: dict[str, Any], lines: list[Line]) -> Line:
    """Append the promotion, or the refusal, to the ledger: from here on it stands, whatever happens to this process.

    A model that the same conditions refuse again, against the same champion, makes no second line, whatever its figures.
    """
    asked = sorted(decision["conditions"], key=lambda condition: bool(condition["holds"]))  # those that failed come first
    failed = [condition["name"] for condition in asked if not condition["holds"]]
    event, key = ("refuse", folders.hash_of([decision["key"], sorted(failed)])) if failed else ("promote", decision["key"])
    facts = {**_facts(cfg, challenger), "reasons": [condition["words"] for condition in asked], **({"failed": failed} if failed else {})}
    return ledger.append(cfg.family, event, key, facts, after=lines[-1]["hash"] if lines else None)


def _facts(cfg: Config, challenger: Report) -> dict[str, Any]:
    """What a line says of the model that it is about."""
    folder = Path("models", challenger["candidate"])
    manifest, record = manifests.verified(folder), records.read(folder)
    return {
        "candidate": challenger["candidate"],
        "digest": manifest["digest"],
        "dvc": lock.hash_of(folder),
        "data": manifest["data"],
        "data_dvc": lock.hash_of(cfg.data_folder),
        "commit": record["commit"],
        "dirty": record["dirty"],
        "run": record["key"],
        "started": record["started"],
        "figures": {key: challenger[key] for key in ("valid", "test", "examples", "seconds", "hardware")},
    }


def show(board: list[Report], metric: str, decision: dict[str, Any]) -> None:
    """The leaderboard and the decision, as a person reads them."""
    table = Table("", "candidate", f"valid {metric}", f"test {metric}", "train s", "ms", "MB", title=decision["family"])
    for place, report in enumerate(board, 1):
        figures = f"{report['valid'][metric]:.4f}", f"{report['test'][metric]:.4f}", f"{report['seconds']['train']:.0f}"
        table.add_row(str(place), report["candidate"], *figures, f"{report['latency_ms']:.2f}", f"{report['size_mb']:.2f}")
    console = Console(width=max(100, Console().width))
    console.print(table)
    console.print(decision["words"], highlight=False)
    stands = f"version {decision['version']} stands" if decision["version"] else "no version stands yet"
    console.print(f"{decision['family']}: {stands}.", highlight=False)
