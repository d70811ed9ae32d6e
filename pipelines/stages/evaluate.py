"""evaluate: models/<candidate>/ on the validation and test splits -> reports/<family>/candidates/, metrics/, plots/ and sheets/."""

import csv
import time
from pathlib import Path
from typing import Any

from pipelines import configs, discovery, folders
from pipelines.configs import Config
from pipelines.fingerprints import fingerprint
from pipelines.models import manifests
from pipelines.training import records, session

TIMED = 200  # single predictions


def main(cfg: Config) -> None:
    """Score the files that will be served; the test split is reported, never used to choose."""
    fingerprint.check(cfg.family, "evaluate")
    examples, scoring = discovery.part(cfg.family, "examples"), discovery.part(cfg.family, "score")
    predictor = discovery.part(cfg.family, "predict").Predictor(cfg.model_folder)
    splits = {split: examples.load(cfg.data_folder, split) for split in ("valid", "test")}
    outcomes = {split: scoring.outcomes(predictor, found) for split, found in splits.items()}
    figures = {split: scoring.metrics(found) for split, found in outcomes.items()}
    counts = {split: len(found.images) for split, found in splits.items()}
    report = _report(cfg, figures, counts, latency_ms(predictor, splits["valid"].images))
    for folder, content in {"candidates": report, "metrics": compared(report, scoring.HEADLINE)}.items():
        folders.write_json(Path("reports", cfg.family, folder, f"{cfg.candidate}.json"), content)
    shown = predictor, splits["valid"], outcomes["valid"]
    _plots(Path("reports", cfg.family, "plots", str(cfg.candidate)), scoring.tables(*shown), cfg.model_folder)
    with folders.replacing(Path("reports", cfg.family, "sheets", str(cfg.candidate))) as out:
        for name, sheet in scoring.sheets(*shown).items():
            sheet.save(out / f"{name}.png")
    valid, test = (figures[split][scoring.HEADLINE] for split in ("valid", "test"))
    print(f"{cfg.candidate}: {scoring.HEADLINE} {valid:.4f} on validation, {test:.4f} on test")


def _report(cfg: Config, figures: dict[str, Any], counts: dict[str, int], latency: float) -> dict[str, Any]:
    manifest, record = manifests.read(cfg.model_folder), records.read(cfg.model_folder)
    return {
        "family": cfg.family,
        "candidate": cfg.candidate,
        "version": None,
        "digest": manifest["digest"],
        "data": manifest["data"],
        **figures,
        "examples": counts,
        "seconds": {"train": record["seconds"]["train"]},
        "hardware": record["hardware"],
        "latency_ms": latency,
        "size_mb": manifests.served_bytes(manifest) / 1e6,
    }


def compared(report: dict[str, Any], headline: str) -> dict[str, Any]:
    """What `dvc metrics show` and `dvc exp show` compare of a report: the headline metric on both splits, and what the model costs."""
    scores = {split: report[split][headline] for split in ("valid", "test")}
    costs = {"train_s": report["seconds"]["train"], "ms": report["latency_ms"], "MB": report["size_mb"]}
    return {"metric": headline, **scores, **costs}


def latency_ms(predictor: Any, examples: Any) -> float:
    """Median milliseconds of one prediction, in this process, after a warm-up."""
    seconds = []
    for index in range(TIMED):
        one = examples[index % len(examples)][None]
        start = time.perf_counter()
        predictor.predict(one)
        seconds.append(time.perf_counter() - start)
    return sorted(seconds[TIMED // 10 :])[len(seconds[TIMED // 10 :]) // 2] * 1000


def _plots(folder: Path, tables: dict[str, list[dict[str, Any]]], model: Path) -> None:
    curves = [{key: row[key] for key in row if not key.endswith("seconds")} for row in session.read_history(model)]
    for name, rows in {**tables, "history": curves}.items():
        write_table(folder / f"{name}.csv", rows)


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """Rows of equal keys as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as handle:
        table = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    configs.run(main, "candidate")
