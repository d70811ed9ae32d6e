"""Fonts of generated lines: files inside installed Python packages, the same on every machine."""

import importlib.util
from functools import cache
from pathlib import Path
from typing import NamedTuple, cast

from PIL import ImageFont

FOLDERS = {"matplotlib": "mpl-data/fonts/ttf", "gradio": "templates/frontend/static/fonts", "font_roboto": "files"}  # below the package
DEFAULT = "Aileron"  # Pillow's own, which is in no file
SIZE = 100  # pixels at which a face is measured

# name of the file, and how often it is taken among the others; those of Gradio that hold a part of ASCII only are left out,
# and of TeX's those whose < > { | } _ are other characters
MONO = {
    "Inconsolata-Regular": 4, "Inconsolata-Bold": 3, "ShareTechMono-Regular": 5, "IBMPlexMono-Regular": 3, "IBMPlexMono-Bold": 2,
    "DejaVuSansMono": 4, "DejaVuSansMono-Bold": 2, "DejaVuSansMono-Oblique": 1, "cmtt10": 2,
}  # fmt: skip
SANS = {
    DEFAULT: 4, "DejaVuSans": 2, "DejaVuSans-Bold": 2, "DejaVuSans-Oblique": 1, "SourceSansPro-Regular": 2, "SourceSansPro-Bold": 2,
    "IBMPlexSans-Regular": 2, "IBMPlexSans-Bold": 2, "Montserrat-Regular": 1, "Quicksand-Bold": 1,
    "Roboto-Regular": 6, "Roboto-Medium": 3, "Roboto-Bold": 4, "Roboto-Italic": 1, "Roboto-BoldItalic": 1,
}  # fmt: skip
SERIF = {
    "STIXGeneral": 3, "STIXGeneralBol": 3, "STIXGeneralItalic": 1, "DejaVuSerif": 1, "DejaVuSerif-Bold": 1,
}  # fmt: skip
KINDS = ((MONO, 0.55), (SANS, 0.36), (SERIF, 0.09))


class Face(NamedTuple):
    """A font's file, the height of its capitals as a fraction of its size, and its probability."""

    path: str
    capital: float
    share: float

    def sized(self, capital: int) -> ImageFont.FreeTypeFont:
        """With capitals of so many pixels."""
        return _loaded(self.path, max(6, round(capital / self.capital)))


@cache
def every() -> tuple[Face, ...]:
    """All faces, in an order that does not depend on the machine."""
    return _faces([folder for package, below in FOLDERS.items() if (folder := _inside(package, below))])


def _inside(package: str, below: str) -> Path | None:
    found = importlib.util.find_spec(package)
    return Path(found.origin).parent / below if found and found.origin else None


def _faces(folders: list[Path]) -> tuple[Face, ...]:
    files = {file.stem: str(file) for folder in folders for file in sorted(folder.rglob("*")) if file.suffix in {".ttf", ".woff2"}}
    files[DEFAULT] = DEFAULT
    found = []
    for names, share in KINDS:
        there = {name: weight for name, weight in names.items() if name in files}
        found += [(files[name], share * weight / sum(there.values())) for name, weight in there.items()]
    whole = sum(share for _, share in found)
    return tuple(Face(path, _capital(path), share / whole) for path, share in found)


def _capital(path: str) -> float:
    _, top, _, bottom = _loaded(path, SIZE).getbbox("H")
    return float(bottom - top) / SIZE


@cache
def _loaded(path: str, size: int) -> ImageFont.FreeTypeFont:
    if path == DEFAULT:
        return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
