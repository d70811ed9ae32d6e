"""Ordinary pictures of one drawing: on a desk, in uneven light, framed, ruled, dusty, coloured, transparent."""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Ink = NDArray[np.float32]  # [side, side]: 0 for paper to 1 for ink
SIDE = 240
LIGHT, DARK = 245, 40


def mixed(ink: Ink, paper: object = LIGHT, pen: object = DARK) -> NDArray[np.float32]:
    """[side, side, 3]: a pen's colour on paper of one colour, or of one for each point."""
    return np.asarray(paper, np.float32) * (1 - ink[..., None]) + np.asarray(pen, np.float32) * ink[..., None]


def picture(levels: NDArray[np.float32]) -> Image.Image:
    return Image.fromarray(np.broadcast_to(levels, (*levels.shape[:2], 3)).clip(0, 255).astype(np.uint8))


def plain(ink: Ink, random: np.random.Generator) -> Image.Image:
    return picture(mixed(ink))


def inverse(ink: Ink, random: np.random.Generator) -> Image.Image:
    return picture(mixed(ink, DARK, LIGHT))


def framed(ink: Ink, random: np.random.Generator) -> Image.Image:
    """A line of 1 to 3 points around it, at the border or a little inside, sometimes with round corners."""
    found, inset, tone = plain(ink, random), int(random.choice([0, 0, 2, 5])), int(random.integers(0, 200))
    box = (inset, inset, SIDE - 1 - inset, SIDE - 1 - inset)
    ImageDraw.Draw(found).rounded_rectangle(box, int(random.choice([0, 12])), outline=(tone,) * 3, width=int(random.integers(1, 4)))
    return found


def beside(ink: Ink, random: np.random.Generator) -> Image.Image:
    """Something dark along one side, as far as the ink."""
    levels, edge = mixed(ink), min(int(random.integers(4, 24)), int(np.flatnonzero(ink.max(1) > 0.1)[0]) - 3)
    levels[: max(1, edge)] = random.uniform(0, 120)
    return picture(levels)


def on_a_desk(ink: Ink, random: np.random.Generator) -> Image.Image:
    """A sheet, slightly turned, with a darker desk all round."""
    margin, desk = int(random.integers(12, 48)), np.array([1.1, 0.9, 0.75]) * random.uniform(40, 140)
    levels = np.broadcast_to(desk, (SIDE + 2 * margin, SIDE + 2 * margin, 3)).astype(np.float32)
    levels[margin:-margin, margin:-margin] = mixed(ink, 235)
    return picture(levels).rotate(random.uniform(-4, 4), Image.Resampling.BICUBIC, fillcolor=tuple(int(tone) for tone in desk))


def lit(shape: Callable[[NDArray[np.float64], NDArray[np.float64], np.random.Generator], NDArray[np.float64]]) -> object:
    """Under light that falls off as `shape` of (y, x), each from -0.5 to 0.5, says."""

    def under_light(ink: Ink, random: np.random.Generator) -> Image.Image:
        y, x = np.meshgrid(*[np.linspace(-0.5, 0.5, SIDE)] * 2, indexing="ij")
        noise = random.normal(0, 2, (SIDE, SIDE, 1))
        return picture((mixed(ink) * shape(y, x, random)[..., None] + noise).astype(np.float32))

    return under_light


