"""objects, trained as by `dvc repro`: `python -m benchmarks.trained <data> <scratch> <overrides>` prints JSON, the model in <scratch>."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from pipelines import configs, devices
from pipelines.configs import Config
from pipelines.datasets import cards
from pipelines.families.objects import examples, fit, score
from pipelines.families.objects.predict import Predictor
from pipelines.models import manifests
from pipelines.training import session


def trained(cfg: Config, data: Path, scratch: Path) -> dict[str, Any]:
    """{"epochs": [{"valid", "seconds"}], "seconds"}: from before the data are read; validation and checkpoints count."""
    log, epochs = session.Training(scratch / "checkpoints"), []
    (scratch / "model").mkdir()
    begun = time.perf_counter()
    log.listen = lambda row: epochs.append({"valid": row["valid_accuracy"], "seconds": time.perf_counter() - begun})
    description = fit.fit(cfg, data, scratch / "model", log)
    manifests.write(scratch / "model", cfg, cards.read(data)["hash"], description)
    return {"epochs": epochs, "seconds": time.perf_counter() - begun}


def main() -> None:
    """Train, export, then score on test what would be served."""
    data, scratch = Path(sys.argv[1]), Path(sys.argv[2])
    figures = trained(configs.compose(["family=objects", *sys.argv[3:]]), data, scratch)
    peak = round(devices.peak_memory_mb())
    test = score.headline(score.outcomes(Predictor(scratch / "model"), examples.load(data, "test")))
    print(json.dumps({**figures, "test": test, "peak_mb": peak}))


if __name__ == "__main__":
    main()
