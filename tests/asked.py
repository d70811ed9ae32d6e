"""Ways of asking an endpoint about a picture, and what every such endpoint refuses, whatever its family."""

from collections.abc import Iterator
from typing import Any

import httpx

from serving import problems
from tests import corpus
from tests.forms import encoded, seven

Refused = tuple[dict[str, Any], int, tuple[str, ...]]  # a request, its status, what the detail says
PICTURE = encoded(seven())
PART = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\nseven\r\n--x--\r\n'


def raw(content: bytes, content_type: str | bytes | None = "image/png") -> dict[str, Any]:
    return {"content": content, "headers": {"content-type": content_type} if content_type else {}}


def form(**files: bytes) -> dict[str, Any]:
    return {"files": {name: ("picture.png", content) for name, content in files.items()}}


def header(width: int, height: int) -> bytes:
    """The beginning of a PNG that claims a size."""
    return corpus.png(width, height, corpus.chunk(b"IDAT", b""))


WELCOME: dict[str, dict[str, Any]] = {
    "multipart": form(image=PICTURE),
    "image/png": raw(PICTURE),
    "image/jpeg": raw(encoded(seven(), "JPEG"), "image/jpeg"),
    "image/jpg": raw(encoded(seven(), "JPEG"), "image/jpg"),
    "image/webp": raw(encoded(seven(), "WEBP"), "image/webp"),
}
UNWELCOME: dict[str, Refused] = {
    "not-an-image": (raw(b"a seven, I believe"), 415, ("a seven,", "PNG, JPEG or WebP")),
    "not-an-image-form": (form(image=b"a seven, I believe"), 415, ("a seven,", "PNG, JPEG or WebP")),
    "gif": (raw(encoded(seven(), "GIF")), 415, ("GIF8", "PNG, JPEG or WebP")),
    "empty-file": (form(image=b""), 415, ("0 bytes", "PNG, JPEG or WebP")),
    "truncated": (raw(PICTURE[: len(PICTURE) // 2]), 422, ("truncated", "complete file")),
    "truncated-form": (form(image=PICTURE[: len(PICTURE) // 2]), 422, ("truncated", "complete file")),
    "huge-picture": (raw(header(20_000, 20_000)), 413, ("20000 x 20000", "25 megapixels")),
    "large-picture": (raw(header(8000, 8000)), 413, ("8000 x 8000", "25 megapixels")),
    "huge-body": (raw(bytes(30_000_000)), 413, ("30.0 MB", "10 MB")),
    "huge-form": (form(image=bytes(30_000_000)), 413, ("30.0 MB", "10 MB")),
    "over-the-limit": (raw(bytes(10_000_001)), 413, ("10 MB",)),
    "empty-picture": (raw(b""), 422, ("empty", "'image'")),
    "text": (raw(b"seven", "text/plain"), 415, ("'text/plain'", "multipart/form-data, image/png, image/jpeg, image/webp")),
    "gif-type": (raw(PICTURE, "image/gif"), 415, ("'image/gif'", "image/webp")),
    "url-form": ({"data": {"image": "seven"}}, 415, ("x-www-form-urlencoded", "multipart/form-data")),
    "no-type": (raw(PICTURE, None), 415, ("none", "multipart/form-data")),
    "other-field": (form(picture=PICTURE), 422, ("'image'", "'picture'")),
    "text-field": ({"files": {"image": (None, "seven")}}, 422, ("'image'", "not a file")),
    "no-boundary": (raw(b"--x\r\n", "multipart/form-data"), 400, ("Missing boundary", "the multipart body is broken. Send")),
    "long-names": ({"files": [(f"{number}{'x' * 3000}", (None, "seven")) for number in range(8)]}, 422, ("'image'", "'0xxx")),
    "wrong-boundary": (raw(b"--x\r\n\r\n", "multipart/form-data; boundary=y"), 400, ("multipart",)),
    "unknown-charset": (raw(PART, "multipart/form-data; boundary=x; charset=undefined"), 400, ("multipart", "'image'")),
    "boundary-not-utf-8": (raw(b"--x\r\n", b"multipart/form-data; boundary=\xff"), 400, ("multipart",)),
    "two-files": (
        {"files": [("image", ("1.png", PICTURE)), ("image", ("2.png", PICTURE))]},
        422,
        ("too many files", "at most 1 ", "'image'"),
    ),
}


def assert_refused(response: httpx.Response, status: int, words: tuple[str, ...]) -> None:
    """A problem of this status, whose detail says all these words."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == problems.MEDIA_TYPE
    problem = response.json()
    assert set(problem) == {"title", "status", "detail", "reason"}
    assert problem["status"] == status
    assert [word for word in words if word not in problem["detail"]] == [], problem["detail"]
    assert len(problem["detail"]) < 600


def dangling(page: dict[str, Any]) -> list[str]:
    """The references of an OpenAPI description that lead nowhere."""
    return [reference for reference in references(page) if not resolves(page, reference)]


def references(page: Any) -> Iterator[str]:
    children = page.values() if isinstance(page, dict) else page if isinstance(page, list) else ()
    if isinstance(page, dict) and isinstance(page.get("$ref"), str):
        yield page["$ref"]
    for child in children:
        yield from references(child)


def resolves(page: Any, reference: str) -> bool:
    """Does `#/components/schemas/Answer` lead somewhere?"""
    for step in reference.removeprefix("#/").split("/"):
        page = page.get(step, {})
    return bool(page)
