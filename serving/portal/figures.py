"""What a service says of itself at /metrics, for people: requests by route, refusals by reason, the queue, and what was recorded."""

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel

SHARE = 0.95  # of requests that are faster than the `slow` of a route
REQUESTS, REFUSALS = "atelier_requests_total", "atelier_refusals_total"
LOST, RECORDED, JOBS = "atelier_predictions_lost_total", "atelier_predictions_recorded_total", "atelier_jobs"
SECONDS = "atelier_request_seconds"


class Sample(NamedTuple):
    """One line of /metrics."""

    name: str
    labels: dict[str, str]
    value: float


class Path(BaseModel):
    """One route: requests by status, and seconds; `slow` is what 95% are faster than, as far as the histogram tells."""

    path: str
    statuses: dict[str, int]
    mean: float | None = None
    slow: float | None = None

    @property
    def requests(self) -> int:
        """All of them."""
        return sum(self.statuses.values())


class Figures(BaseModel):
    """Of one service, since it began."""

    paths: list[Path] = []
    refusals: dict[str, int] = {}
    jobs: dict[str, int] = {}
    recorded: int = 0
    lost: dict[str, int] = {}

    @property
    def requests(self) -> int:
        """To all routes."""
        return sum(path.requests for path in self.paths)

    @property
    def faults(self) -> int:
        """Requests that were answered with 500 or more."""
        return sum(count for path in self.paths for status, count in path.statuses.items() if status >= "500")


def parsed(text: str) -> Figures:
    """The figures of a /metrics. Raises ValueError where it is none."""
    return of(
        Sample(sample.name, sample.labels, sample.value) for family in text_string_to_metric_families(text) for sample in family.samples
    )


def of(samples: Iterable[Sample]) -> Figures:
    """The figures of these samples."""
    found = defaultdict[str, list[Sample]](list)
    for sample in samples:
        found[sample.name].append(sample)
    return Figures(
        paths=_paths(found),
        refusals=_by(found[REFUSALS], "reason"),
        jobs=_by(found[JOBS], "state"),
        recorded=int(sum(sample.value for sample in found[RECORDED])),
        lost=_by(found[LOST], "reason"),
    )


def _by(samples: Iterable[Sample], label: str) -> dict[str, int]:
    """{value of the label: count}, the most first, none without any."""
    counts = defaultdict[str, int](int)
    for sample in samples:
        counts[sample.labels.get(label, "")] += int(sample.value)
    return {name: count for name, count in sorted(counts.items(), key=lambda pair: -pair[1]) if count}


def _paths(found: dict[str, list[Sample]]) -> list[Path]:
    """The routes, the busiest first."""
    statuses = defaultdict[str, dict[str, int]](dict)
    for sample in found[REQUESTS]:
        statuses[sample.labels["path"]][sample.labels["status"]] = int(sample.value)
    paths = [Path(path=path, statuses=dict(sorted(counts.items())), **_seconds(found, path)) for path, counts in statuses.items()]
    return sorted(paths, key=lambda path: -path.requests)


def _seconds(found: dict[str, list[Sample]], path: str) -> dict[str, Any]:
    total, count = (sum(s.value for s in found[f"{SECONDS}_{kind}"] if s.labels["path"] == path) for kind in ("sum", "count"))
    buckets = sorted((float(s.labels["le"]), s.value) for s in found[f"{SECONDS}_bucket"] if s.labels["path"] == path)
    slow = next((le for le, below in buckets if count and below >= SHARE * count), math.inf)
    return {"mean": total / count if count else None, "slow": slow if math.isfinite(slow) else None}
