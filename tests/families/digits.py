"""What the tests expect of digits."""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from pipelines.families.digits.examples import CONVENTION, LABELS
from tests import classifiers

TINY = classifiers.Tiny("pixels", TensorProto.FLOAT, (28, 28, 1), 1, LABELS, CONVENTION)
SERVED = ["model.onnx"]
BEGINS = "It is a"  # an answer as `make predict` prints it
SHARES = 10  # how many it lists; None: as many as it says
AGREEING = [(classifiers.answer(7), [classifiers.answer(7)], [classifiers.answer(1)])]  # what one says, what agrees with it, what does not

network = partial(classifiers.network, TINY)


def recognised(arrays: dict[str, NDArray[np.float32]]) -> bool:
    """Does a released model find in its golden example what is there?"""
    return bool(LABELS[int(arrays["probabilities"].argmax())] == 7)
