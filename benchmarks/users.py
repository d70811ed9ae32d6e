"""What a user does: sends the example and looks at the answer. Locust runs this file."""

import json
import os
from pathlib import Path
from typing import Any

from locust import FastHttpUser, events, task

from benchmarks import example

FAMILY = os.environ["FAMILY"]
NAME, KIND, CONTENT = example.file(FAMILY)
EXPECTED = dict(example.LABELS)
PATH = example.PATHS.get(FAMILY, "/predict")


@events.quitting.add_listener
def store(environment: Any, **_: Any) -> None:
    """The figures over all requests, to the file named FIGURES."""
    total = environment.stats.total
    figures = {
        "requests": total.num_requests,
        "failures": total.num_failures,
        "rps": total.total_rps,
        "p50": total.get_response_time_percentile(0.5),
        "p99": total.get_response_time_percentile(0.99),
    }
    Path(os.environ["FIGURES"]).write_text(json.dumps(figures))


def right(said: dict[str, Any]) -> bool:
    """Is the answer this family's, and the right one, or where that is unknown, the first one again?"""
    seen = example.seen(said)
    return (said.get("model") or {}).get("family") == FAMILY and seen is not None and seen == EXPECTED.setdefault(FAMILY, seen)


class User(FastHttpUser):
    """Asks again as soon as the answer is there; a wrong answer is a failure."""

    @task
    def predict(self) -> None:
        """POST an image."""
        picture = {"image": (NAME, CONTENT, KIND)}
        with self.client.post(PATH, files=picture, catch_response=True) as answer:
            if not answer.ok:
                answer.failure(f"{answer.status_code} {answer.text[:200]}")
            elif not right(answer.json()):
                answer.failure(f"wrong: {answer.text[:200]}")
