"""The model card and the Croissant file of the served model: as a page, as files, and in parts for `/`."""

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from jinja2 import Environment
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pipelines.datasets import cards
from pipelines.registry import modelcards, store
from serving.pages import markdown
from serving.problems import Refusal

logger = logging.getLogger("atelier.serving")
COLUMNS = (("Uses", "Out-of-scope uses"), ("Limits",))  # sections of the card that `/` shows
KINDS = {modelcards.README: "text/markdown", cards.CROISSANT: "application/ld+json"}


def mount(app: FastAPI, environment: Environment, headers: dict[str, str]) -> None:
    """Add /card, /card.md and /data/croissant.json, of the current `app.state.champion`."""
    template = environment.get_template("page/card.html")

    async def page(request: Request) -> HTMLResponse:
        pointer = _pointer(request)
        facts = {"model": pointer["model"], "body": markdown.rendered(modelcards.body(_required(pointer, modelcards.README)))}
        return HTMLResponse(template.render(facts, croissant=read_text(pointer, cards.CROISSANT)), headers=headers)

    async def readme(request: Request) -> Response:
        return _file(request, modelcards.README)

    async def croissant(request: Request) -> Response:
        return _file(request, cards.CROISSANT)

    def _file(request: Request, name: str) -> Response:
        return Response(_required(_pointer(request), name), media_type=KINDS[name], headers=headers)

    for path, answer in {"/card": page, "/card.md": readme, "/data/croissant.json": croissant}.items():
        app.add_route(path, answer, methods=["GET"], include_in_schema=False)


def shown(pointer: store.Pointer) -> dict[str, Any]:
    """What `/` shows: "columns", each {heading: HTML}, none without a card; "croissant", None without one."""
    card = read_text(pointer, modelcards.README)
    return {"columns": _columns(card) if card else [], "croissant": read_text(pointer, cards.CROISSANT)}


@lru_cache(maxsize=4)
def _columns(card: str) -> list[dict[str, Markup]]:
    found = modelcards.sections(card)
    return [{title: markdown.rendered(found[title]) for title in column if title in found} for column in COLUMNS]


def read_text(pointer: store.Pointer, name: str) -> str | None:
    """A text file in the model's folder of the store, or None, also where it is not text."""
    path = store.folder_of(pointer["tag"]) / name
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as fault:
        _log_unreadable(path, str(fault))
        return None


@lru_cache(maxsize=16)
def _log_unreadable(path: Path, fault: str) -> None:
    """Log it, once for each fault (cached)."""
    logger.warning("%s cannot be read: %s", path, fault)


def _pointer(request: Request) -> Any:
    return request.app.state.champion.served.pointer


def _required(pointer: store.Pointer, name: str) -> str:
    """The file's text. Raises Refusal 404."""
    if (found := read_text(pointer, name)) is None:
        detail = f"{name} of version {pointer['model']['version']} is not on this machine. `make ui` writes it where the data are."
        raise Refusal(404, "no card", detail)
    return found
