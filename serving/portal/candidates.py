"""The candidates of a family side by side, by the reports of the working tree."""

import json
from pathlib import Path
from typing import NamedTuple

from pipelines import discovery, phrases
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import AlteredLedger

REPORTS = Path("reports")


class Candidate(NamedTuple):
    """A candidate's report: {metric: figure} on validation and test, seconds of training, milliseconds an answer, megabytes."""

    name: str
    standing: str
    valid: dict[str, phrases.Figure]
    test: dict[str, phrases.Figure]
    seconds: float
    milliseconds: float
    megabytes: float


class Compared(NamedTuple):
    """A family's candidates, and the metric that its gate asks for."""

    candidates: list[Candidate]
    metric: str

    @property
    def metrics(self) -> list[str]:
        """Those of any candidate, the gate's first."""
        found = dict.fromkeys(name for candidate in self.candidates for name in candidate.test)
        return sorted(found, key=lambda name: name != self.metric)

    def best(self, metric: str) -> float | None:
        """The highest figure on test, of errors the lowest; None where there is nothing to compare."""
        known = [candidate.test[metric].value for candidate in self.candidates if metric in candidate.test]
        return (min if metric.endswith(LESS) else max)(known) if len(known) > 1 else None


LESS = ("nll", "error", "cer", "wer")  # what is better where it is less


def compared(family: str) -> Compared:
    """The candidates that have a report here, the champion first."""
    champion, challenger = _standing(family)
    files = [REPORTS / family / "candidates" / f"{name}.json" for name in discovery.candidates(family)]
    found = [_candidate(file, champion, challenger) for file in files if file.is_file()]
    metrics = [REPORTS / family / "metrics" / file.name for file in files]
    metric = next((str(json.loads(file.read_text())["metric"]) for file in metrics if file.is_file()), "")
    return Compared(sorted(found, key=lambda each: (each.standing != "champion", each.name)), metric)


def _standing(family: str) -> tuple[str, str]:
    """The candidates that are champion and challenger; empty where none is."""
    try:
        lines = ledger.read(family)
    except AlteredLedger:
        return "", ""
    return tuple(str((line or {}).get("candidate", "")) for line in (ledger.champion(lines), ledger.challenger(lines)))  # type: ignore[return-value]


def _candidate(file: Path, champion: str, challenger: str) -> Candidate:
    report = json.loads(file.read_text())
    valid, test = (phrases.figures(report[split]) for split in ("valid", "test"))
    standing = "champion" if file.stem == champion else "challenger" if file.stem == challenger else ""
    return Candidate(file.stem, standing, valid, test, report["seconds"]["train"], report["latency_ms"], report["size_mb"])