def lamp(y: NDArray[np.float64], x: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    down, right = random.uniform(-0.3, 0.3, 2)
    return 1 - random.uniform(0.4, 0.8) * ((y - down) ** 2 + (x - right) ** 2) / 0.7


def slope(y: NDArray[np.float64], x: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    turn = random.uniform(0, 2 * np.pi)
    return 1 - random.uniform(0.3, 0.6) * (y * np.sin(turn) + x * np.cos(turn) + 0.7) / 1.4


def shadow(y: NDArray[np.float64], x: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    turn, place = random.uniform(0, 2 * np.pi), random.uniform(-0.3, 0.3)
    return 1 - random.uniform(0.2, 0.5) / (1 + np.exp(-(y * np.sin(turn) + x * np.cos(turn) - place) / random.uniform(0.01, 0.08)))


def ruled(ink: Ink, random: np.random.Generator, squared: bool = False) -> Image.Image:
    paper, gap, thick = np.full((SIDE, SIDE, 3), LIGHT, np.float32), int(random.integers(18, 50)), int(random.integers(1, 3))
    for line in range(int(random.integers(gap)), SIDE, gap):
        paper[line : line + thick] = tone = (150, 180, 220)
        paper[:, line : line + thick] = tone if squared else paper[:, line : line + thick]
    return picture(mixed(ink, paper))


def squared(ink: Ink, random: np.random.Generator) -> Image.Image:
    return ruled(ink, random, squared=True)


def dusty(ink: Ink, random: np.random.Generator) -> Image.Image:
    found = plain(ink, random)
    for x, y in random.integers(0, SIDE, (int(random.integers(1, 20)), 2)).tolist():
        size, tone = random.uniform(0.5, 2), int(random.integers(0, 180))
        ImageDraw.Draw(found).ellipse((x - size, y - size, x + size, y + size), fill=(tone,) * 3)
    return found


def peppered(ink: Ink, random: np.random.Generator) -> Image.Image:
    """Single black and white points everywhere."""
    levels, chance = mixed(ink), random.random((SIDE, SIDE))
    levels[chance < 0.004] = 0
    levels[chance > 0.996] = 255
    return picture(levels)


def dotted(ink: Ink, random: np.random.Generator) -> Image.Image:
    """Paper with a dot at each crossing of a grid."""
    paper, gap, start = np.full((SIDE, SIDE, 3), LIGHT, np.float32), int(random.integers(10, 24)), int(random.integers(10))
    paper[start::gap, start::gap] = 165
    return picture(mixed(ink, paper))


def twice_framed(ink: Ink, random: np.random.Generator) -> Image.Image:
    """Two printed lines around it, at up to 6% of the side from the border."""
    found, inset, tone = plain(ink, random), int(random.integers(0, 10)), int(random.integers(0, 190))
    for edge in (inset, inset + int(random.integers(3, 5))):
        ImageDraw.Draw(found).rectangle((edge, edge, SIDE - 1 - edge, SIDE - 1 - edge), outline=(tone,) * 3)
    return found


def dashed(ink: Ink, random: np.random.Generator) -> Image.Image:
    """A dashed line around it."""
    found, edge, length = plain(ink, random), int(random.integers(2, 8)), int(random.integers(5, 14))
    for start in range(edge, SIDE - edge, 2 * length):
        end = min(start + length, SIDE - edge)
        for other in (edge, SIDE - 1 - edge):
            ImageDraw.Draw(found).line((start, other, end, other), fill=(120,) * 3)
            ImageDraw.Draw(found).line((other, start, other, end), fill=(120,) * 3)
    return found


def one_grey(ink: Ink, random: np.random.Generator) -> Image.Image:
    """Ink and paper of two hues and the same brightness."""
    return picture(mixed(ink, *random.permutation([[255, 0, 0], [0, 130, 0], [140, 52, 35 + 200]])[:2]))


def transparent(ink: Ink, random: np.random.Generator) -> Image.Image:
    """Ink of any colour on nothing."""
    colour = [(255, 255, 255), (255, 255, 0), (0, 0, 0), (30, 60, 200), (128, 128, 128)][int(random.integers(5))]
    layers = Image.new("RGBA", (SIDE, SIDE), (*colour, 0))
    layers.putalpha(Image.fromarray((ink * 255).astype(np.uint8)))
    return layers


def noisy(ink: Ink, random: np.random.Generator) -> Image.Image:
    stream = io.BytesIO()
    picture((mixed(ink, 210, 60) + random.normal(0, 10, (SIDE, SIDE, 3))).astype(np.float32)).save(stream, "JPEG", quality=40)
    return Image.open(stream)


KINDS = {
    "plain": plain,
    "inverse": inverse,
    "framed": framed,
    "beside": beside,
    "on_a_desk": on_a_desk,
    "lamp": lit(lamp),
    "slope": lit(slope),
    "shadow": lit(shadow),
    "ruled": ruled,
    "squared": squared,
    "dusty": dusty,
    "peppered": peppered,
    "dotted": dotted,
    "twice_framed": twice_framed,
    "dashed": dashed,
    "one_grey": one_grey,
    "transparent": transparent,
    "noisy": noisy,
}
