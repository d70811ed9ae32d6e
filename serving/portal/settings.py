"""What the environment says about the portal."""

import os
from urllib.parse import urlsplit

from pipelines.errors import BadSetting
from serving.portal.products import PRODUCTS

SERVICES, MINUTES, SIGN_UP = "PORTAL_SERVICES", "PORTAL_IDLE_MINUTES", "PORTAL_SIGN_UP"
FIRST_PORT = 3001
LONGEST = 24 * 60  # minutes
CHOICES = ("open", "closed")


def services() -> dict[str, str]:
    """{product: address}, of PORTAL_SERVICES, or else on the ports of this machine where `make up` puts them. Raises BadSetting."""
    words = [word.strip() for word in os.environ.get(SERVICES, "").split(",") if word.strip()]
    return dict(map(_service, words)) or {name: f"http://127.0.0.1:{port}" for port, name in enumerate(sorted(PRODUCTS), FIRST_PORT)}


def _service(word: str) -> tuple[str, str]:
    name, _, address = word.partition("=")
    example = "Write digits=http://127.0.0.1:3001, and more with commas between them."
    if name not in PRODUCTS:
        raise BadSetting(f"{SERVICES}: {name[:40]!r} is not a product. Choose from: {', '.join(sorted(PRODUCTS))}. {example}")
    if not _is_address(address):
        raise BadSetting(f"{SERVICES}: {name} is not at an address such as http://127.0.0.1:3001. {example}")
    return name, address.rstrip("/")


def _is_address(word: str) -> bool:
    try:
        parts = urlsplit(word)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not (parts.username or parts.query)
    except ValueError:
        return False


def idle_seconds() -> float:
    """Seconds without a request after which a session ends. Raises BadSetting."""
    word = os.environ.get(MINUTES) or "5"
    try:
        minutes = float(word)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes <= LONGEST:
        raise BadSetting(f"{MINUTES}={word[:40]!r} is not a number of minutes above 0, at most {LONGEST}.")
    return minutes * 60


def open_to_sign_up() -> bool:
    """May anybody who reaches the portal sign up? Raises BadSetting."""
    word = os.environ.get(SIGN_UP) or "open"
    if word not in CHOICES:
        raise BadSetting(f"{SIGN_UP}={word[:40]!r} is not known. Choose one of: {', '.join(CHOICES)}.")
    return word == "open"
