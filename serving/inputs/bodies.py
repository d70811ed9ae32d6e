"""What comes in: JSON or a picture, read no further than the limit allows."""

import asyncio
import json
import reprlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple, NoReturn, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from serving.inputs import pictures
from serving.problems import Refusal

Input = TypeVar("Input", bound=BaseModel)
Result = TypeVar("Result")
JSON, FORM, URLENCODED = "application/json", "multipart/form-data", "application/x-www-form-urlencoded"
PICTURES = (FORM, "image/png", "image/jpeg", "image/webp")
KINDS = (JSON, *PICTURES)
DRAINED = 8  # times the limit: so much is read and thrown away, so that the refusal reaches a client that is still sending
EXPLAINED = 3  # faults at most that a refusal names
FIELDS = 16  # of a form without files
SHOWN = 200  # characters at most of what was sent that a refusal repeats
JSON_MB = 0.25  # parsing holds the interpreter: 10 MB of it would keep everybody waiting for a second
ASIDE = ThreadPoolExecutor(2, "heavy-bodies")  # at once: a large picture takes a few hundred megabytes


class Body(NamedTuple):
    """JSON, or a picture."""

    json: bool
    content: bytes


class Sent(NamedTuple):
    """A multipart form: the files of one field, and the texts (name, value) of all."""

    files: list[bytes]
    texts: list[tuple[str, str]]


async def read(request: Request, limit_mb: float, kinds: Sequence[str] = KINDS, json_mb: float = JSON_MB) -> Body:
    """The body: JSON of at most `json_mb`, the multipart field `image`, or a picture as it is, of these content types.

    Raises Refusal: 413 over the limit, 415 for another content type, 400 or 422 for what does not fit.
    """
    return (await read_files(request, limit_mb, 1, kinds, json_mb))[0]


async def read_files(request: Request, limit_mb: float, most: int, kinds: Sequence[str] = KINDS, json_mb: float = JSON_MB) -> list[Body]:
    """The same, or up to `most` files in the multipart field `image`, in order, all of them within the limit. Raises Refusal."""
    kind, body = await _received(request, limit_mb, kinds, "image", json_mb=json_mb)
    if not body:
        words = f"The body is empty. Send a picture as multipart field 'image', or one of: {', '.join(kinds)}."
        raise Refusal(422, "empty body", words)
    if kind == FORM:
        return [Body(False, content) for content in (await _uploads(request, body, "image", most)).files]
    return [Body(kind == JSON, body)]


async def read_many(request: Request, limit_mb: float, most: int) -> list[Body]:
    """The pictures in the multipart field `images`, in order: at most `most`, together within the limit. Raises Refusal."""
    _, body = await _received(request, limit_mb, (FORM,), "images", ", all pictures together")
    return [Body(False, content) for content in (await _uploads(request, body, "images", most)).files]


async def read_flag(request: Request, limit_mb: float, known: Sequence[str]) -> tuple[Body, dict[str, str]]:
    """The picture in the multipart field `image`, and the text in fields of the `known` names, each once at most. Raises Refusal."""
    _, body = await _received(request, limit_mb, (FORM,), "image")
    sent = await _uploads(request, body, "image", 1)
    if unknown := [name for name, _ in sent.texts if name not in known]:
        raise Refusal(
            422, "unknown field", f"The field {unknown[0][:SHOWN]!r} is not known. Known: 'image', {', '.join(map(repr, known))}."
        )
    if len(fields := dict(sent.texts)) < len(sent.texts):
        raise Refusal(422, "broken form", "A field stands twice in the form. Send each once.")
    return Body(False, sent.files[0]), fields


async def read_form(request: Request, limit_mb: float) -> dict[str, str]:
    """The fields of a form as HTML and OAuth2 send them. Raises Refusal: 413, 415, and 400 for what is no form, or says something twice."""
    _, body = await _received(request, limit_mb, (URLENCODED,), "")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body), errors="strict", max_num_fields=FIELDS)
    except ValueError as error:  # also of bytes that are no UTF-8
        words = f"The body is not a form of at most {FIELDS} fields ({type(error).__name__}). Send name=value&name=value, in UTF-8."
        raise Refusal(400, "broken form", words) from None
    if len(fields := dict(pairs)) < len(pairs):
        raise Refusal(400, "broken form", "A field stands twice in the form. Send each once.")
    return fields


