"""A filter between browsers and Gradio: only the few addresses that its page needs, under a policy that allows no other site.

Mounted in an application, Gradio 6.31 does not check that a file that a request names is in its own folder, fetches what a request
names by http, and serves proxies, histories and an assistant that writes files. All of that is blocked here.
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

from serving.inputs import senders
from serving.ocr.uploads import Uploads
from serving.pools import BoundedPool
from serving.problems import Refusal, Refused

OPEN = {
    "GET": re.compile(r"/|/(?:assets|static)/.+|/theme\.css|/gradio_api/(?:upload_progress|startup-events|file=.+)"),
    "HEAD": re.compile("/"),
    "POST": re.compile(r"/gradio_api/(?:upload|run/\w+)"),
}
POOL = BoundedPool(1, 256, "upload-limits", "uploading")  # one thread: what it counts is counted once
FILE, UPLOAD = "/gradio_api/file=", "/gradio_api/upload"
EVENT_MB = 1.0  # of an event's JSON: names of files, and a text
FORM_MB = 0.01  # of a form around its file
DRAINED = 8  # times the limit: so much is read and discarded, so that the refusal reaches the client
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
EXTERNAL = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*/>|<link rel="manifest"[^>]*/>')
REMOVED = {
    b"accept-encoding",  # the page is rewritten, and Gradio compresses each file anew, for half a second
    *(b"x-forwarded-host", b"x-forwarded-proto", b"x-gradio-server"),  # Gradio believes anybody where it is; the scope is checked
}
ICON = '<link rel="icon" type="image/svg+xml" href="../static/icon.svg">'
RESIZER = "iframeResizer.contentWindow"  # a script for other sites that embed the page


class RequestFilter:
    """Gradio's application behind the filter; `folder` holds its files for `seconds`, an upload has at most `limit_mb` megabytes."""

    def __init__(self, app: ASGIApp, folder: Path, limit_mb: float, seconds: float) -> None:
        self.app, self.folder, self.limit_mb = app, folder.resolve(), limit_mb
        self.uploads = Uploads(self.folder, seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        try:
            body = await self._checked(scope["method"], path, receive, senders.of(scope))
        except Refusal as refusal:
            return await Refused(refusal)(scope, receive, send)
        plain = {**scope, "headers": [(name, value) for name, value in scope["headers"] if name not in REMOVED]}
        await self.app(plain, body, _Page(send) if path == "/" else _with_policy(send, immutable=path.startswith("/assets/")))

    async def _checked(self, method: str, path: str, receive: Receive, sender: str) -> Receive:
        """The body of a request that may pass. Raises Refusal."""
        if method not in OPEN or not OPEN[method].fullmatch(path):
            raise Refusal(404, "not found", f"There is no {method} {path[:80]!r} here.")
        if path.startswith(FILE):
            self._check_own(path.removeprefix(FILE))
        if method != "POST":
            return receive
        body = await _read(receive, self.limit_mb if path == UPLOAD else EVENT_MB)
        if path == UPLOAD:
            await POOL.run(self.uploads.admit, sender, len(body))
        else:
            self._check_event(body)
            await POOL.run(self.uploads.check)  # an answer's pictures are stored too
        return _replayed(body, receive)

    def _check_event(self, body: bytes) -> None:
        """Raise Refusal for an event that is not JSON, or names a file that is not Gradio's own."""
        try:
            named = [*_paths(json.loads(body))]
        except (ValueError, RecursionError) as error:
            raise Refusal(400, "not json", f"The body is not JSON ({type(error).__name__}).") from error
        for path in named:
            self._check_own(path)

    def _check_own(self, name: Any) -> None:
        """Raise Refusal 403 for what is no absolute path into the folder: `http://a/b.png?/../../` resolves into it, and is an address."""
        path = Path(name) if isinstance(name, str) and "\0" not in name and "://" not in name else None
        if path is None or not path.is_absolute() or not path.resolve().is_relative_to(self.folder):
            raise Refusal(403, "not its file", f"{str(name)[:80]!r} was not uploaded to this page. Upload it there.")


def _paths(value: Any) -> Iterator[Any]:
    """The values of all keys "path", at any depth."""
    if isinstance(value, dict) and "path" in value:
        yield value["path"]
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _paths(child)


async def _read(receive: Receive, limit_mb: float) -> bytes:
    """The body. Raises Refusal 413 over the limit, having read a body that is somewhat larger to its end, so that the refusal arrives."""
    limit, chunks, size, more = (limit_mb + FORM_MB) * 1e6, list[bytes](), 0, True
    while more and size <= limit * DRAINED:
        message = await receive()
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
    if size > limit:
        raise Refusal(413, "body too large", f"The body has {size / 1e6:.1f} MB or more; at most {limit_mb:g} MB are allowed. Send less.")
    return b"".join(chunks)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body at once, then what comes after it, such as a disconnect."""
    left = [body]

    async def replayed() -> Message:
        return {"type": "http.request", "body": left.pop(), "more_body": False} if left else await receive()

    return replayed


def _with_policy(send: Send, immutable: bool) -> Send:
    """Answers with the policy's headers; an `immutable` one has a name of its own, and is cached for good."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            head = MutableHeaders(scope=message)
            head.update(headers(POLICY))
            if immutable and message["status"] == 200:
                head["Cache-Control"] = "private, max-age=31536000, immutable"
        await send(message)

    return sent


class _Page:
    """Gradio's page without links to other sites; its own scripts are allowed by their hashes."""

    def __init__(self, send: Send) -> None:
        self._send, self._html = send, b""
        self._start: Message = {}

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._html += message.get("body", b"")
        if not message.get("more_body", False):
            html = own(self._html.decode())
            policy = {**POLICY, "script-src": " ".join([POLICY["script-src"], *hashes(html)])}
            more = {"Cache-Control": "no-store", "Content-Length": str(len(html.encode()))}
            MutableHeaders(scope=self._start).update({**headers(policy), **more})
            await self._send(self._start)
            await self._send({"type": "http.response.body", "body": html.encode()})


def own(html: str) -> str:
    """Gradio's page without addresses of other sites, and without the script by which they embed it."""
    stripped = SCRIPT.sub(lambda found: "" if RESIZER in found["code"] else found[0], EXTERNAL.sub("", html))
    return stripped.replace("</head>", f"{ICON}</head>", 1)


def hashes(html: str) -> list[str]:
    """'sha256-...' of each inline script of a page."""
    found = (match["code"] for match in SCRIPT.finditer(html) if match["code"].strip())
    return [f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'" for code in found]


def headers(policy: dict[str, str]) -> dict[str, str]:
    """The headers of every answer."""
    joined = "; ".join(f"{name} {value}" for name, value in policy.items())
    return {"Content-Security-Policy": joined, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
