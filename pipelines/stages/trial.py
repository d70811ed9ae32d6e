"""trial: one training of a sweep, in a folder of its own, scored on validation alone; the test split is not read.

`python -m pipelines.stages.trial <folder> <data folder> <hash of the data> <configuration as JSON>` prints a line of JSON for each
epoch, those before a kill included, and one with the figures at the end. A folder that is there already is continued.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from pipelines import configs, discovery, errors, folders
from pipelines.configs import Config
from pipelines.models import manifests
from pipelines.stages.evaluate import latency_ms
from pipelines.sweeps import data as trial_data
from pipelines.sweeps import messages
from pipelines.sweeps.messages import Figures
from pipelines.training import session
from pipelines.training.session import Epoch, Training


class OtherData(ValueError):
    """Data that are not those of the study, as on a node of a cluster."""


def main(folder: Path, data: Path, expected: str, cfg: Config) -> None:
    """Train, export and score; the model folder is complete or absent. Raises OtherData."""
    metric, model = discovery.part(cfg.family, "score").HEADLINE, folder / "model"
    digest = trial_data.packed(cfg, data)
    if digest != expected:
        raise OtherData(
            f"{data} has the hash {digest[:12]} here, the study's data {expected[:12]}. `dvc pull {data}` at its commit fetches them."
        )

    def listen(row: Epoch) -> None:
        print(messages.written(messages.Epoch(int(row["epoch"]), row[f"valid_{metric}"], row["seconds"])), flush=True)

    if not (model / manifests.MANIFEST).exists():
        _train(cfg, data, digest, model, listen)
    else:
        any(map(listen, session.read_history(model)))
    print(messages.written(_figures(data, model)), flush=True)


def _train(cfg: Config, data: Path, digest: str, model: Path, listen: Any) -> None:
    training = Training(model.parent / "training")
    training.listen = listen
    for row in training.history:
        listen(row)
    with folders.replacing(model) as out:
        description = discovery.part(cfg.family, "fit").fit(cfg, data=data, out=out, log=training)
        session.write_history(out, training.history)
        manifests.write(out, cfg, digest, description)
    training.finish()


def _figures(data: Path, model: Path) -> Figures:
    predictor = discovery.part(family := manifests.read(model)["family"], "predict").Predictor(model)
    scoring, valid = discovery.part(family, "score"), discovery.part(family, "examples").load(data, "valid")
    metric = float(scoring.metrics(scoring.outcomes(predictor, valid))[scoring.HEADLINE])
    return Figures(metric, manifests.served_bytes(predictor.manifest) / 1e6, latency_ms(predictor, valid.images))


if __name__ == "__main__":
    errors.help_if_asked("<folder> <data folder> <hash of the data> <configuration as JSON>")
    with errors.printed_once():
        try:
            main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], configs.check(json.loads(sys.argv[4])))
        except OSError as error:
            if not (isinstance(error, folders.WriteFailed) or errors.disk_fault(error)):
                raise
            print(error, file=sys.stderr)
            sys.exit(messages.DISK_FULL)
        os._exit(0)  # all is written; TensorFlow would take a second and a half to end
