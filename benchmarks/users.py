"""What a user does: sends the example and looks at the answer. Locust runs this file."""

import os

from locust import FastHttpUser, task

from benchmarks import example

PNG = example.png()


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
