"""`python -m serving.ask --family digits --image my_digit.png`: one answer, without a server, as a person reads it."""

import argparse
import asyncio
import time
from importlib import import_module
from pathlib import Path

from rich.console import Console

from pipelines import configs, errors, families
from serving.bodies import Body
from serving.champion import Champion, settle
from serving.problems import Refusal
from serving.recording import Recorder


class NoPicture(ValueError):
    """There is no such file, or it holds no picture of the kind."""


def ask(family: str, image: Path) -> dict[str, object]:
    """The answer that the endpoint would give to this picture, recorded as there. Raises NoPicture, NoChampion, BadUrl or Refusal."""
    if not image.is_file():
        raise NoPicture(f"{image} is not a file. Name a picture: make predict family={family} image=my_picture.png")
    answers = import_module(f"serving.{families.known(family)}.answers")
    settle(family)
    served, limits, content = Champion(family).served, configs.serving(family), image.read_bytes()
    recorder, begun = Recorder(family, limits.predictions), time.perf_counter()
    answer: dict[str, object] = asyncio.run(answers.answered(Body(False, content), served, limits))
    recorder.note(content, answer, time.perf_counter() - begun)
    recorder.end()
    return answer


def main() -> None:
    """Print the answer and where it comes from."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", required=True)
    parser.add_argument("--image", required=True, type=Path)
    asked = parser.parse_args()
    with errors.printed_once():
        try:
            answer = ask(asked.family, asked.image)
        except Refusal as refusal:
            raise NoPicture(f"{asked.image}: {refusal}") from None
        told = import_module(f"serving.{asked.family}.answers").told(answer)
        Console().print(told, highlight=False, soft_wrap=True, markup=False)  # a class may be named in brackets


if __name__ == "__main__":
    main()
