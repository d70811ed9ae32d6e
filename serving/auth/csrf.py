"""Cross-site request forgery: browsers name the site that a request comes from, programs do not."""

from urllib.parse import urlsplit

from starlette.requests import Request

from serving.problems import Refusal

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def check(request: Request) -> None:
    """Reject what another site's page has sent. Raises Refusal 403."""
    site, origin, host = (request.headers.get(name) for name in ("sec-fetch-site", "origin", "host"))
    own = site in ("same-origin", "none") if site is not None else origin is None or _host(origin) == (host or "").lower()
    if request.method not in SAFE and not own:
        raise Refusal(403, "another site", "This request comes from a page of another site. Send it from the service's own page.")


def _host(origin: str) -> str | None:
    """Host and port of an origin; empty for `null`."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None
