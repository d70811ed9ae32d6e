"""Request bodies: JSON, pictures or forms, read no further than the limit."""

import asyncio
import json
import reprlib
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple, NoReturn, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from serving.inputs import pictures
from serving.problems import Refusal

Input = TypeVar("Input", bound=BaseModel)
Result = TypeVar("Result")
JSON, FORM, URLENCODED = "application/json", "multipart/form-data", "application/x-www-form-urlencoded"
PICTURES = (FORM, "image/png", "image/jpeg", "image/webp")
KINDS = (JSON, *PICTURES)
ALSO_CALLED = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}  # by programs that are not precise
DRAINED = 8  # times the limit are read and dropped, so that the refusal reaches a client that is still sending
EXPLAINED = 3  # errors that a refusal names
FIELDS = 16  # of a form without files
SHOWN = 200  # characters of the input that a refusal repeats
JSON_MB = 0.25  # parsing holds the interpreter lock: 10 MB would block all requests for a second
POOL = ThreadPoolExecutor(2, "heavy-bodies")  # two threads: a large picture takes a few hundred megabytes


class Body(NamedTuple):
    """JSON, or a picture."""

    json: bool
    content: bytes


class Sent(NamedTuple):
    """A multipart form: the files of one field, and the text fields (name, value)."""

    files: list[bytes]
    texts: list[tuple[str, str]]


async def read(request: Request, limit_mb: float, kinds: Sequence[str] = KINDS, json_mb: float = JSON_MB) -> Body:
    """The body: JSON of at most `json_mb`, the multipart field `image`, or a picture, of these content types. Raises Refusal.

    413 over the limit, 415 for another content type, 400 or 422 for a malformed body.
    """
    return (await read_files(request, limit_mb, 1, kinds, json_mb))[0]


async def read_files(request: Request, limit_mb: float, most: int, kinds: Sequence[str] = KINDS, json_mb: float = JSON_MB) -> list[Body]:
    """As read(), or up to `most` files in the multipart field `image`, in order, together within the limit. Raises Refusal."""
    kind, body = await _read(request, limit_mb, kinds, "image", json_mb=json_mb)
    if not body:
        raise Refusal(422, "empty body", f"The body is empty. Send a picture as multipart field 'image', or one of: {', '.join(kinds)}.")
    if kind == FORM:
        return [Body(False, content) for content in (await _uploads(request, body, "image", most)).files]
    return [Body(kind == JSON, body)]


async def read_many(request: Request, limit_mb: float, most: int) -> list[Body]:
    """The pictures in the multipart field `images`, in order: at most `most`, together within the limit. Raises Refusal."""
    _, body = await _read(request, limit_mb, (FORM,), "images", ", all pictures together")
    return [Body(False, content) for content in (await _uploads(request, body, "images", most)).files]


async def read_flag(request: Request, limit_mb: float, known: Sequence[str]) -> tuple[Body, dict[str, str]]:
    """The picture in the multipart field `image`, and the text in fields of the `known` names, each once at most. Raises Refusal."""
    _, body = await _read(request, limit_mb, (FORM,), "image")
    sent = await _uploads(request, body, "image", 1)
    if unknown := [name for name, _ in sent.texts if name not in known]:
        choices = ", ".join(map(repr, ["image", *known]))
        raise Refusal(422, "unknown field", f"The field {unknown[0][:SHOWN]!r} is not known. Choose from: {choices}.")
    return Body(False, sent.files[0]), _unique(sent.texts, 422)


async def read_form(request: Request, limit_mb: float) -> dict[str, str]:
    """The fields of a URL-encoded form. Raises Refusal: 413, 415, and 400 where it is malformed or has a field twice."""
    _, body = await _read(request, limit_mb, (URLENCODED,), "")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body), errors="strict", max_num_fields=FIELDS)
    except ValueError as error:  # also of bytes that are no UTF-8
        detail = f"The body is not a form of at most {FIELDS} fields ({type(error).__name__}). Send name=value&name=value, in UTF-8."
        raise Refusal(400, "broken form", detail) from None
    return _unique(pairs, 400)


def _unique(pairs: list[tuple[str, str]], status: int) -> dict[str, str]:
    if len(fields := dict(pairs)) < len(pairs):
        raise Refusal(status, "broken form", "A field is in the form twice. Send each once.")
    return fields


async def _read(
    request: Request, limit_mb: float, kinds: Sequence[str], field: str, counted: str = "", json_mb: float = JSON_MB
) -> tuple[str, bytes]:
    """Content type and content. Raises Refusal: 415 for another type, whatever its size, and 413 over the limit."""
    named = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    kind = ALSO_CALLED.get(named, named)
    limit = int((min(json_mb, limit_mb) if kind == JSON else limit_mb) * 1e6)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        elif size > limit * DRAINED:
            break
    if kind not in kinds:
        files = f"; a form's files in {field!r}" if field else ""
        detail = f"Content-Type {kind[:SHOWN] or '(none)'!r} is not read here. Send one of: {', '.join(kinds)}{files}."
        raise Refusal(415, "content type", detail)
    if size > limit:
        detail = f"The body has {size / 1e6:.1f} MB or more; at most {limit / 1e6:g} MB are allowed here{counted}. Send less."
        raise Refusal(413, "body too large", detail)
    return kind, b"".join(chunks)


