"""A Darknet cfg as text: sections of options. What they mean is said in darknet.py."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

DEFAULTS = {  # Darknet's own; others, OpenCV among them, take other ones
    "convolutional": {"batch_normalize": "0", "filters": "1", "size": "1", "stride": "1", "pad": "0", "padding": "0", "groups": "1"}
    | {"activation": "logistic"},
    "shortcut": {"activation": "linear"},
    "route": {"groups": "1", "group_id": "0"},
    "maxpool": {"stride": "1"},
    "upsample": {"stride": "2"},
    "yolo": {"classes": "20", "num": "1", "scale_x_y": "1", "new_coords": "0"},
}
LARGEST = 1_000_000  # bytes of a cfg; that of the full YOLOv4 has 12,000
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
        """The error that says where."""
        return BadNetwork(f"{self.place}: {words}")

    def whole(self, key: str, least: int = 0, most: int = 65_536) -> int:
        """A whole number. Raises BadNetwork."""
        text = self._text(key)
        numbers = _wholes(text)
        if len(numbers) != 1 or not least <= numbers[0] <= most:
            raise self.refused(f"{key}={text} is no whole number of {least} to {most:,}.")
        return numbers[0]

    def wholes(self, key: str) -> list[int]:
        """Whole numbers between commas, at least one. Raises BadNetwork."""
        numbers = _wholes(self._text(key))
        if not numbers:
            raise self.refused(f"{key}={self._text(key)} are no whole numbers with commas between them.")
        return numbers

    def floats(self, key: str) -> list[float]:
        """Numbers above 0 between commas, at least one. Raises BadNetwork."""
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
        """Raises BadNetwork for an option that changes the layer in a way nobody here knows."""
        for key, value in self.options.items():
            if key not in known:
                raise self.refused(f"unknown option {key}={value}. Known are: {', '.join(sorted(known))}.")

    def _text(self, key: str) -> str:
        text = self.options.get(key, DEFAULTS.get(self.name, {}).get(key))
        if text is None:
            raise self.refused(f"{key}= is missing.")
        return text


def read(path: Path) -> str:
    """The text of a cfg. Raises BadNetwork for what is too large, or no text."""
    if path.stat().st_size > LARGEST:
        raise BadNetwork(f"{path} has {path.stat().st_size} bytes; a cfg has at most {LARGEST}.")
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise BadNetwork(f"{path} is no text ({error.reason} at byte {error.start}). Name a Darknet cfg.") from error


def sections(text: str) -> list[Section]:
    """All sections in order, [net] first. Raises BadNetwork for a line that is neither `[name]` nor `key=value`, or a key said twice."""
    found: list[Section] = []
    for number, line in _lines(text):
        if line.startswith("["):
            found.append(Section(_name(number, line), number, len(found) - 1, {}))
        elif not found:
            raise BadNetwork(f"line {number}: {line!r} stands before the first section. A cfg begins with [net].")
        else:
            _add(found[-1], number, line)
    if not found or found[0].name not in {"net", "network"}:
        raise BadNetwork(f"the cfg begins with {found[0].place if found else 'nothing'}. It must begin with [net].")
    return found


def written(found: list[Section]) -> str:
    """Sections as the text of a cfg, comments gone."""
    return "\n".join(line for section in found for line in _written(section))


def for_opencv(text: str) -> str:
    """The same network for OpenCV, which takes other defaults and, without a word, makes 0 of every score below 0.2."""
    net, *layers = sections(text)
    told = [layer._replace(options={**DEFAULTS.get(layer.name, {}), **layer.options, **OPENCV.get(layer.name, {})}) for layer in layers]
    return written([net._replace(name="net"), *told])


def _written(section: Section) -> list[str]:
    return [f"[{section.name}]", *(f"{key}={value}" for key, value in section.options.items()), ""]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """What is not blank or a comment, with its number from 1 on."""
    for number, line in enumerate(text.splitlines(), 1):
        said = line.partition("#")[0].partition(";")[0].strip()
        if said:
            yield number, said


def _name(number: int, line: str) -> str:
    if not line.endswith("]"):
        raise BadNetwork(f"line {number}: {line!r} has no closing bracket.")
    return line[1:-1].strip()


def _add(section: Section, number: int, line: str) -> None:
    key, equals, value = (part.strip() for part in line.partition("="))
    if not (key and equals and value):
        raise BadNetwork(f"line {number}, in {section.place}: {line!r} is not of the form key=value.")
    if key in section.options:
        raise BadNetwork(f"line {number}, in {section.place}: {key}= was said before, as {section.options[key]}. Leave one.")
    section.options[key] = value


def _wholes(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        return []
