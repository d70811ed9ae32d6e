"""The summary of a batch, from its rows: report.json, and report.md to read."""

from collections import Counter
from pathlib import Path
from typing import Any

from pipelines import folders
from serving.batch import rows
from serving.batch.plan import Run

DISTINCT = 1000  # results that are counted by themselves; further ones are "others"
SHOWN = 20  # results and reasons in report.md
BINS = 10  # of the confidence, from 0 to 1
PAGE = "report.md"
COLUMNS = ("result", "confidence", "pages", "reason", "seconds")


class Broken(ValueError):
    """Answers that are not complete, or damaged."""


def summary(run: Run) -> dict[str, Any]:
    """Counts over all rows, read one after another. Raises Broken."""
    counted: dict[str, Any] = {"answered": 0, "refused": 0, "pages": 0, "seconds": 0.0}
    results, reasons, bins = Counter[str](), Counter[str](), [0] * BINS
    for shard in range(run.shards):
        counted["seconds"] += _seconds(run, shard)
        for row in _rows(run, shard):
            counted["refused" if row["reason"] else "answered"] += 1
            counted["pages"] += row["pages"]
            if row["reason"]:
                reasons[row["reason"]] += 1
                continue
            results[row["result"] if row["result"] in results or len(results) < DISTINCT else "others"] += 1
            if row["confidence"] is not None:
                bins[min(BINS - 1, max(0, int(row["confidence"] * BINS)))] += 1
    return {
        "model": run.pointer["model"],
        "from": str(run.source),
        "inputs": run.inputs,
        **counted,
        "seconds": round(counted["seconds"], 1),
        "pages_a_second_a_process": round(counted["pages"] / max(counted["seconds"], 1e-9), 2),
        "results": dict(results.most_common()),
        "reasons": dict(reasons.most_common()),
        "confidence": bins,
    }


def _rows(run: Run, shard: int) -> list[dict[str, Any]]:
    path, expected = run.answers(shard), run.count(shard)
    try:
        found = list(rows.read(path, COLUMNS))
    except (OSError, ValueError) as error:
        raise _broken(path, str(error)) from error
    if len(found) != expected:
        raise _broken(path, f"{len(found)} rows for {expected} inputs")
    return found


def _seconds(run: Run, shard: int) -> float:
    try:
        begun, ended = rows.times(run.answers(shard))
    except (OSError, ValueError, LookupError) as error:
        raise _broken(run.answers(shard), str(error)) from error
    return ended - begun


def _broken(path: Path, why: str) -> Broken:
    return Broken(f"{path} is damaged ({why}). Remove it, and run the same command again: its inputs alone are answered again.")


def write(run: Run) -> dict[str, Any]:
    """Write report.json, the summary, and report.md. Raises Broken."""
    found = summary(run)
    folders.write_json(run.folder / "report.json", found)
    folders.write(run.folder / PAGE, as_markdown(found))
    return found


def as_markdown(found: dict[str, Any]) -> str:
    """The summary as a page."""
    model = found["model"]
    lines = [
        f"# {found['inputs']:,} inputs of {model['family']}",
        "",
        f"From `{found['from']}`, answered by version {model['version']}, digest `{model['digest'][:12]}`.",
        "",
        f"{found['answered']:,} answered ({found['pages']:,} pages), {found['refused']:,} not. "
        f"One process answered {found['pages_a_second_a_process']:g} pages a second.",
        *_table("Result", found["results"]),
        *_table("Not answered because", found["reasons"]),
        *_table(
            "Confidence", {f"{bin / BINS:.1f} to {(bin + 1) / BINS:.1f}": count for bin, count in enumerate(found["confidence"]) if count}
        ),
    ]
    return "\n".join(lines) + "\n"


def _table(title: str, counts: dict[str, int]) -> list[str]:
    if not counts:
        return []
    shown = list(counts.items())[:SHOWN]
    rest = [("others", sum(counts.values()) - sum(count for _, count in shown))] if len(counts) > SHOWN else []
    return [
        "",
        f"| {title} | Inputs |",
        "| --- | ---: |",
        *(f"| {name.replace('|', ' ')} | {count:,} |" for name, count in [*shown, *rest]),
    ]
