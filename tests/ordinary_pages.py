"""Ordinary images of one page: on darker paper, in uneven light, turned, askew, on a desk; with the map from the page to the image."""

import io
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests import ordinary

Grey = NDArray[np.uint8]  # [height, width]
Map = NDArray[np.float64]  # [3, 3]
Random = np.random.Generator


class Shot(NamedTuple):
    """An image of a page, and the map of the page's points to its own."""

    image: Image.Image
    map: Map

    def boxes(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """The rectangles around a page's boxes [k, 4] of x, y, width, height on the image."""
        x, y, width, height = np.asarray(boxes, float).reshape(-1, 4).T
        across, down = np.stack([x, x + width, x + width, x]), np.stack([y, y, y + height, y + height])
        moved = np.einsum("ij,jck->ick", self.map, np.stack([across, down, np.ones_like(across)]))
        (left, top), (right, bottom) = (moved[:2] / moved[2]).min(1), (moved[:2] / moved[2]).max(1)
        return np.stack([left, top, right - left, bottom - top], 1)


def shot(levels: NDArray[np.floating], map: Map | None = None) -> Shot:
    return Shot(Image.fromarray(levels.clip(0, 255).astype(np.uint8)), np.eye(3) if map is None else map)


def plain(page: Grey, random: Random) -> Shot:
    return shot(page)


def grey(page: Grey, random: Random) -> Shot:
    """On grey paper of 130 to 215."""
    return shot(page * random.uniform(130, 215) / 255)


def tinted(page: Grey, random: Random) -> Shot:
    tint = np.array([(235, 215, 150), (250, 190, 200), (170, 200, 235), (190, 150, 110)][int(random.integers(4))])
    return shot(page[..., None] / 255 * tint)


def lit(shape: Callable[..., NDArray[np.float64]]) -> Callable[[Grey, Random], Shot]:
    def under_light(page: Grey, random: Random) -> Shot:
        y, x = np.meshgrid(*(np.linspace(-0.5, 0.5, side) for side in page.shape), indexing="ij")
        return shot(page * shape(y, x, random) + random.normal(0, 2, page.shape))

    return under_light


def turned(quarters: int) -> Callable[[Grey, Random], Shot]:
    """Clockwise."""

    def seen(page: Grey, random: Random) -> Shot:
        height, width = page.shape
        map = [
            np.eye(3),
            [[0, -1, height], [1, 0, 0], [0, 0, 1]],
            [[-1, 0, width], [0, -1, height], [0, 0, 1]],
            [[0, 1, 0], [-1, 0, width], [0, 0, 1]],
        ]
        return shot(np.rot90(page, -quarters), np.array(map[quarters], float))

    return seen


def askew(page: Grey, random: Random) -> Shot:
    """By up to four degrees, on white."""
    height, width = page.shape
    map = np.vstack([cv2.getRotationMatrix2D((width / 2, height / 2), random.uniform(-4, 4), 1), [0, 0, 1]])
    return shot(cv2.warpPerspective(page, map, (width, height), flags=cv2.INTER_AREA, borderValue=255), map)


def transparent(page: Grey, random: Random) -> Shot:
    """Ink of any colour on nothing."""
    layers = Image.new(
        "RGBA", page.shape[::-1], [(255, 255, 255, 0), (0, 0, 0, 0), (30, 60, 200, 0), (255, 230, 90, 0)][int(random.integers(4))]
    )
    layers.putalpha(Image.fromarray(255 - page))
    return Shot(layers, np.eye(3))


def one_grey(page: Grey, random: Random) -> Shot:
    """Ink and paper of two hues and about the same brightness, sometimes as a JPEG."""
    pairs = [
        ((230, 90, 90), (70, 155, 90)),
        ((110, 140, 230), (170, 135, 90)),
        ((255, 0, 0), (0, 130, 0)),
        ((210, 100, 210), (90, 165, 100)),
    ]
    paper, pen = random.permutation(pairs[int(random.integers(len(pairs)))])
    ink = 1 - page[..., None] / 255
    found = shot(paper * (1 - ink) + pen * ink)
    if random.random() < 0.5:
        return found
    stream = io.BytesIO()
    found.image.save(stream, "JPEG", quality=85)
    return Shot(Image.open(stream), found.map)


def on_a_desk(page: Grey, random: Random) -> Shot:
    """A sheet, turned by up to ten degrees, on a dark desk that is even or has a grain."""
    return _laid(page, random, 10, 0.0)


def photographed(page: Grey, random: Random) -> Shot:
    """The same from aside, in uneven light, blurred a little, noisy, as a JPEG."""
    laid = _laid(page, random, 6, 0.06)
    levels = np.asarray(laid.image, float)
    y, x = np.meshgrid(*(np.linspace(-0.5, 0.5, side) for side in levels.shape), indexing="ij")
    levels = levels * ordinary.slope(y, x, random) ** 0.5 + random.normal(0, 3, levels.shape)
    stream = io.BytesIO()
    shot(cv2.GaussianBlur(levels, (3, 3), 0.6)).image.save(stream, "JPEG", quality=70)
    return Shot(Image.open(stream), laid.map)


def photographed_turned(page: Grey, random: Random) -> Shot:
    before = turned(int(random.integers(1, 4)))(page, random)
    after = photographed(np.asarray(before.image), random)
    return Shot(after.image, after.map @ before.map)


def _laid(page: Grey, random: Random, degrees: float, aside: float) -> Shot:
    height, width = page.shape
    margin, desk = random.uniform(0.05, 0.2) * max(page.shape), random.uniform(30, 130)
    size = (int(width + 2 * margin), int(height + 2 * margin))
    angle, middle = np.deg2rad(random.uniform(-degrees, degrees)), np.array([width, height]) / 2
    spin = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = (corners - middle) @ spin.T * 0.9 + np.array(size) / 2 + random.uniform(-aside, aside, (4, 2)) * min(page.shape)
    map = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    ground = np.tile(desk + 8 * np.sin(np.arange(size[0]) / random.uniform(3, 30)) * random.integers(0, 2), (size[1], 1))
    lying = cv2.warpPerspective(page, map, size, flags=cv2.INTER_AREA)
    cover = cv2.warpPerspective(np.full_like(page, 255), map, size) / 255
    return shot(lying * 0.96 * cover + ground * (1 - cover), map)


KINDS: dict[str, Callable[[Grey, Random], Shot]] = {
    "plain": plain,
    "grey": grey,
    "tinted": tinted,
    "lamp": lit(ordinary.lamp),
    "slope": lit(ordinary.slope),
    "shadow": lit(ordinary.shadow),
    "turned_90": turned(1),
    "turned_180": turned(2),
    "turned_270": turned(3),
    "askew": askew,
    "transparent": transparent,
    "one_grey": one_grey,
    "on_a_desk": on_a_desk,
    "photographed": photographed,
    "photographed_turned": photographed_turned,
}
