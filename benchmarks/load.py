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
from pipelines import errors, families

LONGEST = 600  # seconds


class Failed(RuntimeError):
    """Requests that were not answered, or not rightly."""


def main() -> None:
    """Start the service, send the users, stop it. Exits 1 when a request failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=main.__doc__)
    parser.add_argument("--family", required=True)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=60)
    asked = parser.parse_args()
    with errors.printed_once(), services.started({asked.family: services.ours(families.known(asked.family))}) as running:
        service = running[asked.family]
        os.environ["FAMILY"] = asked.family
        figures = sent(service.address, asked.users, min(asked.seconds, LONGEST))
        print(f"{figures['num_requests']} requests, {figures['num_failures']} failures; the service holds {service.memory_mb():.0f} MB.")
        if figures["num_failures"]:
            raise Failed(f"{figures['num_failures']} of {figures['num_requests']} requests failed; Locust's table above says how.")


def sent(address: str, users: int, seconds: int) -> dict[str, Any]:
    """Locust's figures over all requests."""
    with tempfile.TemporaryDirectory() as room:
        words = ["-f", str(Path(__file__).with_name("users.py")), "--host", address, "--headless", "--only-summary"]
        size = ["--users", str(users), "--spawn-rate", str(max(1, users // 2)), "--run-time", f"{seconds}s"]
        report = Path(room, "load.json")
        subprocess.run([sys.executable, "-m", "locust", *words, *size, "--json-file", str(report), "--exit-code-on-error", "0"], check=True)
        (figures,) = json.loads(next(path for path in Path(room).iterdir()).read_text())
    return figures


if __name__ == "__main__":
    main()
