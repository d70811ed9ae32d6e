"""A Darknet cfg as a PyTorch network: the layers of YOLOv4 and YOLOv4-tiny.

Source: what https://github.com/AlexeyAB/darknet computes; Bochkovskiy, Wang, Liao, "YOLOv4", 2020, https://arxiv.org/abs/2004.10934
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.families.signatures.parts.cfg import BadNetwork, Section, sections

MOST_WEIGHTS = 500_000_000  # 2 GB; the full YOLOv4 has 64 million
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky": lambda: nn.LeakyReLU(0.1, inplace=True),
    "linear": nn.Identity,
    "logistic": nn.Sigmoid,
    "mish": nn.Mish,
    "relu": lambda: nn.ReLU(inplace=True),
    "swish": nn.SiLU,
}


class Shape(NamedTuple):
    """The shape of a layer's output for one page."""

    channels: int
    height: int
    width: int


class Head(NamedTuple):
    """One [yolo] layer: `anchors` are width and height in pixels of the input, `stride` the pixels of one of its cells.

    `scale` is scale_x_y: a centre may lie (scale - 1) / 2 of a cell outside its cell. `layer` is its number in the cfg.
    """

    layer: int
    anchors: list[tuple[float, float]]
    classes: int
    scale: float
    stride: int


class Darknet(nn.Module):
    """The network that a cfg describes, untrained.

    Takes pages [n, channels, height, width] of 0 to 1 and gives the raw map of each head, in the cfg's order:
    [n, anchors * (5 + classes), rows, columns]. Raises BadNetwork.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        net, *described = sections(text)
        net.without({"letter_box": "0", "time_steps": "1"})
        self.channels, self.height, self.width = (net.integer(key, 1, 8192) for key in ("channels", "height", "width"))
        self.layers = nn.ModuleList()
        self.sources: list[list[int]] = []
        self.heads: list[Head] = []
        shapes: dict[int, Shape] = {-1: Shape(self.channels, self.height, self.width)}
        for section in described:
            self._add(section, shapes)
        if not self.heads:
            raise BadNetwork(f"the cfg has no [yolo] layer among its {len(described)}: nothing would be found.")
        self._done = _last_uses(self.sources, {head.layer for head in self.heads})

    def _add(self, section: Section, shapes: dict[int, Shape]) -> None:
        """Append one layer; `shapes` are the outputs of the layers before it."""
        if section.name not in LAYERS:
            raise section.refused(f"unknown layer. Known are: {', '.join(f'[{name}]' for name in LAYERS)}.")
        sources = _sources(section, shapes)
        if section.name == "yolo":
            self._check_before(section)
            self.heads.append(_head(section, shapes[sources[0]], self.width))
        layer, output = LAYERS[section.name](section, [shapes[source] for source in sources])
        if sum(value.numel() for value in self.parameters()) > MOST_WEIGHTS:
            raise section.refused(f"with it the network has more than {MOST_WEIGHTS:,} weights. Take fewer filters.")
        self.layers.append(layer)
        self.sources.append(sources)
        if section.name != "yolo":
            shapes[section.layer] = output

    def _check_before(self, section: Section) -> None:
        """Raises BadNetwork unless the layer before is a convolution without norm and activation."""
        before = self.layers[-1] if len(self.layers) else None
        if not isinstance(before, Convolutional) or before.norm is not None or not isinstance(before.activation, nn.Identity):
            raise section.refused("the layer before must be [convolutional] with activation=linear and without batch_normalize.")

    def forward(self, pages: Tensor) -> list[Tensor]:
        outputs = {-1: pages}
        for index, (layer, sources) in enumerate(zip(self.layers, self.sources, strict=True)):
            outputs[index] = layer(*[outputs[source] for source in sources])
            for source in self._done[index]:
                del outputs[source]
        return [outputs[head.layer] for head in self.heads]

    def decoded(self, raws: list[Tensor]) -> Tensor:
        """Raw maps -> boxes [n, boxes, 4 + classes]: cx, cy, w, h as fractions of the page, and the score of each class, all float32."""
        return torch.cat([_decoded(head, raw.float()) for head, raw in zip(self.heads, raws, strict=True)], 1)

    def convolutions(self) -> list["Convolutional"]:
        """In the cfg's order, which is that of a .weights file."""
        return [layer for layer in self.layers if isinstance(layer, Convolutional)]


