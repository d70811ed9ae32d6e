"""What comes in: JSON or a picture, read no further than the limit allows."""

import json
import reprlib
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from serving.problems import Refusal

Input = TypeVar("Input", bound=BaseModel)
KINDS = ("application/json", "multipart/form-data", "image/png", "image/jpeg", "image/webp")
DRAINED = 8  # times the limit: so much is read and thrown away, so that the refusal reaches a client that is still sending


async def read(request: Request, kind: type[Input], limit_mb: float) -> Input | bytes:
    """The body as `kind` (JSON) or as the bytes of a picture (multipart field `image`, or the body itself).

    Raises Refusal: 413 over the limit, 415 for another content type, 422 for what does not fit.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await _limited(request, int(limit_mb * 1e6))
    if not body:
        raise Refusal(422, "The body is empty. Send JSON, or a picture as multipart field 'image'.")
    if content_type == "application/json":
        return parsed(body, kind)
    if content_type == "multipart/form-data":
        return await _upload(request, body)
    if content_type in KINDS:
        return body
    raise Refusal(415, f"Content-Type {content_type or '(none)'!r} is not read here. Send one of: {', '.join(KINDS)}.")


async def _limited(request: Request, limit: int) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        elif size > limit * DRAINED:
            break
    if size > limit:
        raise Refusal(413, f"The body has {size / 1e6:.1f} MB or more; at most {limit / 1e6:g} MB are allowed. Send a smaller picture.")
    return b"".join(chunks)


def parsed(body: bytes, kind: type[Input]) -> Input:
    """JSON checked against `kind`: no NaN, no unknown key. Raises Refusal 400 or 422."""
    try:
        return kind.model_validate(json.loads(body, parse_constant=_not_a_number))
    except ValidationError as error:
        raise Refusal(422, "; ".join(_explained(fault, kind) for fault in error.errors()[:3]) + ".") from error
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"The body is not JSON ({error}). Send {{{', '.join(repr(key) for key in kind.model_fields)}: ...}}.") from error


def _not_a_number(word: str) -> NoReturn:
    raise Refusal(422, f"{word} is not a number. Send finite numbers only.")


def _explained(fault: Any, kind: type[BaseModel]) -> str:
    where = ".".join(str(step)[:40] for step in fault["loc"]) or "the body"
    known = ", ".join(repr(key) for key in kind.model_fields)
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key; known: {known}"
    return f"{where}={reprlib.repr(fault['input'])}: {fault['msg']}; known keys: {known}"


async def _upload(request: Request, body: bytes) -> bytes:
    """The content of the multipart field `image`."""

    async def replayed() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        async with Request(request.scope, replayed).form(max_files=1, max_fields=8, max_part_size=len(body)) as form:
            return await _file(form)
    except (HTTPException, UnicodeError, LookupError) as error:
        reason = str(getattr(error, "detail", error))[:200].rstrip(".")
        raise Refusal(400, f"{reason}: the multipart body is broken. Send the picture as a file in the field 'image'.") from error


async def _file(form: FormData) -> bytes:
    image = form.get("image")
    if isinstance(image, UploadFile):
        return await image.read()
    there = ", ".join(repr(name) for name in form) or "none"
    raise Refusal(
        422, f"The multipart field 'image' is missing, or not a file. Fields sent: {there}. Send the picture as a file in 'image'."
    )


def described(kind: type[BaseModel]) -> dict[str, Any]:
    """The request body for an OpenAPI description: JSON of `kind`, a multipart picture, or a picture alone."""
    file = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"image": file}, "required": ["image"]}
    pictures = {name: {"schema": file} for name in KINDS if name.startswith("image/")}
    content = {"application/json": {"schema": kind.model_json_schema()}, "multipart/form-data": {"schema": form}, **pictures}
    return {"requestBody": {"required": True, "content": content}}
