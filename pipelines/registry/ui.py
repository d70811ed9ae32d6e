"""`make ui`: MLflow's page on what git, dvc.lock and the ledgers know."""

import sys

from pipelines import discovery, processes
from pipelines.registry import reconcile
from pipelines.tracking import client as tracking
from pipelines.tracking import reader, views

SERVER = (sys.executable, "-m", "atelier.quiet", "pipelines.tracking.server")


def main(host: str, port: int) -> int:
    """Serve the page until Ctrl-C, and reconcile every family while the server starts; its exit code."""
    if tracking.DATABASE.exists():
        reader.check()
    return processes.run_to_end([*SERVER, host, str(port)], meanwhile=lambda: _follow(f"http://{host}:{port}"))


def _follow(root: str) -> None:
    """Reconcile every family, and print where its candidates are compared."""
    reconcile.main()
    store = tracking.client()
    print("Candidates side by side:")
    for family in discovery.names():
        print(f"  {family:10}  {root}/{views.address(tracking.experiment(store, family))}")