async def process(work: Callable[..., Result], body: Body, *more: Any) -> Result:
    """work(body, *more): at once where the body is light, in a thread where it is heavy."""
    if len(body.content) <= pictures.LIGHT_BYTES if body.json else pictures.light(body.content):
        return work(body, *more)
    return await in_thread(work, body, *more)


async def in_thread(work: Callable[..., Result], body: Body, *more: Any) -> Result:
    """work(body, *more) in a thread: also for many light ones at once."""
    return await asyncio.get_running_loop().run_in_executor(POOL, work, body, *more)


def parsed(body: bytes, kind: type[Input]) -> Input:
    """JSON checked against `kind`: no NaN, no unknown key. Raises Refusal 400 or 422."""
    try:
        return kind.model_validate(_pruned(json.loads(body, parse_constant=_not_a_number), kind))
    except ValidationError as error:
        raise Refusal(422, "schema", "; ".join(_explain(fault, kind) for fault in error.errors()[:EXPLAINED]) + ".") from error
    except (ValueError, RecursionError) as error:
        known = ", ".join(repr(key) for key in kind.model_fields)
        raise Refusal(400, "not json", f"The body is not JSON ({error}). Send {{{known}: ...}}.") from error


def _pruned(value: Any, kind: type[BaseModel]) -> Any:
    """An object with at most EXPLAINED unknown keys: each makes an error of a kilobyte, and there may be a million."""
    if not isinstance(value, dict):
        return value
    unknown = islice((key for key in value if key not in kind.model_fields), EXPLAINED)
    return {key: value[key] for key in [*(key for key in kind.model_fields if key in value), *unknown]}


def _not_a_number(word: str) -> NoReturn:
    raise Refusal(422, "not finite", f"{word} is not a number. Send finite numbers only.")


def _explain(fault: Any, kind: type[BaseModel]) -> str:
    where = ".".join(str(step)[:40] for step in fault["loc"]) or "the body"
    known = ", ".join(repr(key) for key in kind.model_fields)
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key; known: {known}"
    return f"{where}={reprlib.repr(fault['input'])}: {fault['msg']}; known keys: {known}"


async def _uploads(request: Request, body: bytes, field: str, most: int) -> Sent:
    """The files in one multipart field, at least one and at most `most`, and the text fields."""

    async def replayed() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await MultiPartParser(request.headers, replayed(), max_files=most, max_fields=8, max_part_size=len(body)).parse()
    except (MultiPartException, UnicodeError, LookupError) as error:
        reason = str(error)
        if reason.startswith("Too many files"):  # Starlette distinguishes its errors by text alone
            detail = f"The multipart body has too many files: at most {most} are read in {field!r}. Send the others in another request."
            raise Refusal(422, "too many pictures", detail) from error
        detail = f"{reason[:SHOWN].rstrip('.')}: the multipart body is broken. Send pictures as files in the field {field!r}."
        raise Refusal(400, "broken multipart", detail) from error
    try:
        return Sent(await _files(form, field), [(name, value) for name, value in form.multi_items() if isinstance(value, str)])
    finally:
        await form.close()


async def _files(form: FormData, field: str) -> list[bytes]:
    files = form.getlist(field)
    if files and all(isinstance(file, UploadFile) for file in files):
        return [await file.read() for file in files if isinstance(file, UploadFile)]
    sent = ", ".join(repr(name) for name in form)[:SHOWN] or "none"
    raise Refusal(422, "no picture", f"The multipart field {field!r} is missing, or not a file. Fields sent: {sent}. Send pictures in it.")


FILE = {"type": "string", "format": "binary"}


def openapi(kind: type[BaseModel] | None = None, kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    """The request body for an OpenAPI description: a multipart file, a file alone, and JSON of `kind` where there is one."""
    form = {"type": "object", "properties": {"image": FILE}, "required": ["image"]}
    pictures = {name: {"schema": FILE} for name in kinds if name not in {JSON, FORM}}
    json = {JSON: {"schema": kind.model_json_schema()}} if kind else {}
    return {"requestBody": {"required": True, "content": {**json, FORM: {"schema": form}, **pictures}}}


def openapi_many(most: int) -> dict[str, Any]:
    """The request body for at most `most` pictures in the multipart field `images`."""
    together = "All of them together may be as large as one body: limit_mb in the family's config file."
    files = {"type": "array", "items": FILE, "minItems": 1, "maxItems": most, "description": together}
    form = {"type": "object", "properties": {"images": files}, "required": ["images"]}
    return {"requestBody": {"required": True, "content": {FORM: {"schema": form}}}}
