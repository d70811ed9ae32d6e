"""The names of MLflow's tags."""

KEY = "atelier.key"  # of a training's run
DIGEST, DATA = "atelier.digest", "atelier.data"  # of a run and of a registered version
DVC, DATA_DVC = "atelier.dvc", "atelier.data_dvc"  # DVC's hashes of the model folder and of the data
DONE = "atelier.complete"  # hash of what a run was last derived from
REPORTED = "atelier.reported"  # the same of a run that has a report of git, and no model folder
ALIASED = "atelier.champion"  # of a registered model: the version that reconcile last gave the alias
CANDIDATE, COMMIT, DIRTY = "candidate", "mlflow.source.git.commit", "atelier.dirty"  # dirty: "true", "false" or UNKNOWN
SWEEP, TRIAL = "atelier.sweep", "atelier.trial"  # of a sweep's run and its trials': the study's key; the number of a trial
UNKNOWN = "unknown"  # commit and dirty where git says neither
