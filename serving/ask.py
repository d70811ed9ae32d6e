"""`make predict family=<family> image=my_image.png`: one answer as text, without a server."""

import asyncio
import time
from importlib import import_module
from pathlib import Path

from rich.console import Console

from pipelines import configs, discovery
from serving.inputs.bodies import Body
from serving.live.champion import Champion, update_store
from serving.live.recorder import Recorder
from serving.problems import Refusal


class NoPicture(ValueError):
    """There is no such file, or the service does not read it."""


def ask(family: str, image: Path, recorder: Recorder) -> dict[str, object]:
    """The endpoint's answer to this picture, recorded. Raises NoPicture, NoChampion or Refusal."""
    if not image.is_file():
        raise NoPicture(f"{image} is not a file. Name a picture: make predict family={family} image=my_image.png")
    answers = import_module(f"serving.{family}.answers")
    update_store(family)
    served, limits, content = Champion(family).served, configs.serving(family), image.read_bytes()
    begun = time.perf_counter()
    answer: dict[str, object] = asyncio.run(answers.predict(Body(False, content), served, limits))
    recorder.note(content, answer, time.perf_counter() - begun)
    return answer


def main(family: str, image: Path) -> None:
    """Print the answer and where it comes from; the database is written after that."""
    recorder = Recorder(discovery.validate(family), configs.serving(family).predictions)
    try:
        answer = ask(family, image, recorder)
    except Refusal as refusal:
        raise NoPicture(f"{image}: {refusal}") from None
    text = import_module(f"serving.{family}.answers").as_text(answer)
    Console().print(text, highlight=False, soft_wrap=True, markup=False)  # names of classes may have brackets
    recorder.end()
