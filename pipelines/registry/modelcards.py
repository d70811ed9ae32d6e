"""The model card of a version, Markdown with Hugging Face's front matter: use, limits, figures, data, training, lineage, licences.

It follows from the ledger's line, the data card and the family's `card.md`, the same on every machine.
Source of the front matter and its `model-index`: https://huggingface.co/docs/hub/model-cards
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipelines import discovery, folders, phrases
from pipelines.datasets import cards
from pipelines.ledger.lines import Line
from pipelines.models import checksums
from pipelines.phrases import Figure
from pipelines.tracking import artifacts

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

HERE = Path(__file__).parent
README, TEMPLATE, PROSE = "README.md", "modelcard.md.j2", "card.md"
FENCE = re.compile(r"\A---\n(.*?)^---\n+", re.DOTALL | re.MULTILINE)
SPLITS = ("test", "valid")
Card = dict[str, Any]


def render(line: Line, card: Card | None) -> str:
    """The model card of a promotion; `card` is that of its data, where it is on this machine."""
    own, prose = split_front_matter((HERE.parent / "families" / discovery.validate(line["family"]) / PROSE).read_text())
    test, valid = (phrases.figures(line["figures"][split]) for split in SPLITS)
    facts = {"line": line, "card": card, "test": test, "valid": valid, "names": [*(test | valid)], "prose": prose.strip()}
    front = yaml.safe_dump(front_matter(line, card, own), sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{front}---\n\n{_template().render(facts)}"


def front_matter(line: Line, card: Card | None, own: Mapping[str, Any]) -> dict[str, Any]:
    """Hugging Face's front matter; `own` is that of the family's card.md."""
    name, tested = f"{line['family']}-v{line['version']}", list(phrases.figures(line["figures"]["test"]))
    return {
        **own,
        "tags": [line["family"], "atelier", *own.get("tags", [])],
        "library_name": "onnx",
        "license": "other",
        "license_name": "licences-of-the-data",
        "license_link": README,
        "metrics": tested,
        "model-index": [{"name": name, "results": [_result(line, card, own, split) for split in SPLITS]}],
    }


def _result(line: Line, card: Card | None, own: Mapping[str, Any], split: str) -> dict[str, Any]:
    data = card["name"] if card else line["family"]
    found = phrases.figures(line["figures"][split]).items()
    return {
        "task": {"type": own["pipeline_tag"]},
        "dataset": {"type": data, "name": data, "split": split, "revision": line["data"]},
        "metrics": [{"type": name, "value": figure.value, "name": phrases.metric_name(name), **_bounds(figure)} for name, figure in found],
    }


def _bounds(figure: Figure) -> dict[str, Any]:
    return {} if figure.low is None else {"args": {"interval": [figure.low, figure.high], "confidence": 0.95}}


@cache
def _template() -> Any:
    environment = Environment(  # noqa: S701  (Markdown: other text passes through `literal`)
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"literal": escape, "share": share, "hash": code}
    environment.filters |= {"metric_name": phrases.metric_name, "duration": phrases.duration}
    environment.globals |= {"sources": phrases.sources, "hardware": phrases.hardware}
    return environment.get_template(TEMPLATE)


def escape(value: object) -> str:
    """Text on one line, its Markdown escaped."""
    return re.sub(r"([\\`*_\[\]<>|~&#!])", r"\\\1", " ".join(str(value).split()))


def share(figure: Figure | None) -> str:
    """0.9968 (0.9955 to 0.9977)."""
    if figure is None:
        return ""
    return f"{figure.value:.4f}" if figure.low is None else f"{figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f})"


def code(value: str | None) -> str:
    return f"`{value}`" if value else "not recorded"


def split_front_matter(markdown: str) -> tuple[dict[str, Any], str]:
    """A card's front matter and what follows it."""
    fenced = FENCE.match(markdown)
    return (yaml.safe_load(fenced[1]), markdown[fenced.end() :]) if fenced else ({}, markdown)


def body(markdown: str) -> str:
    """A card without its front matter, which is not parsed."""
    return FENCE.sub("", markdown)


def sections(markdown: str) -> dict[str, str]:
    """{heading of the second level: the text below it}."""
    found = re.split(r"^## (.+)\n", body(markdown), flags=re.MULTILINE)
    return {title: below.strip() for title, below in zip(found[1::2], found[2::2], strict=True)}


def write(folder: Path, line: Line, data: Path | None) -> None:
    """README.md and croissant.json beside the served files; without a folder with the data card, an existing README stays."""
    if data is None and (folder / README).exists():
        return
    _write(folder / README, render(line, cards.read(data) if data else None))
    if data and (data / cards.CROISSANT).exists() and data != folder:
        _write(folder / cards.CROISSANT, (data / cards.CROISSANT).read_text())


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_bytes() != text.encode():
        folders.write(path, text)


def publish(store: "MlflowClient", version: "ModelVersion", line: Line, data: Path | None) -> None:
    """The card in MLflow: README.md and croissant.json with the run, and the version's description."""
    text = render(line, cards.read(data) if data else None)
    description = split_front_matter(text)[1]
    folder, known = artifacts.folder_of(version.name, version.run_id), version.description or ""
    if (folder / README).is_file() and (known == description or (data is None and known.startswith("# "))):
        return
    store.log_text(version.run_id, text, README)
    if data and (data / cards.CROISSANT).exists():
        store.log_artifact(version.run_id, str(data / cards.CROISSANT), "data")
    checksums.complete(folder, README, f"data/{cards.CROISSANT}")
    store.update_model_version(version.name, version.version, description)
