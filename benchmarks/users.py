"""What a user does: sends the example and looks at the answer. Locust runs this file."""

import json
import os
from pathlib import Path
from typing import Any

from locust import FastHttpUser, events, task

from benchmarks import example

PNG = example.png()


@events.quitting.add_listener
def keep(environment: Any, **_: Any) -> None:
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


class User(FastHttpUser):
    """Asks again as soon as the answer is there; a wrong answer is a failure."""

    @task
    def predict(self) -> None:
        """POST /predict."""
        picture = {"image": ("seven.png", PNG, "image/png")}
        with self.client.post("/predict", files=picture, catch_response=True) as answer:
            if not answer.ok:
                answer.failure(f"{answer.status_code} {answer.text[:200]}")
            elif answer.json()["model"]["family"] != os.environ["FAMILY"] or answer.json()["prediction"] != example.LABEL:
                answer.failure(f"wrong: {answer.text[:200]}")
