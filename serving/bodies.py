"""What comes in: JSON or a picture, read no further than the limit allows."""

import asyncio
import json
import reprlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from serving import pictures
from serving.problems import Refusal

Input = TypeVar("Input", bound=BaseModel)
Result = TypeVar("Result")
PICTURES = ("multipart/form-data", "image/png", "image/jpeg", "image/webp")
KINDS = ("application/json", *PICTURES)
DRAINED = 8  # times the limit: so much is read and thrown away, so that the refusal reaches a client that is still sending
EXPLAINED = 3  # faults at most that a refusal names
JSON_MB = 0.25  # parsing holds the interpreter: 10 MB of it would keep everybody waiting for a second
ASIDE = ThreadPoolExecutor(2, "heavy-bodies")  # at once: a large picture takes a few hundred megabytes


class Body(NamedTuple):
    """JSON, or a picture."""

    json: bool
    content: bytes


async def read(request: Request, limit_mb: float, kinds: Sequence[str] = KINDS) -> Body:
    """The body: JSON, the multipart field `image`, or a picture as it is, of these content types.

    Raises Refusal: 413 over the limit, 415 for another content type, 400 or 422 for what does not fit.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    json_alone = content_type == "application/json"
    body = await _limited(request, int((min(JSON_MB, limit_mb) if json_alone else limit_mb) * 1e6))
    if not body:
        words = f"The body is empty. Send a picture as multipart field 'image', or one of: {', '.join(kinds)}."
        raise Refusal(422, "empty body", words)
    if content_type == "multipart/form-data":
        return Body(False, (await _uploads(request, body, "image", 1))[0])
    if content_type in kinds:
        return Body(json_alone, body)
    raise Refusal(415, "content type", f"Content-Type {content_type or '(none)'!r} is not read here. Send one of: {', '.join(kinds)}.")


async def read_many(request: Request, limit_mb: float, most: int) -> list[Body]:
    """The pictures in the multipart field `images`, in order, at most `most` of them. Raises Refusal."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await _limited(request, int(limit_mb * 1e6))
    if content_type != "multipart/form-data":
        words = f"Content-Type {content_type or '(none)'!r} is not read here. Send multipart/form-data with files in 'images'."
        raise Refusal(415, "content type", words)
    return [Body(False, content) for content in await _uploads(request, body, "images", most)]


async def _limited(request: Request, limit: int) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        elif size > limit * DRAINED:
            break
    if size > limit:
        words = f"The body has {size / 1e6:.1f} MB or more; at most {limit / 1e6:g} MB are allowed here. Send less."
        raise Refusal(413, "body too large", words)
    return b"".join(chunks)


async def understood(work: Callable[..., Result], body: Body, *more: Any) -> Result:
    """work(body, *more): at once where the body is light, in a thread where it is heavy, so that nobody waits for it."""
    if len(body.content) <= pictures.LIGHT_BYTES if body.json else pictures.light(body.content):
        return work(body, *more)
    return await aside(work, body, *more)


async def aside(work: Callable[..., Result], body: Body, *more: Any) -> Result:
    """work(body, *more) in a thread: also right for many light ones at once."""
    return await asyncio.get_running_loop().run_in_executor(ASIDE, work, body, *more)


def parsed(body: bytes, kind: type[Input]) -> Input:
    """JSON checked against `kind`: no NaN, no unknown key. Raises Refusal 400 or 422."""
    try:
        return kind.model_validate(_fewer(json.loads(body, parse_constant=_not_a_number), kind))
    except ValidationError as error:
        raise Refusal(422, "schema", "; ".join(_explained(fault, kind) for fault in error.errors()[:EXPLAINED]) + ".") from error
    except (ValueError, RecursionError) as error:
        known = ", ".join(repr(key) for key in kind.model_fields)
        raise Refusal(400, "not json", f"The body is not JSON ({error}). Send {{{known}: ...}}.") from error


def _fewer(value: Any, kind: type[BaseModel]) -> Any:
    """An object with no more unknown keys than are explained: a million of them would make a million errors of a kilobyte each."""
    if not isinstance(value, dict):
        return value
    unknown = islice((key for key in value if key not in kind.model_fields), EXPLAINED)
    return {key: value[key] for key in [*(key for key in kind.model_fields if key in value), *unknown]}


def _not_a_number(word: str) -> NoReturn:
    raise Refusal(422, "not finite", f"{word} is not a number. Send finite numbers only.")


def _explained(fault: Any, kind: type[BaseModel]) -> str:
    where = ".".join(str(step)[:40] for step in fault["loc"]) or "the body"
    known = ", ".join(repr(key) for key in kind.model_fields)
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key; known: {known}"
    return f"{where}={reprlib.repr(fault['input'])}: {fault['msg']}; known keys: {known}"


async def _uploads(request: Request, body: bytes, field: str, most: int) -> list[bytes]:
    """The contents of the files in one multipart field, at least one and at most `most`."""

    async def replayed() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        async with Request(request.scope, replayed).form(max_files=most, max_fields=8, max_part_size=len(body)) as form:
            return await _files(form, field)
    except (HTTPException, UnicodeError, LookupError) as error:
        reason = str(getattr(error, "detail", error))[:200].rstrip(".")
        words = f"{reason}: the multipart body is broken, or has more than {most} files. Send at most {most} in the field {field!r}."
        raise Refusal(400, "broken multipart", words) from error


async def _files(form: FormData, field: str) -> list[bytes]:
    files = form.getlist(field)
    if files and all(isinstance(file, UploadFile) for file in files):
        return [await file.read() for file in files if isinstance(file, UploadFile)]
    there = ", ".join(repr(name) for name in form) or "none"
    words = f"The multipart field {field!r} is missing, or not a file. Fields sent: {there}. Send pictures as files in {field!r}."
    raise Refusal(422, "no picture", words)


FILE = {"type": "string", "format": "binary"}


def described(kind: type[BaseModel] | None = None) -> dict[str, Any]:
    """The request body for an OpenAPI description: a multipart picture, a picture alone, and JSON of `kind` where there is one."""
    form = {"type": "object", "properties": {"image": FILE}, "required": ["image"]}
    pictures = {name: {"schema": FILE} for name in KINDS if name.startswith("image/")}
    json = {"application/json": {"schema": kind.model_json_schema()}} if kind else {}
    return {"requestBody": {"required": True, "content": {**json, "multipart/form-data": {"schema": form}, **pictures}}}


def described_many(most: int) -> dict[str, Any]:
    """The same for at most `most` pictures in the multipart field `images`."""
    files = {"type": "array", "items": FILE, "minItems": 1, "maxItems": most}
    form = {"type": "object", "properties": {"images": files}, "required": ["images"]}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}}}
