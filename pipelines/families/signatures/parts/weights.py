"""Darknet's .weights files: the weights of a network in the cfg's order.

A header (major, minor, revision: int32; pictures seen: int64, before version 0.2 int32), then float32 for each convolution:
biases; scales, means and variances where it is normalised; weights.
"""

import struct
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.families.signatures.parts.darknet import Convolutional, Darknet

VERSION = (0, 2, 5)
OPENCV = 1e-5 - 1e-6  # Darknet and PyTorch add 1e-5 to a variance; OpenCV's reader of Darknet files adds 1e-6
VARIANCE = "norm.running_var"
NORMALISED = ("norm.bias", "norm.weight", "norm.running_mean", VARIANCE, "convolution.weight")
PLAIN = ("convolution.bias", "convolution.weight")


class BadWeights(ValueError):
    """A file that does not hold the weights of this cfg."""


def size(network: Darknet) -> int:
    """Bytes of the network's .weights file."""
    return struct.calcsize("<iiiq") + 4 * sum(_counts(network))


def seen(path: Path) -> int:
    """How many pictures Darknet had trained on when it wrote a file. Raises BadWeights."""
    start = _header(path)
    return int(np.fromfile(path, "<u8" if start == 20 else "<u4", 1, offset=12)[0])


def read(network: Darknet, path: Path, backbone: bool = False) -> int:
    """Load the weights of a file; with `backbone` it may end after any layer, as yolov4.conv.137 does.

    Returns how many convolutions were filled. Raises BadWeights, the network untouched.
    """
    start = _header(path)
    filled = _filled(network, path, start, backbone)
    layers = network.convolutions()[:filled]
    values = torch.from_numpy(np.fromfile(path, "<f4", offset=start).astype(np.float32, copy=False))
    if not values.isfinite().all():
        raise BadWeights(f"{path} holds weights that are no numbers. The training that wrote it diverged; use earlier ones.")
    tensors = [tensor for layer in layers for tensor in _tensors(layer).values()]
    for tensor, part in zip(tensors, torch.split(values, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))
    return filled


def write(network: Darknet, path: Path, for_opencv: bool = False) -> None:
    """Write all weights, the same bytes for the same weights; `for_opencv` moves variances so that OpenCV computes what Darknet does."""
    with path.open("wb") as out:
        out.write(struct.pack("<iiiq", *VERSION, 0))
        for layer in network.convolutions():
            for name, tensor in _tensors(layer).items():
                out.write(_bytes(tensor.double() + OPENCV if for_opencv and name == VARIANCE else tensor))


def _tensors(layer: Convolutional) -> dict[str, Tensor]:
    """Of one convolution, in the file's order; they share their memory with the network."""
    state = layer.state_dict()
    return {name: state[name] for name in (NORMALISED if layer.norm is not None else PLAIN)}


def _counts(network: Darknet) -> list[int]:
    return [sum(tensor.numel() for tensor in _tensors(layer).values()) for layer in network.convolutions()]


def _bytes(tensor: Tensor) -> bytes:
    values: NDArray[np.float32] = tensor.cpu().contiguous().numpy().astype("<f4")
    return values.tobytes()


def _header(path: Path) -> int:
    """Bytes of the header."""
    with path.open("rb") as file:
        beginning = file.read(12)
    if len(beginning) < 12:
        raise BadWeights(f"{path} has {len(beginning)} bytes, fewer than the header of a .weights file.")
    major, minor, _ = struct.unpack("<iii", beginning)
    return 20 if major * 10 + minor >= 2 else 16


def _filled(network: Darknet, path: Path, start: int, backbone: bool) -> int:
    """How many convolutions the file fills."""
    ends = [start + 4 * int(count) for count in np.cumsum(_counts(network))]
    found = path.stat().st_size
    if found == ends[-1] or (backbone and found in ends):
        return ends.index(found) + 1
    words = "too short" if found < ends[-1] else "too long"
    ending = " or end where a layer does" if backbone else ""
    raise BadWeights(
        f"{path} is {words}: it has {found} bytes, and those of the cfg's {len(ends)} convolutions are {ends[-1]}{ending}. "
        "Take the weights that were trained with this cfg."
    )
