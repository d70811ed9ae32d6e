"""Engravings with their drawings, a catalogue with lenses, and alphabets: data for tests and the demo, made here, the same every time."""

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.families.gravures.parts import drawing, symbols
from pipelines.families.gravures.parts.alphabets import TEST
from pipelines.families.gravures.parts.strokes import Strokes

SHAPES = ("circle", "triangle", "diamond", "rectangle", "heart", "star", "drop", "house", "bell", "fish", "spiral", "key")
WORDS = ("", "A", "E", "K", "S", "m", "2S")
PLACES = ("inside", "beside", "above")
CLASSES, DRAWINGS = 26, 12  # the last two classes have an official picture alone, every fifth has none
CODES = ("15", "16", "167", "174")  # refractive indices; each engraving is printed with the last digits of two of them
LENSES = 3  # that bear a picture
HEIGHT, WIDTH, SIDE = 100, 200, 64  # pixels of a print, of a drawing
ALPHABETS = {"images_background/Ash": 12, "images_background/Elm": 12, "images_background/Willow": 20, f"{TEST}/Yew": 24}  # characters
PEOPLE = 20


def engravings() -> Iterator[tuple[str, bytes]]:
    """Files (name, content) of drawn/, official/ and catalogue/."""
    made = {name: symbols.composed(*words, np.random.default_rng(0)) for name, words in _classes().items()}
    for number, (name, symbol) in enumerate(made.items()):
        random = np.random.default_rng(number)
        for copy in range(DRAWINGS if number < CLASSES - 2 else 0):
            yield f"drawn/{name}/{name}_{copy:02}.png", _png(drawing.drawn(symbol, random, SIDE))
        if number % 5 != 3:
            yield f"official/{name}.png", _png(drawing.printed(symbol, HEIGHT, WIDTH))
    yield from _catalogue(made)


def _classes() -> dict[str, tuple[str, str, str]]:
    """Shape, word and place by name: every shape at least twice, no two alike."""
    found = {}
    for number in range(CLASSES):
        shape, word = SHAPES[number % len(SHAPES)], WORDS[(number + number // len(SHAPES)) % len(WORDS)]
        place = PLACES[number % len(PLACES)]
        found[f"{shape}_{place}_{word.lower()}" if word else shape] = (shape, word, place)
    return found


def _catalogue(made: dict[str, Strokes]) -> Iterator[tuple[str, bytes]]:
    """Two pictures of each engraving, and lenses that bear them; two more lenses have no picture."""
    lenses, tags = ["lens_id,lens_name,index_code,image"], ["engraving,sha256,class,shapes,letters"]
    for number, (name, (shape, word, _)) in enumerate(_classes().items()):
        tags.append(f"{name},,{name},{shape},{word}")
        for code in (CODES[number % 4], CODES[(number + 1) % 4]):
            picture, marks = f"print_{len(tags):04}.png", code[1:]
            tags.append(f"{picture},,{name},{shape},{word} {marks}")
            lenses += [f"{len(lenses) + index},{name} {code},{code},{picture}" for index in range(LENSES)]
            both = symbols.beside(made[name], marks)
            yield f"catalogue/images/{picture}", _png(drawing.printed(both, HEIGHT, WIDTH))
    lenses += [f"{len(lenses) + index},unseen,15,{image}" for index, image in enumerate(("", "lost.png"))]
    for table, lines in {"catalogue": lenses, "tags": tags}.items():
        yield f"catalogue/{table}.csv", "\n".join([*lines, ""]).encode()


def characters() -> Iterator[tuple[str, bytes]]:
    """Files (name, content) of alphabets, laid out as Omniglot: each character is drawn by twenty people."""
    random = np.random.default_rng(1)
    made = iter(symbols.distinct(sum(ALPHABETS.values()), random))
    for alphabet, count in ALPHABETS.items():
        for character in range(1, count + 1):
            symbol = next(made)
            for writer in range(1, PEOPLE + 1):
                yield f"{alphabet}/character{character:02}/{character:04}_{writer:02}.png", _png(drawing.drawn(symbol, random, SIDE))


def _png(grey: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(grey).save(content, "PNG", compress_level=1)
    return content.getvalue()
