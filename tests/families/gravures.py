"""What the tests expect of gravures."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.engravers import network as network

SERVED = ["model.onnx", "index.npy", "index.json", "catalogue.json"]
BEGINS = "Most like it: "  # an answer as `make predict` prints it
SHARES = 0  # how many it lists; None: as many as it says


def nearest(*names: str) -> dict[str, Any]:
    return {"matches": [{"engraving": name, "similarity": 0.9} for name in names]}


AGREEING = [
    (nearest("star", "moon"), [nearest("star"), nearest("star", "sun")], [nearest("moon", "star")])
]  # what one says, what agrees with it, what does not


def recognised(arrays: dict[str, NDArray[Any]]) -> bool:
    """Does a released model find in its golden example what is there?"""
    return bool(abs(np.linalg.norm(arrays["embedding"]) - 1) < 1e-4)