class Convolutional(nn.Module):
    """Convolution, with batch normalisation or a bias, and an activation."""

    def __init__(self, convolution: nn.Conv2d, normalised: bool, activation: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = nn.BatchNorm2d(convolution.out_channels, eps=1e-5, momentum=0.03) if normalised else None
        self.activation = activation

    def forward(self, values: Tensor) -> Tensor:
        values = self.convolution(values)
        return self.activation(values if self.norm is None else self.norm(values))


class Shortcut(nn.Module):
    """The sum of layers of one shape."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            first = first + other
        return self.activation(first)


class Route(nn.Module):
    """Layers concatenated, of each the channels of one group."""

    def __init__(self, groups: int, group: int) -> None:
        super().__init__()
        self.groups, self.group = groups, group

    def forward(self, *layers: Tensor) -> Tensor:
        taken = [layer.chunk(self.groups, 1)[self.group] for layer in layers]
        return torch.cat(taken, 1) if len(taken) > 1 else taken[0]


class Maxpool(nn.Module):
    """The greatest of each window; `padding` in all, the odd one at the right and below."""

    def __init__(self, size: int, stride: int, padding: int) -> None:
        super().__init__()
        self.size, self.stride = size, stride
        self.before, self.behind = padding // 2, padding - padding // 2

    def forward(self, values: Tensor) -> Tensor:
        if self.before == self.behind:
            return functional.max_pool2d(values, self.size, self.stride, self.before)
        padded = functional.pad(values, (self.before, self.behind, self.before, self.behind), value=float("-inf"))
        return functional.max_pool2d(padded, self.size, self.stride)


def _convolutional(section: Section, inputs: list[Shape]) -> tuple[nn.Module, Shape]:
    section.only({"batch_normalize", "filters", "size", "stride", "pad", "padding", "groups", "activation", "stopbackward"})
    (taken,) = inputs
    filters, size, stride = section.integer("filters", 1), section.integer("size", 1, 63), section.integer("stride", 1, 63)
    groups, normalised = section.integer("groups", 1), bool(section.integer("batch_normalize", 0, 1))
    if taken.channels % groups or filters % groups:
        raise section.refused(f"groups={groups} divides not both the {taken.channels} channels that come in and filters={filters}.")
    padding = size // 2 if section.integer("pad", 0, 1) else section.integer("padding", 0, 63)
    if filters * taken.channels // groups * size**2 > MOST_WEIGHTS:
        raise section.refused(f"it has more than {MOST_WEIGHTS:,} weights. Take fewer filters.")
    activation = ACTIVATIONS[section.one_of("activation", ACTIVATIONS)]()
    convolution = nn.Conv2d(taken.channels, filters, size, stride, padding, groups=groups, bias=not normalised)
    return Convolutional(convolution, normalised, activation), _windows(section, taken, filters, size, stride, 2 * padding)


def _shortcut(section: Section, inputs: list[Shape]) -> tuple[nn.Module, Shape]:
    section.only({"from", "activation"})
    if len(set(inputs)) > 1:
        raise section.refused(f"it adds layers of different shapes: {', '.join(_words(shape) for shape in inputs)}.")
    return Shortcut(ACTIVATIONS[section.one_of("activation", ACTIVATIONS)]()), inputs[0]


def _route(section: Section, inputs: list[Shape]) -> tuple[nn.Module, Shape]:
    section.only({"layers", "groups", "group_id"})
    groups = section.integer("groups", 1)
    group = section.integer("group_id", 0, groups - 1)
    if len({shape[1:] for shape in inputs}) > 1:
        raise section.refused(f"it joins layers of different sides: {', '.join(_words(shape) for shape in inputs)}.")
    if any(shape.channels % groups for shape in inputs):
        raise section.refused(f"groups={groups} does not divide the channels: {', '.join(_words(shape) for shape in inputs)}.")
    channels = sum(shape.channels // groups for shape in inputs)
    return Route(groups, group), inputs[0]._replace(channels=channels)


def _maxpool(section: Section, inputs: list[Shape]) -> tuple[nn.Module, Shape]:
    section.only({"size", "stride", "padding"})
    stride, size = section.integer("stride", 1, 63), section.integer("size", 1, 63)
    padding = section.integer("padding", 0, size - 1) if "padding" in section.options else size - 1
    return Maxpool(size, stride, padding), _windows(section, inputs[0], inputs[0].channels, size, stride, padding)


def _upsample(section: Section, inputs: list[Shape]) -> tuple[nn.Module, Shape]:
    section.only({"stride"})
    stride, taken = section.integer("stride", 1, 63), inputs[0]
    return nn.Upsample(scale_factor=stride, mode="nearest"), Shape(taken.channels, taken.height * stride, taken.width * stride)


LAYERS: dict[str, Callable[[Section, list[Shape]], tuple[nn.Module, Shape]]] = {
    "convolutional": _convolutional,
    "maxpool": _maxpool,
    "route": _route,
    "shortcut": _shortcut,
    "upsample": _upsample,
    "yolo": lambda _, inputs: (nn.Identity(), inputs[0]),
}


def _head(section: Section, taken: Shape, width: int) -> Head:
    """Options that only concern training are ignored."""
    section.without({"new_coords": "0", "embedding_layer": "-1"})  # Scaled-YOLOv4, and tracking
    anchors, classes = _anchors(section), section.integer("classes", 1)
    if taken.channels != len(anchors) * (5 + classes):
        raise section.refused(
            f"{len(anchors)} anchors and {classes} classes take {len(anchors) * (5 + classes)} channels, and {taken.channels} come in. "
            "Set filters= of the layer before to anchors * (5 + classes)."
        )
    if width % taken.width:
        raise section.refused(f"its {taken.width} columns do not divide the page's width of {width}. Take a multiple of 32.")
    return Head(section.layer, anchors, classes, section.floats("scale_x_y")[0], width // taken.width)


def _anchors(section: Section) -> list[tuple[float, float]]:
    """The anchors that the mask names."""
    numbers, count = section.floats("anchors"), section.integer("num", 1)
    if len(numbers) != 2 * count:
        raise section.refused(f"num={count} anchors are {2 * count} numbers, and anchors= has {len(numbers)}.")
    mask = section.integers("mask") if "mask" in section.options else list(range(count))
    if not all(0 <= index < count for index in mask):
        raise section.refused(f"mask={section.options['mask']} names others than the anchors 0 to {count - 1}.")
    return [(numbers[2 * index], numbers[2 * index + 1]) for index in mask]


def _sources(section: Section, shapes: dict[int, Shape]) -> list[int]:
    """The layers whose outputs this one takes."""
    own, key = section.layer, {"route": "layers", "shortcut": "from"}.get(section.name)
    named = [index if index >= 0 else own + index for index in section.integers(key)] if key else []
    for source in named:
        if source < 0 or source not in shapes:
            raise section.refused(f"{key}={section.options[str(key)]} takes layer {source}, which is {_absent(source, own)}.")
    if section.name == "route":
        return named
    if own - 1 not in shapes:
        raise section.refused(f"it takes layer {own - 1}, which is {_absent(own - 1, own)}.")
    return [own - 1, *named]


def _absent(source: int, own: int) -> str:
    if 0 <= source < own:
        return "a [yolo] layer, on which nothing may follow but a [route] to others"
    return f"not before it: the layers 0 to {own - 1} are" if own else "not before it: no layer is"


def _windows(section: Section, taken: Shape, channels: int, size: int, stride: int, padding: int) -> Shape:
    """The output of windows over a map."""
    height, width = ((side + padding - size) // stride + 1 for side in taken[1:])
    if height < 1 or width < 1:
        raise section.refused(f"nothing is left of {_words(taken)} under size={size}, stride={stride}.")
    return Shape(channels, height, width)


def _words(shape: Shape) -> str:
    return f"{shape.channels} x {shape.height} x {shape.width}"


def _last_uses(sources: list[list[int]], kept: set[int]) -> list[list[int]]:
    """After each layer, the outputs that no later one takes."""
    last = {source: index for index, named in enumerate(sources) for source in named}
    return [[source for source, use in last.items() if use == index and source not in kept] for index in range(len(sources))]


def _decoded(head: Head, raw: Tensor) -> Tensor:
    """One head's map -> [n, rows * columns * anchors, 4 + classes], in the order of OpenCV.

    x = (sigmoid(tx) * scale - (scale - 1) / 2 + column) / columns; w = exp(tw) * anchor / width;
    score = sigmoid(objectness) * sigmoid(class).
    """
    rows, columns = raw.shape[2:]
    values = raw.reshape(-1, len(head.anchors), 5 + head.classes, rows, columns).permute(0, 3, 4, 1, 2)
    down, across = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    cell = torch.stack([across, down], 2)[:, :, None].to(raw)
    sides = torch.tensor([columns, rows]).to(raw)
    shapes = (torch.tensor(head.anchors) / head.stride).to(raw)
    centre = (values[..., :2].sigmoid() * head.scale - (head.scale - 1) / 2 + cell) / sides
    size = values[..., 2:4].exp() * shapes / sides
    score = values[..., 4:5].sigmoid() * values[..., 5:].sigmoid()
    return torch.cat([centre, size, score], 4).flatten(1, 3)
