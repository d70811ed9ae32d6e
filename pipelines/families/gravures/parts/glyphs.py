"""Letters, digits and signs as strokes on a grid of 5 x 7."""

from collections.abc import Sequence

import numpy as np

from pipelines.families.gravures.parts.strokes import Strokes, in_row, polyline, spline

# x and y of the grid, strokes parted by a bar; ~ is a smooth curve through its points
GLYPHS = {
    "A": "06 20 46|14 34",
    "B": "00 06|~00 30 41 23 03|~03 33 45 26 06",
    "C": "~41 20 03 26 45",
    "D": "00 06|~00 20 43 26 06",
    "E": "40 00 06 46|03 33",
    "F": "40 00 06|03 33",
    "G": "~41 20 03 26 45|23 43 46",
    "H": "00 06|40 46|03 43",
    "I": "20 26",
    "J": "~40 44 26 05",
    "K": "00 06|40 03 46",
    "L": "00 06 46",
    "M": "06 00 23 40 46",
    "N": "06 00 46 40",
    "O": "~20 03 26 43 20",
    "P": "06 00|~00 30 42 24 04",
    "Q": "~20 03 26 43 20|34 46",
    "R": "06 00|~00 30 41 23 03|13 46",
    "S": "~41 20 01 23 45 26 05",
    "T": "00 40|20 26",
    "U": "~00 04 26 44 40",
    "V": "00 26 40",
    "W": "00 16 22 36 40",
    "X": "00 46|40 06",
    "Y": "00 23 40|23 26",
    "Z": "00 40 06 46",
    "a": "~42 22 04 26 44|42 46",
    "b": "00 06|~03 22 44 26 05",
    "d": "40 46|~43 22 04 26 45",
    "e": "~04 34 43 22 04 26 45",
    "e slanted": "~15 32 21 03 05 26 45",
    "e round": "~23 13 24 33 31 11 04 16 36 45",
    "g": "~42 22 04 25 43|~42 45 36 16",
    "h": "00 06|~04 22 43 46",
    "k": "00 06|32 04 36",
    "m": "02 06|~04 12 23 26|~24 32 43 46",
    "m script": "~05 11 15 21 25 31 35 45",
    "n": "02 06|~04 22 43 46",
    "q": "~42 22 04 25 43|42 46",
    "r": "02 06|~04 22 42",
    "s": "~42 22 13 34 26 05",
    "t": "20 25 36|02 42",
    "u": "~02 05 26 44|42 46",
    "y": "02 24|42 06",
    "1": "12 20 26",
    "2": "~01 20 41 24 06|06 46",
    "3": "~00 30 41 23|~23 44 26 05",
    "4": "30 04 44|30 36",
    "5": "40 00 02|~02 32 44 26 05",
    "6": "~30 03 05 26 44 23 04",
    "7": "00 40 16",
    "8": "~23 01 20 41 23 05 26 45 23",
    "9": "~42 20 02 24 42 26",
    "alpha": "~42 24 16 04 12 24 46",
    "lambda": "00 46|23 06",
    "omega": "06 16|~16 03 20 43 36|36 46",
    "phi": "~21 03 25 43 21|20 26",
    "pi": "01 41|11 16|31 36",
    "pi curved": "~01 11 31 41|~11 14 06|~31 34 46",
    "psi": "~00 03 24 43 40|20 26",
    "sigma": "40 00 23 06 46",
    "theta": "~20 03 26 43 20|03 43",
    "epsilon": "~41 20 02 23|~23 04 26 45",
    "L script": "~41 20 12 24 16 05 24 46",
    "f long": "~40 31 23 15 06",
    "integral": "40 30 16 06",
}


def glyph(name: str) -> Strokes:
    """The strokes of a glyph by its name in GLYPHS."""
    strokes = []
    for part in GLYPHS[name].split("|"):
        points = np.array([[int(place[0]), int(place[1])] for place in part.lstrip("~").split()], np.float64)
        strokes.append((spline if part.startswith("~") else polyline)(*points))
    return [stroke / 3 - (2 / 3, 1) for stroke in strokes]


def written(word: Sequence[str]) -> Strokes:
    """Characters of GLYPHS in a row."""
    return in_row([glyph(character) for character in word], 0.4)
