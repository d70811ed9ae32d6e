"""1,000 metric values into a fresh MLflow database: `python -m benchmarks.logged ours <folder>`. Prints seconds."""

import sys
import time
from pathlib import Path

from pipelines import tracking

EPOCHS, NAMES = 250, ("epoch", "accuracy", "loss", "seconds")


def main() -> None:
    """As Atelier logs them (batches), or one by one (`peer`)."""
    tracking.ROOT = Path(sys.argv[2])
    store = tracking.client()
    run = store.create_run(tracking.experiment(store, "bench"))
    begun = time.perf_counter()
    if sys.argv[1] == "ours":
        tracking.log_history(store, run, [{name: float(epoch) for name in NAMES} for epoch in range(1, EPOCHS + 1)])
    else:
        for epoch in range(1, EPOCHS + 1):
            for name in NAMES:
                store.log_metric(run.info.run_id, name, float(epoch), step=epoch)
    print(time.perf_counter() - begun)


if __name__ == "__main__":
    main()
