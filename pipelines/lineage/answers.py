"""An answer against the prediction store and the ledger: what was sent, what was answered, and by which version."""

import hashlib
import json
from typing import Any

from pipelines import databases, predictions
from pipelines.artifacts import cache
from pipelines.ledger.lines import Line
from pipelines.lineage import steps
from pipelines.lineage.steps import Link, Step


def recorded(answer: dict[str, Any]) -> list[Link]:
    """What the prediction store has of an answer."""
    sent = steps.link("input", lambda: input_of(_prediction(answer["prediction_id"])))
    return [steps.link("prediction", lambda: _same_answer(answer)), sent]


def _same_answer(answer: dict[str, Any]) -> Step:
    row = _prediction(answer["prediction_id"])
    if json.loads(row["output"]) != answer:
        raise ValueError(f"prediction {row['id']} was recorded with another answer than this one")
    return _row(row)


def _prediction(id: str) -> predictions.Row:
    """The recorded answer. Raises cache.NotHere, also where the store does not answer."""
    store = predictions.Store()
    try:
        row = store.find(id)
    except databases.NoDatabase as fault:
        raise cache.NotHere(str(fault)) from fault
    if row is None:
        words = "`serving.predictions` in the family's config file says which share of the answers is recorded, and for how many days"
        raise cache.NotHere(f"{id} is not in the prediction store {store.place}: {words}.")
    return row


def answered(answer: dict[str, Any], line: Line) -> Step:
    """The answer names the digest, data and commit of its version."""
    differing = [key for key in ("digest", "data", "commit") if answer.get(key) != line[key]]
    if differing:
        raise ValueError(f"the answer's {', '.join(differing)} is not that of version {line['version']} in the ledger")
    then = f", which a merge has renumbered: it was version {answer['version']}" if answer.get("version") != line["version"] else ""
    return f"given by {line['family']} version {line['version']}, digest {line['digest'][:12]}{then}", answer


def predicted(row: predictions.Row, line: Line) -> Step:
    """As answered(), for a recorded answer whose row must be unaltered too."""
    step = _row(row)
    answered(json.loads(row["output"])["model"], line)
    if row["digest"] != line["digest"]:
        raise ValueError(f"its row names digest {row['digest'][:12]}, which is not that of version {line['version']} in the ledger")
    return step


def _row(row: predictions.Row) -> Step:
    if predictions.altered(row):
        raise ValueError(f"row {row['id']} is not what was written: its hash does not match")
    words = f"{row['id']}, recorded {row['time']}, answered in {row['milliseconds']:.0f} ms by {row['family']}@v{row['version']}"
    return f"{words}; the row is as it was written", {**row, "output": json.loads(row["output"])}


def input_of(row: predictions.Row) -> Step:
    """What was sent for an answer, where it is stored."""
    content = predictions.Store().input(row["input"])
    if content is None:
        how = f"`serving.predictions.inputs: true` in conf/family/{row['family']}.yaml stores inputs from then on"
        raise cache.NotHere(f"SHA-256 {row['input']}; the input was not stored: {how}.")
    if hashlib.sha256(content).hexdigest() != row["input"]:
        raise ValueError(f"the input stored as {row['input'][:12]} has another SHA-256")
    return f"SHA-256 {row['input']}, {len(content):,} bytes, stored", {"sha256": row["input"], "bytes": len(content)}
