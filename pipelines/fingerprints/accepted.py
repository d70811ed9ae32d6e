"""registry/accepted.jsonl: the evidence of `make accept` that changed code computes the same."""

import json
from pathlib import Path
from typing import Any

from pipelines import folders

LOG = Path("registry", "accepted.jsonl")
Evidence = dict[str, Any]


class BrokenLog(ValueError):
    """A registry/accepted.jsonl that is not what `make accept` wrote."""


def of(candidate: str) -> list[Evidence]:
    """The evidence of a candidate, oldest first. Raises BrokenLog."""
    return [line for line in read() if line["candidate"] == candidate]


def read() -> list[Evidence]:
    """Every line, oldest first. Raises BrokenLog."""
    text = LOG.read_text() if LOG.exists() else ""
    try:
        found = [json.loads(line) for line in text.splitlines()]
        for line in found:
            words(line)  # raises where a field is missing
        return found
    except (ValueError, LookupError, TypeError) as fault:
        raise BrokenLog(f"{LOG} cannot be read ({fault}). `git checkout HEAD -- {LOG}` restores what was committed.") from fault


def words(line: Evidence) -> str:
    """A line as a sentence. Raises LookupError or TypeError where a field is missing."""
    stage = f"{line['stage']}@{line['candidate']}"
    return f"{stage} on {line['time']}: code as of commit {line['was']['commit'][:12]} and other code gave the same, {line['data']}"


def append(line: Evidence) -> None:
    """Append a line. Raises BrokenLog."""
    folders.write(LOG, "".join(f"{json.dumps(each)}\n" for each in [*read(), line]))
