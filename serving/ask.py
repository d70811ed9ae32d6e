"""`python -m serving.ask --family digits --image my_digit.png`: one answer, without a server, as a person reads it."""

import argparse
from importlib import import_module
from pathlib import Path

from rich.console import Console

from pipelines import configs, errors, families, ledger, manifests, stores
from serving.champion import Champion
from serving.problems import Refusal


class NoPicture(ValueError):
    """There is no such file, or it holds no picture of the kind."""


def ask(family: str, image: Path) -> dict[str, object]:
    """The answer that the endpoint would give to this picture. Raises NoPicture, NoChampion or Refusal."""
    if not image.is_file():
        raise NoPicture(f"{image} is not a file. Name a picture: make predict family={family} image=my_picture.png")
    answers, served = import_module(f"serving.{families.known(family)}.answers"), champion(family).served
    answer: dict[str, object] = answers.answer(answers.read(image.read_bytes(), served, configs.serving(family)), served)
    return answer


def champion(family: str) -> Champion:
    """The champion of the ledger; where the store has another, a damaged one or none, reconciling brings it."""
    try:
        found = Champion(family)
        if found.served.pointer["model"]["version"] == (ledger.champion(ledger.read(family)) or {}).get("version"):
            return found
    except (stores.NoChampion, stores.NotStored, manifests.BrokenModel):
        pass
    from pipelines import registry  # MLflow takes seconds: only when it is needed

    registry.reconcile(family)
    return Champion(family)


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
        Console().print(import_module(f"serving.{asked.family}.answers").told(answer), highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
