"""POST /flag of every family: a picture that was answered wrongly, and what it really shows, stored for training (store.py).

A family's flags.py defines a correction: `choices(served)`, `read(word, picture, served)`, which raises Refusal 422, and
`files(picture, correction, folder)`, the files that the family's `folder` source reads.
"""

import asyncio
import errno
import logging
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse

from pipelines.configs import Serving
from serving import problems
from serving.feedback import store
from serving.feedback.store import BrokenLog, Full, Picture, Stored
from serving.inputs import bodies
from serving.inputs.bodies import Body
from serving.live.champion import Served
from serving.problems import Refusal

logger = logging.getLogger("atelier.serving")
LONGEST = 20_000  # characters of a correction: a page of boxes
NAMED = 20  # choices that a refusal lists
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
POOL = ThreadPoolExecutor(1, "flags")  # one thread: another service may hold the lock, and a disk may be slow
FIELDS: dict[str, dict[str, Any]] = {  # of the form, besides the picture
    "correction": {"type": "string", "maxLength": LONGEST},
    "prediction_id": {
        "type": "string",
        "pattern": "^[0-9a-f]{32}$",
        "title": "32 hexadecimal digits",
        "description": "of the answer that was wrong",
    },
    "digest": {
        "type": "string",
        "pattern": "^[0-9a-f]{64}$",
        "title": "64 hexadecimal digits",
        "description": "of the model; by default the current one",
    },
    "answer": {"type": "string", "maxLength": LONGEST, "description": "what it was"},
}


class Flagged(BaseModel):
    """The picture is stored: the SHA-256 of its bytes, whether it was flagged before, and how many pictures of this family are flagged."""

    kept: bool
    hash: str
    again: bool
    count: int


class Choices(BaseModel):
    """The possible corrections, where they are a list."""

    choices: list[str] | None


def mount(app: FastAPI, family: str) -> None:
    """Add GET and POST /flag."""
    flags = import_module(f"serving.{family}.flags")

    @app.get("/flag", response_model=Choices)
    async def choices(request: Request) -> JSONResponse:
        """The corrections to choose from; null where a correction is not one of a list."""
        return JSONResponse({"choices": flags.choices(request.app.state.champion.served)})

    responses = problems.documented(400, 403, 408, 413, 415, 422, 503, 507)

    @app.post("/flag", status_code=201, response_model=Flagged, responses=responses, openapi_extra=_described(flags.CORRECTION))
    async def flag(request: Request) -> JSONResponse:
        """Store a picture that was answered wrongly, with what it really shows; flagged again, it gets the new correction."""
        state = request.app.state
        body, fields = await bodies.read_flag(request, state.limits.limit_mb, tuple(FIELDS))
        _validate(fields)
        correction, about = fields.pop("correction"), {**fields, "user": getattr(request.state, "user", None)}
        stored = await add(family, body, correction, about, state.champion.served, state.limits)
        request.state.flagged, request.state.again = stored.hash, stored.again
        return JSONResponse({"kept": True, "hash": stored.hash, "again": stored.again, "count": stored.flagged}, 201)


async def add(family: str, body: Body, correction: str, about: Mapping[str, Any], served: Served, limits: Serving) -> Stored:
    """Store a picture with its correction, as text; `about` may name `user`, `prediction_id`, `digest` and `answer`. Raises Refusal."""
    flags = import_module(f"serving.{family}.flags")
    picture = await bodies.process(_read, body, limits)
    known = {"digest": served.pointer["model"]["digest"], **{key: value for key, value in about.items() if value is not None}}
    facts = {key: known.get(key) for key in ("prediction_id", "digest", "answer", "user")}
    work = (family, picture, flags.read(correction, picture, served), flags.files, facts)
    try:
        return await asyncio.get_running_loop().run_in_executor(POOL, store.add, *work)
    except (Full, BrokenLog, OSError) as error:
        raise _refusal(family, error) from error


def _read(body: Body, limits: Serving) -> Picture:
    return store.read(body.content, limits)


def _validate(fields: dict[str, str]) -> None:
    """Raises Refusal 422."""
    for name, value in fields.items():
        if len(value) > LONGEST or not re.fullmatch(FIELDS[name].get("pattern", "(?s).*"), value):
            allowed = FIELDS[name].get("title") or f"at most {LONGEST:,} characters"
            raise Refusal(422, "bad field", f"{name}={value[:80]!r} is not allowed. Send {allowed}, or leave it out.")
    if "correction" not in fields:
        raise Refusal(422, "no correction", "The field 'correction' is missing. Send what the picture really shows.")


def _refusal(family: str, error: Exception) -> Refusal:
    """The refusal of a flag that cannot be stored."""
    logger.error("%s: a flag was not stored: %s", family, error)
    if isinstance(error, Full):
        return Refusal(507, "enough flags", str(error))
    if isinstance(error, BrokenLog):
        return Refusal(503, "broken log", str(error))
    folder = store.ROOT / family
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return Refusal(507, "disk full", f"{folder} cannot be written: {error.strerror}. Free some space, and flag again.")
    return Refusal(503, "not writable", f"{folder} cannot be written; the service's log says why. Make it writable, and flag again.")


def chosen(word: str, choices: Sequence[str]) -> str:
    """One of the choices. Raises Refusal 422."""
    if word in choices:
        return word
    more = f" and {len(choices) - NAMED} more, which GET /flag lists" if len(choices) > NAMED else ""
    known = ", ".join(choice[:40] for choice in choices[:NAMED])
    raise Refusal(422, "bad correction", f"correction={word[:80]!r} is not known. Send one of: {known}{more}.")


def _described(correction: Mapping[str, Any]) -> dict[str, Any]:
    """The form, for an OpenAPI description."""
    fields = {"image": bodies.FILE, **FIELDS, "correction": {**FIELDS["correction"], **correction}}
    form = {"type": "object", "properties": fields, "required": ["image", "correction"], "additionalProperties": False}
    return {"requestBody": {"required": True, "content": {bodies.FORM: {"schema": form}}}}
