"""What the tests expect of objects."""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from pipelines.families.objects.embedded import SHAPES
from pipelines.families.objects.examples import CONVENTION
from tests import classifiers

TINY = classifiers.Tiny("pictures", TensorProto.UINT8, (32, 32, 3), 1 / 3000, sorted(SHAPES), CONVENTION)
SERVED = ["model.onnx"]
BEGINS = "It is: "  # an answer as `make predict` prints it
SHARES = 3  # how many it lists; None: as many as it says
AGREEING = [(classifiers.answer("cat"), [classifiers.answer("cat")], [classifiers.answer("dog")])]  # an answer, what agrees, what does not

network = partial(classifiers.network, TINY)


def recognised(arrays: dict[str, NDArray[np.float32]]) -> bool:
    """Does a released model find in its golden example what is there?"""
    return bool(arrays["probabilities"].max() > 0.5)
