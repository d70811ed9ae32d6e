"""The best candidate against the champion: decide, say why, commit to the ledger when the gate opens."""

import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipelines import cards, families, folders, gate, ledger, manifests, outputs, records, registry, tracking
from pipelines.configs import BadConfiguration, Config
from pipelines.gate import Condition
from pipelines.ledger import Line

Report = dict[str, Any]


class NothingToPromote(LookupError):
    """No candidate has been evaluated on the data that is here."""


def promote(cfg: Config) -> dict[str, Any]:
    """Decide and, unless this is an experiment, commit and reconcile. Returns what promotion.json holds."""
    board = leaderboard(cfg)
    standing = ledger.champion(ledger.read(cfg.family))
    decision = decide(cfg, board[0], standing)
    if experiment():
        tracking_only(cfg.family)
        decision["words"] += " This is an experiment: it decides but never promotes."
    else:
        if decision["open"]:
            decision["version"] = commit(cfg, board[0], decision)["version"]
        registry.reconcile(cfg.family)
    show(cfg, board, decision)
    return decision


def experiment() -> bool:
    """Is this `dvc exp run`?"""
    return "DVC_EXP_NAME" in os.environ


def tracking_only(family: str) -> None:
    """What an experiment may do: show its runs."""
    registry.candidate_runs(tracking.client(), family)


def leaderboard(cfg: Config) -> list[Report]:
    """Every candidate's report on the present data, best on validation first. Raises NothingToPromote."""
    data = cards.read(cfg.data_folder)["hash"]
    pages = [Path("reports", cfg.family, "candidates", f"{name}.json") for name in families.candidates(cfg.family)]
    reports: list[Report] = [json.loads(page.read_text()) for page in pages if page.exists()]
    fitting = [report for report in reports if report["data"] == data]
    if not fitting:
        raise NothingToPromote(
            f"no candidate of {cfg.family} has been evaluated on data {data[:12]}. Run `make train family={cfg.family}`."
        )
    if cfg.gate.metric not in fitting[0]["valid"]:
        raise BadConfiguration(f"gate.metric={cfg.gate.metric!r} is not measured. Choose one of: {', '.join(fitting[0]['valid'])}.")
    return sorted(fitting, key=lambda report: (-report["valid"][cfg.gate.metric], report["latency_ms"], report["candidate"]))


def decide(cfg: Config, challenger: Report, standing: Line | None) -> dict[str, Any]:
    """The decision, its key, and each condition in words."""
    key = folders.hash_of([challenger["digest"], standing and standing["digest"], cfg.gate.model_dump(), challenger["data"]])
    asked = gate.conditions(cfg.gate, challenger) + (_against(cfg, challenger, standing) if standing else [])
    opens, words = _verdict(cfg.family, challenger, standing, asked, key)
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


def _verdict(family: str, challenger: Report, standing: Line | None, asked: list[Condition], key: str) -> tuple[bool, str]:
    name = challenger["candidate"]
    failed = [condition.words for condition in asked if not condition.holds]
    before = next((line for line in ledger.read(family) if line["key"] == key), None)
    if standing and standing["digest"] == challenger["digest"]:
        return False, f"{name} is the champion already: version {standing['version']}."
    if before:
        number = before["version"]
        return (
            False,
            f"{name} was promoted as version {number} and rolled back since. `make rollback family={family} to={number}` brings it back.",
        )
    if failed:
        return False, f"The gate stays closed for {name}: {'; '.join(failed)}."
    return True, f"The gate opens for {name}: {'; '.join(condition.words for condition in asked)}."


def _against(cfg: Config, challenger: Report, standing: Line) -> list[Condition]:
    """The conditions that need the champion's own files: it answers the same validation pictures."""
    if standing["digest"] == challenger["digest"]:
        return []
    try:
        champion = registry.served(standing)
    except outputs.NotHere as absence:
        return [Condition("champion", False, f"version {standing['version']}, the champion to beat, is not here: {absence}")]
    data, predict, scoring = (families.part(cfg.family, name) for name in ("data", "predict", "score"))
    valid, model = data.load(cfg.data_folder, "valid"), Path("models", challenger["candidate"])
    fits = gate.schema(manifests.read(model), {**manifests.read(champion), "version": standing["version"]})
    if not fits.holds:
        return [fits]
    pair = [scoring.outcomes(predict.Predictor(folder), valid) for folder in (model, champion)]
    return [fits, gate.gain(cfg.gate, scoring.headline, pair[0], pair[1], cfg.seed)]


def commit(cfg: Config, challenger: Report, decision: dict[str, Any]) -> Line:
    """Append the promotion to the ledger: from here on it stands, whatever happens to this process."""
    folder = Path("models", challenger["candidate"])
    manifest, record = manifests.verified(folder), records.read(folder)
    facts = {
        "candidate": challenger["candidate"],
        "digest": manifest["digest"],
        "dvc": outputs.hash_of(folder),
        "data": manifest["data"],
        "data_dvc": outputs.hash_of(cfg.data_folder),
        "commit": record["commit"],
        "dirty": record["dirty"],
        "run": record["key"],
        "started": record["started"],
        "figures": {key: challenger[key] for key in ("valid", "test", "examples", "seconds", "hardware")},
        "reasons": [condition["words"] for condition in decision["conditions"]],
    }
    return ledger.append(cfg.family, "promote", decision["key"], facts)


def show(cfg: Config, board: list[Report], decision: dict[str, Any]) -> None:
    """The leaderboard and the decision, as a person reads them."""
    metric = cfg.gate.metric
    table = Table("", "candidate", f"valid {metric}", f"test {metric}", "train s", "ms", "MB", title=cfg.family)
    for place, report in enumerate(board, 1):
        figures = f"{report['valid'][metric]:.4f}", f"{report['test'][metric]:.4f}", f"{report['seconds']['train']:.0f}"
        table.add_row(str(place), report["candidate"], *figures, f"{report['latency_ms']:.2f}", f"{report['size_mb']:.2f}")
    console = Console(width=max(100, Console().width))
    console.print(table)
    console.print(decision["words"], highlight=False)
    stands = f"version {decision['version']} stands" if decision["version"] else "no version stands yet"
    console.print(f"{cfg.family}: {stands}.", highlight=False)
