"""`make ui`: MLflow's page on what git, dvc.lock and the ledgers know."""

import os
import sys

from pipelines import discovery, processes
from pipelines.registry import reconcile
from pipelines.tracking import client as tracking
from pipelines.tracking import views

SERVER = (sys.executable, "-m", "atelier.quiet", "mlflow", "ui", "--workers", "1")


def main(host: str, port: int) -> int:
    """Serve the page until Ctrl-C, and reconcile every family while the server starts; its exit code."""
    tracking.client()  # one process makes the database
    os.environ |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # seconds, for jobs that nobody starts here
    address = ("--backend-store-uri", tracking.uri(), "--host", host, "--port", str(port))
    return processes.run_to_end([*SERVER, *address], meanwhile=lambda: _follow(f"http://{host}:{port}"))


def _follow(root: str) -> None:
    """Reconcile every family, and print where its candidates are compared."""
    reconcile.main()
    store = tracking.client()
    print("Candidates side by side:")
    for family in discovery.names():
        print(f"  {family:10}  {root}/{views.address(tracking.experiment(store, family))}")
