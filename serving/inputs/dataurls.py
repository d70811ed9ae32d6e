"""A file as base64 in JSON, alone or as a data URL, many megabytes long, decoded without blocking other requests."""

import binascii
import re
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from serving.inputs import bodies
from serving.inputs.bodies import Body
from serving.problems import Refusal

Input = TypeVar("Input", bound=BaseModel)
MARKS = (b'"', b"[", b"{", b",")  # frequent in JSON that is not one long text
FEW = 64
ESCAPES = 16  # characters of a text for each that is escaped: line ends in base64 are one of 77
PIECE = 2**20  # characters decoded at once, between which other threads run
PREFIX = re.compile(r"data:[^,]{0,200},", re.ASCII | re.IGNORECASE)
STRANGE = re.compile(r"[^A-Za-z0-9+/]")


class Submitted(BaseModel):
    """A file as base64, with or without the prefix of a data URL."""

    model_config = ConfigDict(extra="forbid", strict=True)
    image: Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]


async def unwrapped(body: Body) -> Body:
    """The file itself, also where it came in JSON. Raises Refusal."""
    return await bodies.process(_unwrap, body) if body.json else body


def _unwrap(body: Body) -> Body:
    return Body(False, decoded(parsed(body.content, Submitted).image))


def parsed(body: bytes, kind: type[Input]) -> Input:
    """JSON validated against `kind`; beyond JSON_MB it must be one long text, which is parsed fast. Raises Refusal."""
    if len(body) > bodies.JSON_MB * 1e6 and (sum(map(body.count, MARKS)) > FEW or body.count(b"\\") > len(body) / ESCAPES):
        known = ", ".join(repr(key) for key in kind.model_fields)
        raise Refusal(422, "schema", f"The JSON is not one text. Beyond {bodies.JSON_MB:g} MB, send only {{{known}: one base64 text}}.")
    return bodies.parsed(body, kind)


def decoded(text: str) -> bytes:
    """The file in a base64 text, with or without a data URL's prefix; white space is ignored. Raises Refusal 422."""
    prefix = PREFIX.match(text)
    if prefix and not prefix[0].lower().endswith(";base64,"):
        raise _refusal(f"the data URL begins with {prefix[0][: bodies.SHOWN]!r}, which does not say base64")
    return _decoded("".join(text[prefix.end() if prefix else 0 :].split()))


def _decoded(text: str) -> bytes:
    if strange := STRANGE.search(text.rstrip("=")):
        raise _refusal(f"{strange[0]!r} at character {strange.start()} is not base64")
    if len(text) % 4:
        raise _refusal(f"its {len(text):,} characters are no multiple of 4: it was cut, or its '=' are missing")
    try:
        return b"".join(binascii.a2b_base64(text[at : at + PIECE], strict_mode=True) for at in range(0, len(text), PIECE))
    except (binascii.Error, ValueError) as error:
        raise _refusal(str(error)) from error


def _refusal(why: str) -> Refusal:
    detail = f"'image' is not base64: {why[: bodies.SHOWN]}. Send the file's bytes as base64, with or without 'data:...;base64,' before it."
    return Refusal(422, "broken base64", detail)
