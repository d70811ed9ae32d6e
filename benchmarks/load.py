"""`make load family=digits users=100`: users at a service of its own on the loopback address, for a bounded time."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import services
from benchmarks.harness import Stopped
from pipelines import discovery, errors

LONGEST = 600  # seconds
NONE = (
    "No answer was counted in {seconds} s from users={users}. Give users=1 or more and more seconds=; Locust's report above says the rest."
)
TOLD = "{requests} requests, {failures} failures, {rps:.0f} requests/s, p50 {p50:g} ms, p99 {p99:g} ms; the service holds {memory:.0f} MB."


def main() -> None:
    """Start the service, send the users, stop it. Exits 1 when a request failed, or no answer was counted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=main.__doc__)
    parser.add_argument("--family", required=True)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=60)
    asked = parser.parse_args()
    seconds = min(asked.seconds, LONGEST)
    with errors.printed_once(), services.started({asked.family: services.ours(discovery.validate(asked.family))}) as running:
        service = running[asked.family]
        figures = sent(service.address, asked.family, asked.users, seconds)
        if not figures["requests"]:
            raise Stopped(NONE.format(seconds=seconds, users=asked.users))
        print(TOLD.format(**figures, memory=service.memory_mb()))
        if figures["failures"]:
            raise Stopped(f"{figures['failures']} of {figures['requests']} requests failed; Locust's report above says how.")


def sent(address: str, family: str, users: int, seconds: int) -> dict[str, Any]:
    """Run Locust; its figures over all requests, as users.py stores them."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "figures.json")
        words = ["-f", str(Path(__file__).with_name("users.py")), "--host", address, "--headless", "--only-summary"]
        size = ["--users", str(users), "--spawn-rate", str(max(1, users // 2)), "--run-time", f"{seconds}s"]
        variables = {"FIGURES": str(file), "FAMILY": family}
        subprocess.run([sys.executable, "-m", "locust", *words, *size, "--exit-code-on-error", "0"], check=True, env=os.environ | variables)
        return json.loads(file.read_text())


if __name__ == "__main__":
    main()
