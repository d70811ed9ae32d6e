"""What passes between browsers and Gradio: the few addresses that its page needs, under a policy that names no other place.

Mounted in an application, Gradio 6.31 does not hold a file that a request names against its own folder, fetches what a request
names by http, and gives out proxies, histories and an assistant that writes files. None of that comes through here.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import Refusal, Refused

OPEN = {
    "GET": re.compile(r"/|/(?:assets|static)/.+|/theme\.css|/gradio_api/(?:upload_progress|startup-events|file=.+)"),
    "HEAD": re.compile("/"),
    "POST": re.compile(r"/gradio_api/(?:upload|run/\w+)"),
}
FILE, UPLOAD = "/gradio_api/file=", "/gradio_api/upload"
ASKED_MB = 1.0  # of a question's JSON: names of files, and a text
FORM_MB = 0.01  # of a form around its file
DRAINED = 8  # times the limit: so much is read and thrown away
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' blob: data:",
    "media-src": "'self' blob:",
    "font-src": "'self' data:",
    "connect-src": "'self'",
    "frame-ancestors": "'self'",
    "base-uri": "'self'",
    "form-action": "'none'",
}
SCRIPT = re.compile(r"<script(?P<named>[^>]*)>(?P<code>.*?)</script>", re.DOTALL)
ELSEWHERE = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*/>|<link rel="manifest"[^>]*/>')
ICON = '<link rel="icon" type="image/svg+xml" href="../static/icon.svg">'
RESIZER = "iframeResizer.contentWindow"  # a script for pages of other sites that show this one


class Gate:
    """Gradio's application, as far as its page needs it; `folder` holds its files, a body has at most `limit_mb` megabytes."""

    def __init__(self, app: ASGIApp, folder: Path, limit_mb: float) -> None:
        self.app, self.folder, self.limit_mb = app, folder.resolve(), limit_mb

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        try:
            body = await self._checked(scope["method"], path, receive)
        except Refusal as refusal:
            return await Refused(refusal)(scope, receive, send)
        await self.app(_uncompressed(scope), body, _Page(send) if path == "/" else _kept(send, lasting=path.startswith("/assets/")))

    async def _checked(self, method: str, path: str, receive: Receive) -> Receive:
        """The rest of the request, if it may pass. Raises Refusal."""
        if method not in OPEN or not OPEN[method].fullmatch(path):
            raise Refusal(404, "not found", f"There is no {method} {path[:80]!r} here.")
        if path.startswith(FILE):
            self._own(path.removeprefix(FILE))
        if method != "POST":
            return receive
        body = await _whole(receive, self.limit_mb if path == UPLOAD else ASKED_MB)
        return _replayed(body if path == UPLOAD else self._question(body), receive)

    def _question(self, body: bytes) -> bytes:
        """A question whose files are all Gradio's own. Raises Refusal."""
        try:
            named = [*_paths(json.loads(body))]
        except (ValueError, RecursionError) as error:
            raise Refusal(400, "not json", f"The body is not JSON ({type(error).__name__}).") from error
        for path in named:
            self._own(path)
        return body

    def _own(self, path: Any) -> None:
        """Raise Refusal 403 for what is not a whole path into the folder: `http://a/b.png?/../../` resolves into it, and is an address."""
        if not isinstance(path, str) or "\0" in path or "://" in path or not self._within(Path(path)):
            raise Refusal(403, "not its file", f"{str(path)[:80]!r} is no file that was sent to this page. Upload it there.")

    def _within(self, path: Path) -> bool:
        return path.is_absolute() and path.resolve().is_relative_to(self.folder)


def _paths(value: Any) -> Iterator[Any]:
    """Whatever JSON calls a path, however deep."""
    if isinstance(value, dict) and "path" in value:
        yield value["path"]
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _paths(child)


async def _whole(receive: Receive, limit_mb: float) -> bytes:
    """The body. Raises Refusal 413 over the limit: what is somewhat larger is read to its end, so that the refusal arrives."""
    chunks, size, more = [], 0, True
    while more and size <= (limit_mb + FORM_MB) * 1e6 * DRAINED:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
        if size <= (limit_mb + FORM_MB) * 1e6:
            chunks.append(message.get("body", b""))
    if size > (limit_mb + FORM_MB) * 1e6:
        raise Refusal(413, "body too large", f"The body has {size / 1e6:.1f} MB or more; at most {limit_mb:g} MB are allowed. Send less.")
    return b"".join(chunks)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body at once, then whatever comes after it: a client that goes."""
    left = [body]

    async def replayed() -> Message:
        return {"type": "http.request", "body": left.pop(), "more_body": False} if left else await receive()

    return replayed


def _uncompressed(scope: Scope) -> Scope:
    """The same request for an answer as it is: the page is rewritten, and Gradio compresses each file anew, for half a second."""
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]}


def _kept(send: Send, lasting: bool) -> Send:
    """Answers under the policy; a `lasting` one has a name of its own, and is not asked for again."""

    async def kept(message: Message) -> None:
        if message["type"] == "http.response.start":
            told = MutableHeaders(scope=message)
            told.update(headers(POLICY))
            if lasting and message["status"] == 200:
                told["Cache-Control"] = "private, max-age=31536000, immutable"
        await send(message)

    return kept


class _Page:
    """Gradio's page without what it says of other places; its own scripts are named by their hashes."""

    def __init__(self, send: Send) -> None:
        self._send, self._html = send, b""
        self._start: Message = {}

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._html += message.get("body", b"")
        if not message.get("more_body", False):
            await self._sent(own(self._html.decode()))

    async def _sent(self, html: str) -> None:
        told = {**POLICY, "script-src": " ".join([POLICY["script-src"], *hashes(html)])}
        content = html.encode()
        more = {"Cache-Control": "no-store", "Content-Length": str(len(content))}
        MutableHeaders(scope=self._start).update({**headers(told), **more})
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": content})


def own(html: str) -> str:
    """Gradio's page without the addresses of other places, and without what other sites would show it by."""
    stripped = SCRIPT.sub(lambda found: "" if RESIZER in found["code"] else found[0], ELSEWHERE.sub("", html))
    return stripped.replace("</head>", f"{ICON}</head>", 1)


def hashes(html: str) -> list[str]:
    """'sha256-...' of each script that stands in a page."""
    found = (match["code"] for match in SCRIPT.finditer(html) if match["code"].strip())
    return [f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'" for code in found]


def headers(policy: dict[str, str]) -> dict[str, str]:
    """What every answer carries."""
    told = "; ".join(f"{name} {value}" for name, value in policy.items())
    return {"Content-Security-Policy": told, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
