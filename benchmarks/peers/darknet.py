"""Darknet's files in OpenCV, as its own examples have it: blobFromImage, forward, NMSBoxes; rows are chosen by NumPy, not one by one."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.models import manifests

Answer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # a page [height, width, 3] -> boxes [k, 5]: x, y, w, h as fractions, score


def detector(folder: Path) -> Answer:
    """One network. OpenCV's is not for several threads at once."""
    manifest = manifests.read(folder)
    side, threshold, overlap = (manifest["preprocessing"][key] for key in ("side", "threshold", "overlap"))
    network = cv2.dnn.readNetFromDarknet(*(str(manifests.file(folder, manifest, role)) for role in ("cfg", "weights")))
    names = network.getUnconnectedOutLayersNames()

    def answer(page: NDArray[np.uint8]) -> NDArray[np.float32]:
        network.setInput(cv2.dnn.blobFromImage(page, 1 / 255, (side, side), swapRB=True, crop=False))
        rows = np.concatenate(network.forward(names))
        scores = rows[:, 5:].max(1)
        told = scores >= threshold
        low, high = (np.clip(rows[told, :2] + sign * rows[told, 2:4] / 2, 0, 1) for sign in (-1, 1))
        boxes = np.hstack([low, high - low])
        chosen = cv2.dnn.NMSBoxes(boxes.tolist(), scores[told].tolist(), threshold, overlap)
        return np.column_stack([boxes, scores[told]])[np.asarray(chosen, int).ravel()]

    return answer
