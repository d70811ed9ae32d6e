"""Readable forms of metrics, intervals, seconds, machines, sources and errors."""

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

NAMES = {  # of metrics with cryptic keys
    "nll": "negative log-likelihood",
    "cer": "character error rate",
    "wer": "word error rate",
    "exact": "lines without an error",
    "raw_cer": "character error rate, capitals and spaces counted",
    "raw_wer": "word error rate, capitals and spaces counted",
    "raw_exact": "lines without an error, capitals and spaces counted",
    "retrieval": "mean of average precision and one-shot",
    "one_shot_random": "one-shot of 20 characters",
    "one_shot_within": "one-shot of 20 characters of one alphabet",
    "map50": "mAP at IoU 0.5",
    "map50_95": "mAP at IoU 0.5 to 0.95",
    "map30": "mAP at IoU 0.3",
    "f1": "F1",
    "f1_30": "F1 at IoU 0.3",
    "count_accuracy": "pages with the right count",
    "signed_precision": "precision of \u201csigned\u201d",
    "signed_recall": "recall of \u201csigned\u201d",
}
COUNTED = {"nll"}  # metrics that are no share
SURE = 0.9  # from here on an answer is called sure
FRACTION = re.compile(r"(?<![\d.])([+-]?)([01]\.\d{4})(?!\d)")  # a share as the gate words it
OWN = {"atelier", "pipelines", "serving", "__main__"}  # packages whose error messages are for users
RANKED = re.compile(r"(?:(\w+)_)?(?:top(\d+)|map)")
GALLERIES = {  # prefix of a metric: the images that were searched
    "five": ", five drawings a class",
    "official": ", official pictures",
    "unseen": ", classes never seen",
    "unseen_five": ", classes never seen, five drawings each",
}


class Figure(NamedTuple):
    """A metric on one split; `low` and `high` are its 95 % interval, or None."""

    value: float
    low: float | None
    high: float | None


class Source(NamedTuple):
    """Files of a data card that share name, licence and citation."""

    name: str
    licence: str
    citation: str
    files: list[dict[str, Any]]


def figures(metrics: Mapping[str, float]) -> dict[str, Figure]:
    """{metric: Figure}, those with an interval first; `m_low` and `m_high` become the interval of `m`."""
    bounds = {f"{name}{end}" for name in metrics for end in ("_low", "_high")}
    found = {name: Figure(value, metrics.get(f"{name}_low"), metrics.get(f"{name}_high")) for name, value in metrics.items()}
    return dict(sorted(((name, figure) for name, figure in found.items() if name not in bounds), key=lambda item: item[1].low is None))


def sources(listed: Iterable[dict[str, Any]]) -> list[Source]:
    """The sources of a data card, files of one origin together."""

    def shared(source: dict[str, Any]) -> tuple[str, str, str]:
        return (str(source.get("source") or ""), str(source.get("licence") or ""), str(source.get("citation") or ""))

    return [Source(*key, files=list(files)) for key, files in groupby(listed, key=shared)]


def metric_name(metric: str) -> str:
    """calibration_error -> calibration error, five_top10 -> top-10, five drawings a class"""
    if (match := RANKED.fullmatch(metric)) and (match[1] is None or match[1] in GALLERIES):
        return (f"top-{match[2]}" if match[2] else "mean average precision") + GALLERIES.get(match[1] or "", "")
    return NAMES.get(metric, metric.replace("_", " "))


def percent(share: float) -> str:
    """0.9968 -> 99.68%"""
    return f"{share:.2%}"


def figure(metric: str, value: float) -> str:
    """A metric's value: a share in percent, another number with four decimals."""
    return f"{value:.4f}" if metric in COUNTED else percent(value)


def in_percent(words: str) -> str:
    """The gate's words, shares in percent and the metric by its name: map50 0.9951 -> mAP at IoU 0.5 99.51%, +0.0267 -> +2.67%"""
    metric, space, rest = words.partition(" ")
    return metric_name(metric) + space + FRACTION.sub(lambda found: f"{found[1]}{percent(float(found[2]))}", rest)


def certainty(confidence: float) -> str:
    """0.9968 -> sure (99.68%), 0.62 -> check this one (62.00%)"""
    return f"{'sure' if confidence >= SURE else 'check this one'} ({percent(confidence)})"


def duration(seconds: float) -> str:
    """543.6 -> 9 min 4 s"""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def hardware(machine: Mapping[str, Any]) -> str:
    """{"cores": 2, "cpu": "AMD EPYC", "gpu": [], "memory_gb": 25} -> 2 cores of AMD EPYC, 25 GB, no GPU"""
    cards = ", ".join(map(str, machine.get("gpu") or [])) or "no GPU"
    return f"{machine.get('cores', '?')} cores of {machine.get('cpu', 'an unnamed processor')}, {machine.get('memory_gb', '?')} GB, {cards}"


def is_web_address(text: object) -> bool:
    """Is this a web address, fit for a link? `javascript:` is not."""
    return str(text).startswith(("https://", "http://"))


def is_own(error: Exception) -> bool:
    """Is this one of the project's own errors, whose message is for users?"""
    return type(error).__module__.partition(".")[0] in OWN


def one_line(error: Exception) -> str:
    """An error in one line, without this machine's paths; with its type where it is not the project's."""
    words = str(error) if is_own(error) else f"{type(error).__name__}: {error}"
    return " ".join(words.split()).replace(f"{Path.cwd()}/", "")
