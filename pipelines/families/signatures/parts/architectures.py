"""The cfgs of YOLOv4 and YOLOv4-tiny for any number of classes: layer for layer those that were published.

Source: https://github.com/AlexeyAB/darknet, cfg/yolov4.cfg and cfg/yolov4-tiny.cfg, and its README on how to change them for own classes.
"""

from collections.abc import Sequence

Anchors = Sequence[tuple[float, float]]
Lines = list[str]

STANDARD: dict[str, list[tuple[float, float]]] = {  # of COCO, in pixels of the input
    "yolov4-tiny": [(10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319)],
    "yolov4": [(12, 16), (19, 36), (40, 28), (36, 75), (76, 55), (72, 146), (142, 110), (192, 243), (459, 401)],
}


class UnknownNetwork(ValueError):
    """No cfg is known by that name, or not with so many anchors."""


def described(network: str, classes: int, side: int, anchors: Anchors | None) -> str:
    """The cfg of "yolov4" or "yolov4-tiny" for pages of `side` pixels; `anchors` in pixels of the input, small ones first, or None: COCO's.

    Raises UnknownNetwork.
    """
    if network not in STANDARD:
        raise UnknownNetwork(f"no network {network!r} is known. Choose one of: {', '.join(STANDARD)}.")
    taken = list(anchors or STANDARD[network])
    if len(taken) != len(STANDARD[network]):
        raise UnknownNetwork(f"{network} has {len(STANDARD[network])} anchors, and {len(taken)} were given.")
    layers = _tiny(classes, taken, anchors is None) if network == "yolov4-tiny" else _full(classes, taken)
    return "\n".join([*_net(network, classes, side), *layers])


def _net(network: str, classes: int, side: int) -> Lines:
    """How Darknet would train it: a page is not mirrored, and not put together of four."""
    batches = max(6000, 2000 * classes)
    rate, momentum = ("0.00261", 0.9) if network == "yolov4-tiny" else ("0.0013", 0.949)
    return _section(
        "net",
        *("batch=64", "subdivisions=16", f"width={side}", f"height={side}", "channels=3", f"momentum={momentum}", "decay=0.0005"),
        *("angle=0", "flip=0", "mosaic=0", "saturation=1.5", "exposure=1.5", "hue=.1", f"learning_rate={rate}", "burn_in=1000"),
        *(f"max_batches={batches}", "policy=steps", f"steps={batches * 8 // 10},{batches * 9 // 10}", "scales=.1,.1"),
    )


def _tiny(classes: int, anchors: Anchors, published: bool) -> Lines:
    """38 layers. The published second mask passes over the smallest anchor and takes the fourth again; of one's own each is taken once."""
    lines = [*_conv(32, 3, 2), *_conv(64, 3, 2)]
    for filters in (64, 128, 256):
        lines += _halved(filters)
    lines += [*_conv(512, 3), *_conv(256, 1), *_conv(512, 3), *_yolo(classes, anchors, [3, 4, 5], 1.05)]
    lines += [*_route("-4"), *_conv(128, 1), *_upsample(), *_route("-1,23"), *_conv(256, 3)]
    return [*lines, *_yolo(classes, anchors, [1, 2, 3] if published else [0, 1, 2], 1.05)]


def _halved(filters: int) -> Lines:
    """Half of the channels go through two convolutions, all meet again, the map is halved."""
    half = filters // 2
    lines = [*_conv(filters, 3), *_section("route", "layers=-1", "groups=2", "group_id=1")]
    lines += [*_conv(half, 3), *_conv(half, 3), *_route("-1,-2"), *_conv(filters, 1), *_route("-6,-1")]
    return [*lines, *_section("maxpool", "size=2", "stride=2")]


