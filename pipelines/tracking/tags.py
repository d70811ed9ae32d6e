"""The names of MLflow's tags, for the client that writes them and the reader that does without MLflow."""

KEY = "atelier.key"  # of a training: a run has one
DIGEST, DATA = "atelier.digest", "atelier.data"  # of a run and of a registered version
DVC, DATA_DVC = "atelier.dvc", "atelier.data_dvc"  # DVC's hashes of the model folder and of the data
DONE = "atelier.complete"  # the state up to which a run has been written
ALIASED = "atelier.champion"  # of a registered model: the version that reconciling last gave the alias
CANDIDATE, COMMIT = "candidate", "mlflow.source.git.commit"