async def _received(
    request: Request, limit_mb: float, kinds: Sequence[str], field: str, counted: str = "", json_mb: float = JSON_MB
) -> tuple[str, bytes]:
    """Content type and content. Raises Refusal: 415 for a type that is not read, whatever its size, and 413 over the limit."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    limit = int((min(json_mb, limit_mb) if kind == JSON else limit_mb) * 1e6)
    content, size = await _content(request, limit)
    if kind not in kinds:
        files = f"; a form's files in {field!r}" if field else ""
        words = f"Content-Type {kind[:SHOWN] or '(none)'!r} is not read here. Send one of: {', '.join(kinds)}{files}."
        raise Refusal(415, "content type", words)
    if size > limit:
        words = f"The body has {size / 1e6:.1f} MB or more; at most {limit / 1e6:g} MB are allowed here{counted}. Send less."
        raise Refusal(413, "body too large", words)
    return kind, content


async def _content(request: Request, limit: int) -> tuple[bytes, int]:
    """What came within the limit, and how many bytes came in all."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        elif size > limit * DRAINED:
            break
    return b"".join(chunks), size


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


async def _uploads(request: Request, body: bytes, field: str, most: int) -> Sent:
    """The contents of the files in one multipart field, at least one and at most `most`, and what other fields say."""

    async def replayed() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        async with Request(request.scope, replayed).form(max_files=most, max_fields=8, max_part_size=len(body)) as form:
            return Sent(await _files(form, field), [(name, value) for name, value in form.multi_items() if isinstance(value, str)])
    except (HTTPException, UnicodeError, LookupError) as error:
        raise _unread(str(getattr(error, "detail", error)), field, most) from error


def _unread(reason: str, field: str, most: int) -> Refusal:
    """What a form is refused with: Starlette tells one fault from another by its words alone."""
    if reason.startswith("Too many files"):
        words = f"The multipart body has too many files: at most {most} are read in {field!r}. Send the others in another request."
        return Refusal(422, "too many pictures", words)
    words = f"{reason[:SHOWN].rstrip('.')}: the multipart body is broken. Send pictures as files in the field {field!r}."
    return Refusal(400, "broken multipart", words)


async def _files(form: FormData, field: str) -> list[bytes]:
    files = form.getlist(field)
    if files and all(isinstance(file, UploadFile) for file in files):
        return [await file.read() for file in files if isinstance(file, UploadFile)]
    there = ", ".join(repr(name) for name in form)[:SHOWN] or "none"
    words = f"The multipart field {field!r} is missing, or not a file. Fields sent: {there}. Send pictures as files in {field!r}."
    raise Refusal(422, "no picture", words)


FILE = {"type": "string", "format": "binary"}


def described(kind: type[BaseModel] | None = None, kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    """The request body for an OpenAPI description: a multipart file, a file alone, and JSON of `kind` where there is one."""
    form = {"type": "object", "properties": {"image": FILE}, "required": ["image"]}
    pictures = {name: {"schema": FILE} for name in kinds if name not in {JSON, FORM}}
    json = {JSON: {"schema": kind.model_json_schema()}} if kind else {}
    return {"requestBody": {"required": True, "content": {**json, FORM: {"schema": form}, **pictures}}}


def described_many(most: int) -> dict[str, Any]:
    """The same for at most `most` pictures in the multipart field `images`."""
    together = "All of them together may be as large as one body: limit_mb on the family's page."
    files = {"type": "array", "items": FILE, "minItems": 1, "maxItems": most, "description": together}
    form = {"type": "object", "properties": {"images": files}, "required": ["images"]}
    return {"requestBody": {"required": True, "content": {FORM: {"schema": form}}}}
