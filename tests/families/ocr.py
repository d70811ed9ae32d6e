"""What the tests expect of ocr."""

from typing import Any

from numpy.typing import NDArray

from tests.readers import network as network

SERVED = ["model.onnx", "alphabet.json"]
BEGINS = r"It says, in (\d+) lines?:\n"  # an answer as `make predict` prints it
SHARES = None  # how many it lists; None: as many as it says


def text(words: str) -> dict[str, Any]:
    return {"text": words, "confidence": 0.9 if words else 0.0}


AGREEING = [(text("TOTAL 7.00"), [text("TOTAL 7.00")], [text("TOTAL 1.00"), text("")])]  # what one says, what agrees with it, what does not


def recognised(arrays: dict[str, NDArray[Any]]) -> bool:
    """Does a released model find in its golden example what is there?"""
    return str(arrays["text"][0]).lower() == "total 12.50"
