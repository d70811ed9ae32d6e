"""train: data/<family>/ -> models/<candidate>/, resumed after a kill, logged to MLflow, its export proven."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines import configs, devices, discovery, folders
from pipelines.datasets import cards
from pipelines.fingerprints import fingerprint
from pipelines.fingerprints.fingerprint import Code
from pipelines.models import manifests
from pipelines.tracking import client as tracking
from pipelines.training import records, session


class OneProcess(ValueError):
    """A family that torchrun cannot train."""


def main(cfg: configs.Config) -> None:
    """Train one candidate; its folder is complete or absent. Under torchrun the first process writes, the others compute with it."""
    fit = discovery.part(cfg.family, "fit")
    if devices.processes() > 1 and not hasattr(fit, "share"):
        command = f"python -m pipelines.stages.train family={cfg.family} candidate={cfg.candidate}"
        raise OneProcess(f"{cfg.family} trains in one process. Start it without torchrun: {command}")
    fingerprint.check(cfg.family, "train")
    card, code = cards.read(cfg.data_folder), Code(cfg.family).fingerprint("train")
    if devices.rank():
        return fit.share(cfg, cfg.data_folder, lambda: session.under_way(cfg, card["hash"], code))
    tracking.mlflow()  # so that its import does not count as the first epoch's
    begun, training = records.begun(cfg.family), session.under_way(cfg, card["hash"], code)
    with _resumable(cfg, training), folders.replacing(cfg.model_folder) as out, tracking.live(cfg, card, training):
        description = fit.fit(cfg, data=cfg.data_folder, out=out, log=training)
        session.write_history(out, training.history)
        records.write(out, training, begun)
        manifest = manifests.write(out, cfg, card["hash"], description)
    training.finish()
    words = f"digest {manifest['digest'][:12]}, {training.seconds()['train']:.0f} s, export proven to {description.proof.difference:.1g}"
    print(f"{cfg.model_folder}: {words}")


@contextmanager
def _resumable(cfg: configs.Config, training: session.Training) -> Iterator[None]:
    """After Ctrl-C, say how the training goes on."""
    try:
        yield
    except KeyboardInterrupt:
        finished = len(training.history)
        words = f"goes on after epoch {finished}" if finished else "begins again: no epoch was finished"
        print(f"{cfg.candidate} was interrupted. The same command {words}.", file=sys.stderr)
        raise


if __name__ == "__main__":
    configs.run(main, "candidate")
