"""What the tests expect of signatures."""

from typing import Any

from numpy.typing import NDArray

from tests.detectors import network as network

SERVED = ["model.onnx", "network.cfg", "opencv.weights"]
BEGINS = r"(\d+) signatures?\.\n"  # an answer as `make predict` prints it
SHARES = None  # how many it lists; None: as many as it says
BOX, NEAR, FAR = [10.0, 10.0, 20.0, 10.0], [12.0, 11.0, 20.0, 10.0], [60.0, 60.0, 20.0, 10.0]


def signed(*boxes: list[float], pages: list[list[list[float]]] | None = None) -> dict[str, Any]:
    found = [box for page in pages for box in page] if pages else [*boxes]
    answer = {"prediction": found, "count": len(found), "scores": [0.9] * len(found)}
    return answer | ({"pages": [{"prediction": page} for page in pages]} if pages else {})


AGREEING = [
    (signed(), [signed()], [signed(BOX)]),
    (signed(BOX, FAR), [signed(FAR, NEAR)], [signed(BOX), signed(BOX, NEAR), signed(BOX, FAR, FAR)]),
    (signed(pages=[[BOX], []]), [signed(pages=[[NEAR], []])], [signed(pages=[[], [BOX]])]),
]  # what one says, what agrees with it, what does not


def recognised(arrays: dict[str, NDArray[Any]]) -> bool:
    """Does a released model find in its golden example what is there?"""
    return len(arrays["boxes"]) == 1 and bool(arrays["boxes"][0, 4] > 0.9)