def _full(classes: int, anchors: Anchors) -> Lines:
    """162 layers: CSPDarknet53 (137 with the three and the SPP behind it), PANet, three heads."""
    lines = [*_conv(32, 3, activation="mish")]
    for filters, blocks in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        lines += _stage(filters, blocks)
    lines += [*_narrowed(512, 3), *_pyramid(), *_narrowed(512, 3)]
    lines += [*_joined(256, 85), *_joined(128, 54)]
    lines += [*_conv(256, 3), *_yolo(classes, anchors, [0, 1, 2], 1.2)]
    lines += [*_down(256, -16), *_conv(512, 3), *_yolo(classes, anchors, [3, 4, 5], 1.1)]
    return [*lines, *_down(512, -37), *_conv(1024, 3), *_yolo(classes, anchors, [6, 7, 8], 1.05)]


def _stage(filters: int, blocks: int) -> Lines:
    """The map is halved; one part goes through residual blocks, one past them."""
    part = filters if blocks == 1 else filters // 2
    lines = [*_conv(filters, 3, 2, "mish"), *_conv(part, 1, 1, "mish"), *_route("-2"), *_conv(part, 1, 1, "mish")]
    for _ in range(blocks):
        lines += [*_conv(filters // 2, 1, 1, "mish"), *_conv(part, 3, 1, "mish"), *_section("shortcut", "from=-3", "activation=linear")]
    return [*lines, *_conv(part, 1, 1, "mish"), *_route(f"-1,{-(3 * blocks + 4)}"), *_conv(filters, 1, 1, "mish")]


def _narrowed(filters: int, count: int) -> Lines:
    """Narrow and wide in turn, ending narrow."""
    return [line for index in range(count) for line in (_conv(2 * filters, 3) if index % 2 else _conv(filters, 1))]


def _pyramid() -> Lines:
    """Spatial pyramid pooling: He et al., 2014."""
    lines: Lines = []
    for size, back in ((5, "-2"), (9, "-4"), (13, "-1,-3,-5,-6")):
        lines += [*_section("maxpool", "stride=1", f"size={size}"), *_route(back)]
    return lines


def _joined(filters: int, layer: int) -> Lines:
    """A coarse map, doubled, beside one of the backbone's."""
    return [*_conv(filters, 1), *_upsample(), *_route(str(layer)), *_conv(filters, 1), *_route("-1,-3"), *_narrowed(filters, 5)]


def _down(filters: int, layer: int) -> Lines:
    """A fine map, halved, beside a coarse one."""
    return [*_route("-4"), *_conv(filters, 3, 2), *_route(f"-1,{layer}"), *_narrowed(filters, 5)]


def _conv(filters: int, size: int, stride: int = 1, activation: str = "leaky") -> Lines:
    options = ("batch_normalize=1", f"filters={filters}", f"size={size}", f"stride={stride}", "pad=1", f"activation={activation}")
    return _section("convolutional", *options)


def _route(layers: str) -> Lines:
    return _section("route", f"layers={layers}")


def _upsample() -> Lines:
    return _section("upsample", "stride=2")


def _yolo(classes: int, anchors: Anchors, mask: list[int], scale: float) -> Lines:
    """A head and the convolution before it."""
    filters = len(mask) * (5 + classes)
    said = ", ".join(f"{width:g},{height:g}" for width, height in anchors)
    return [
        *_section("convolutional", "size=1", "stride=1", "pad=1", f"filters={filters}", "activation=linear"),
        *_section(
            "yolo",
            *(f"mask={','.join(str(index) for index in mask)}", f"anchors={said}", f"classes={classes}", f"num={len(anchors)}"),
            *("jitter=.3", "ignore_thresh=.7", "truth_thresh=1", f"scale_x_y={scale}", "iou_thresh=0.213", "cls_normalizer=1.0"),
            *("iou_normalizer=0.07", "iou_loss=ciou", "nms_kind=greedynms", "beta_nms=0.6", "max_delta=5", "random=0"),
        ),
    ]


def _section(name: str, *options: str) -> Lines:
    return [f"[{name}]", *options, ""]
