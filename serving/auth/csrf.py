"""Which site a request comes from: browsers say so, programs do not."""

from urllib.parse import urlsplit

from starlette.requests import Request

from serving.problems import Refusal

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def own(request: Request) -> None:
    """Refuse what another site's page has sent in the person's name; programs say nothing of where they come from. Raises Refusal 403."""
    if request.method in SAFE:
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None and site not in ("same-origin", "none"):
        raise _foreign()
    if site is None and origin is not None and _place(origin) != request.headers.get("host", "").lower():
        raise _foreign()


def _place(origin: str) -> str | None:
    """Host and port of an origin; none of `null`."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _foreign() -> Refusal:
    return Refusal(403, "another site", "This request comes from a page of another site. Open the service's own page, and ask there.")
