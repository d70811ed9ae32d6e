"""A Darknet cfg as text: sections of options, which darknet.py interprets."""

import math
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

DEFAULTS = {  # of Darknet; others, such as OpenCV, have other ones
    "convolutional": {"batch_normalize": "0", "filters": "1", "size": "1", "stride": "1", "pad": "0", "padding": "0", "groups": "1"}
    | {"activation": "logistic"},
    "shortcut": {"activation": "linear"},
    "route": {"groups": "1", "group_id": "0"},
    "maxpool": {"stride": "1"},
    "upsample": {"stride": "2"},
    "yolo": {"classes": "20", "num": "1", "scale_x_y": "1", "new_coords": "0"},
}
LARGEST = 1_000_000  # bytes of a cfg; that of the full YOLOv4 has 12,000
ALIASES = {"conv": "convolutional", "max": "maxpool"}  # of Darknet, for the layers that are known here
OPENCV = {"yolo": {"thresh": "0"}}


class BadNetwork(ValueError):
    """A cfg that cannot be built; the message names the layer, its line and what is known."""


class Section(NamedTuple):
    """`[name]` at `line` of the cfg, its options as they are written; `layer` is Darknet's number of it, -1 for [net]."""

    name: str
    line: int
    layer: int
    options: dict[str, str]

    @property
    def place(self) -> str:
        """Where it is, for a message."""
        return f"[{self.name}] at line {self.line}" if self.layer < 0 else f"layer {self.layer}, [{self.name}] at line {self.line}"

    def refused(self, words: str) -> BadNetwork:
        """The error with the place."""
        return BadNetwork(f"{self.place}: {words}")

    def integer(self, key: str, least: int = 0, most: int = 65_536) -> int:
        """An integer. Raises BadNetwork."""
        text = self._text(key)
        numbers = _integers(text)
        if len(numbers) != 1 or not least <= numbers[0] <= most:
            raise self.refused(f"{key}={text} is no integer of {least} to {most:,}.")
        return numbers[0]

    def integers(self, key: str) -> list[int]:
        """Integers between commas, at least one. Raises BadNetwork."""
        numbers = _integers(self._text(key))
        if not numbers:
            raise self.refused(f"{key}={self._text(key)} are no integers with commas between them.")
        return numbers

    def floats(self, key: str) -> list[float]:
        """Positive numbers between commas, at least one. Raises BadNetwork."""
        try:
            numbers = [float(part) for part in self._text(key).split(",")]
        except ValueError:
            numbers = []
        if not numbers or not all(math.isfinite(number) and number > 0 for number in numbers):
            raise self.refused(f"{key}={self._text(key)} are no numbers above 0 with commas between them.")
        return numbers

    def one_of(self, key: str, choices: Iterable[str]) -> str:
        """One of some words. Raises BadNetwork."""
        word = self._text(key)
        if word not in choices:
            raise self.refused(f"unknown {key}={word}. Known are: {', '.join(choices)}.")
        return word

    def only(self, known: set[str]) -> None:
        """Raises BadNetwork for an option that is not supported."""
        for key, value in self.options.items():
            if key not in known:
                raise self.refused(f"unknown option {key}={value}. Known are: {', '.join(sorted(known))}.")

    def without(self, unsupported: dict[str, str]) -> None:
        """Raises BadNetwork for an option with another value than the one that is supported: {key: value}."""
        for key, supported in unsupported.items():
            if (value := self.options.get(key, supported)) != supported:
                raise self.refused(f"{key}={value} is not supported: it changes what the network takes or gives. Set {key}={supported}.")

    def _text(self, key: str) -> str:
        text = self.options.get(key, DEFAULTS.get(self.name, {}).get(key))
        if text is None:
            raise self.refused(f"{key}= is missing.")
        return text


def read(path: Path) -> str:
    """The text of a cfg; its comments may be in any encoding. Raises BadNetwork for what is too large, or no text."""
    if path.stat().st_size > LARGEST:
        raise BadNetwork(f"{path} has {path.stat().st_size} bytes; a cfg has at most {LARGEST}.")
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = content.decode("latin-1")
        if not all(line.isascii() for _, line in _lines(text)):
            raise BadNetwork(f"{path} is no text ({error.reason} at byte {error.start}). Name a Darknet cfg, in UTF-8.") from error
        return text


def sections(text: str) -> list[Section]:
    """All sections in order, [net] first. Raises BadNetwork for a line that is neither `[name]` nor `key=value`, or a repeated key."""
    found: list[Section] = []
    for number, line in _lines(text):
        if line.startswith("["):
            found.append(Section(_name(number, line), number, len(found) - 1, {}))
        elif not found:
            raise BadNetwork(f"line {number}: {line!r} comes before the first section. A cfg begins with [net].")
        else:
            _add(found[-1], number, line)
    if not found or found[0].name not in {"net", "network"}:
        raise BadNetwork(f"the cfg begins with {found[0].place if found else 'nothing'}. It must begin with [net].")
    return found


def render(found: list[Section]) -> str:
    """Sections as the text of a cfg, without comments."""
    lines = ((f"[{section.name}]", *(f"{key}={value}" for key, value in section.options.items()), "") for section in found)
    return "\n".join(chain.from_iterable(lines))


def for_opencv(text: str) -> str:
    """The same network for OpenCV, which has other defaults and sets every score below 0.2 to 0."""
    net, *layers = sections(text)
    explicit = [layer._replace(options={**DEFAULTS.get(layer.name, {}), **layer.options, **OPENCV.get(layer.name, {})}) for layer in layers]
    return render([net._replace(name="net"), *explicit])


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank or a comment, with their numbers from 1."""
    for number, line in enumerate(re.split(r"\r\n?|\n", text), 1):
        if content := line.partition("#")[0].partition(";")[0].strip():
            yield number, content


def _name(number: int, line: str) -> str:
    if not line.endswith("]"):
        raise BadNetwork(f"line {number}: {line!r} has no closing bracket.")
    name = line[1:-1].strip()
    return ALIASES.get(name, name)


def _add(section: Section, number: int, line: str) -> None:
    key, equals, value = (part.strip() for part in line.partition("="))
    if not (key and equals and value):
        raise BadNetwork(f"line {number}, in {section.place}: {line!r} is not of the form key=value.")
    if key in section.options:
        raise BadNetwork(f"line {number}, in {section.place}: {key}= is repeated; it was {section.options[key]}. Keep one.")
    section.options[key] = value


def _integers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        return []
