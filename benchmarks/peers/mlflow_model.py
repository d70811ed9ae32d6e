"""A Keras network saved as an MLflow model: `python -m benchmarks.peers.mlflow_model model.keras <folder>`."""

import sys

import keras
import mlflow
import numpy as np
from mlflow.models import infer_signature


def main() -> None:
    """With the softmax that serving needs."""
    logits = keras.saving.load_model(sys.argv[1])
    model = keras.Model(logits.input, keras.layers.Softmax()(logits.output))
    one = np.zeros((1, 28, 28, 1), np.float32)
    needs = ["mlflow", "keras", "tensorflow"]
    mlflow.keras.save_model(model, sys.argv[2], signature=infer_signature(one, np.asarray(model(one))), pip_requirements=needs)


if __name__ == "__main__":
    main()
