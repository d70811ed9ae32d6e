"""The loss of YOLOv4: complete IoU for boxes, binary cross entropy for objectness and class; an anchor for every good overlap.

Sources: Bochkovskiy, Wang, Liao, "YOLOv4: Optimal Speed and Accuracy of Object Detection", 2020; Zheng et al., "Distance-IoU Loss", 2020
(complete IoU).
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou, complete_box_iou_loss

from pipelines.families.signatures.parts.darknet import Darknet, Head
from pipelines.families.signatures.settings import Fit


class Assigned(NamedTuple):
    """Cells of a head's map that are assigned to a box: indices [m] of page, anchor, row, column, and the boxes [m, 4] in cells."""

    page: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor
    boxes: Tensor


def loss(fit: Fit, network: Darknet, raws: list[Tensor], truth: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss and its parts. `truth` [k, 5]: page of the batch, then cx, cy, w, h as fractions of the page."""
    assigned = _assigned(fit, network, raws, truth)
    parts = [_of_head(fit, head, raw.float(), given, truth) for head, raw, given in zip(network.heads, raws, assigned, strict=True)]
    answering = max(1, sum(len(given.page) for given in assigned))
    sums = {name: torch.stack([part[name] for part in parts]).sum() / answering for name in ("box", "objectness", "class")}
    return fit.box_gain * sums["box"] + sums["objectness"] + sums["class"], {name: value.detach() for name, value in sums.items()}


def _assigned(fit: Fit, network: Darknet, raws: list[Tensor], truth: Tensor) -> list[Assigned]:
    """Assigns every box to each anchor, of any head, whose shape overlaps it more than `fit.iou`, and at least to the best one."""
    shapes = torch.tensor([anchor for head in network.heads for anchor in head.anchors], device=truth.device) / network.width
    overlap = _of_shapes(truth[:, 3:5], shapes)
    taken = overlap > fit.iou
    if len(truth):
        taken[torch.arange(len(truth), device=truth.device), overlap.argmax(1)] = True
    starts = [0]
    for head in network.heads:
        starts.append(starts[-1] + len(head.anchors))
    return [_placed(taken[:, first:last], raw, truth) for first, last, raw in zip(starts, starts[1:], raws, strict=False)]


def _of_shapes(sizes: Tensor, shapes: Tensor) -> Tensor:
    """IoU [k, a] of widths and heights laid on the same corner."""
    common = torch.minimum(sizes[:, None], shapes).prod(2)
    return common / (sizes.prod(1)[:, None] + shapes.prod(1) - common)


def _placed(taken: Tensor, raw: Tensor, truth: Tensor) -> Assigned:
    """The cell of one head that a box's centre lies in."""
    cells = torch.tensor([raw.shape[3], raw.shape[2]], device=truth.device)
    index, anchor = torch.nonzero(taken, as_tuple=True)
    boxes = truth[index, 1:] * cells.repeat(2)
    column, row = torch.minimum(boxes[:, :2].long(), cells - 1).clamp(min=0).unbind(1)
    return Assigned(truth[index, 0].long(), anchor, row, column, boxes)


def _of_head(fit: Fit, head: Head, raw: Tensor, given: Assigned, truth: Tensor) -> dict[str, Tensor]:
    """The three parts, summed over one head's map [n, anchors * (5 + classes), rows, columns]."""
    count, _, rows, columns = raw.shape
    values = raw.view(count, len(head.anchors), 5 + head.classes, rows, columns).permute(0, 1, 3, 4, 2)
    said = values[given.page, given.anchor, given.row, given.column]
    wanted = torch.zeros(values.shape[:-1], device=raw.device)
    wanted[given.page, given.anchor, given.row, given.column] = 1.0
    counted = (wanted > 0) | ~_ignored(fit, head, values.detach(), truth)
    objectness = functional.binary_cross_entropy_with_logits(values[..., 4], wanted, reduction="none")
    return {
        "box": _box_loss(head, said, given),
        "objectness": (objectness * counted).sum(),
        "class": _class_loss(fit, said),
    }


def _box_loss(head: Head, said: Tensor, given: Assigned) -> Tensor:
    """Complete IoU, in cells."""
    place = torch.stack([given.column, given.row], 1)
    answered = _decoded(head, said[:, :4], place, _shapes(head, said)[given.anchor])
    return complete_box_iou_loss(_corners(answered), _corners(given.boxes), reduction="sum")


def _shapes(head: Head, like: Tensor) -> Tensor:
    """The anchors [a, 2] in cells."""
    return torch.tensor(head.anchors, device=like.device, dtype=torch.float32) / head.stride


def _decoded(head: Head, said: Tensor, place: Tensor, shape: Tensor) -> Tensor:
    """Raw [..., 4] -> cx, cy, w, h in cells."""
    centre = said[..., :2].sigmoid() * head.scale - (head.scale - 1) / 2 + place
    return torch.cat([centre, said[..., 2:4].clamp(max=8).exp() * shape], -1)


def _corners(boxes: Tensor) -> Tensor:
    return torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], -1)


def _class_loss(fit: Fit, said: Tensor) -> Tensor:
    """Of the one class, with a smoothed label."""
    wanted = torch.full_like(said[:, 5:], 1 - fit.label_smoothing / 2)
    return functional.binary_cross_entropy_with_logits(said[:, 5:], wanted, reduction="sum")


@torch.no_grad()
def _ignored(fit: Fit, head: Head, values: Tensor, truth: Tensor) -> Tensor:
    """[n, anchors, rows, columns]: predictions that overlap a true box more than `fit.ignore`, which are not penalised."""
    _, anchors, rows, columns, _ = values.shape
    across, down = torch.arange(columns, device=values.device), torch.arange(rows, device=values.device)
    place = torch.stack(torch.meshgrid(across, down, indexing="xy"), -1)
    answered = _corners(_decoded(head, values[..., :4], place, _shapes(head, values).view(anchors, 1, 1, 2)))
    ignored = torch.zeros(values.shape[:-1], dtype=torch.bool, device=values.device)
    cells = torch.tensor([columns, rows, columns, rows], device=values.device)
    for page in set(truth[:, 0].long().tolist()):
        true = _corners(truth[truth[:, 0] == page, 1:] * cells)
        ignored[page] = (box_iou(answered[page].reshape(-1, 4), true) > fit.ignore).any(1).view(anchors, rows, columns)
    return ignored
