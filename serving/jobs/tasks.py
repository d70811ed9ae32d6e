"""Kinds of jobs: what a worker does with each picture of one. serving/<family>/tasks.py has a family's own, as TASKS.

`hello` and `sepia` need no model: they show whether the queue or the model is broken.
"""

import base64
import io
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from serving.inputs import pictures
from serving.live.champion import Served

WORDS, SIZE, GREY, INK = "Hello World", (320, 96), 192, 32
SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]], np.float32)  # rows R, G, B, as in CSS's filter
SIDE = 2048  # pixels: a larger picture is reduced; as PNG in base64 it takes 17 MB at worst
ROWS = 256  # pixels that are coloured at once


class Context(Protocol):
    """What a worker offers a task: the limits of the family, and its champion, which is loaded when a job first asks for it."""

    @property
    def limits(self) -> Any: ...  # the family's kind of pipelines.configs.Serving

    @property
    def served(self) -> Served: ...


class Task(NamedTuple):
    """One kind of job: `work(file, context)`, maybe a coroutine function, gives a JSON result, or raises Refusal, which is a result too.

    `takes`: whether it takes files; one that takes none is called once, with b"".
    """

    work: Callable[[bytes, Context], Any]
    takes: bool = True


def hello(_: bytes, __: Context) -> dict[str, Any]:
    """A grey picture that says "Hello World"."""
    picture = Image.new("L", SIZE, GREY)
    middle = (SIZE[0] / 2, SIZE[1] / 2)
    ImageDraw.Draw(picture).text(middle, WORDS, INK, ImageFont.load_default(40), "mm")
    return as_json(picture)


def sepia(file: bytes, context: Context) -> dict[str, Any]:
    """The picture in the brown of old photographs."""
    picture = pictures.opened(file, context.limits.limit_megapixels)
    colours = pictures.colour(picture, SIDE).copy()
    for top in range(0, len(colours), ROWS):
        colours[top : top + ROWS] = np.minimum(colours[top : top + ROWS] @ SEPIA.T, 255)
    return as_json(Image.fromarray(colours))


def as_json(picture: Image.Image) -> dict[str, Any]:
    """A picture as a result: PNG in base64."""
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return {"picture": base64.b64encode(stream.getvalue()).decode()}


TASKS = {"hello": Task(hello, takes=False), "sepia": Task(sepia)}


def of(family: str) -> dict[str, Task]:
    """All tasks of a family by name, its own first; empty where the family has no tasks.py."""
    module = f"serving.{family}.tasks"
    return {**import_module(module).TASKS, **TASKS} if find_spec(module) else {}
