"""What the environment says about the portal."""

import os
from urllib.parse import unquote, urlsplit

from pipelines.errors import BadSetting
from serving.auth import users
from serving.portal.mail import PORTS, Mail
from serving.portal.products import PRODUCTS

SERVICES, MINUTES, SIGN_UP = "PORTAL_SERVICES", "PORTAL_IDLE_MINUTES", "PORTAL_SIGN_UP"
THUMBNAIL_DAYS = "PORTAL_THUMBNAIL_DAYS"
SMTP, SENDER, ADDRESS = "SMTP_URL", "SMTP_SENDER", "PORTAL_ADDRESS"
MLFLOW = "PORTAL_MLFLOW"
FIRST_PORT = 3001
LONGEST = 24 * 60  # minutes
YEARS = 3650  # days
OPEN, APPROVAL, CLOSED = CHOICES = ("open", "approval", "closed")


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
    return 60 * _number(MINUTES, "5", "minutes", LONGEST)


def thumbnail_days() -> float:
    """Days that small pictures are kept. Raises BadSetting."""
    return _number(THUMBNAIL_DAYS, "30", "days", YEARS)


def _number(name: str, default: str, unit: str, most: float) -> float:
    word = os.environ.get(name) or default
    try:
        number = float(word)
    except ValueError:
        number = 0.0
    if not 0 < number <= most:
        raise BadSetting(f"{name}={word[:40]!r} is not a number of {unit} above 0, at most {most}.")
    return number


def sign_up() -> str:
    """May anybody who reaches the portal sign up, also without an administrator's approval? One of CHOICES. Raises BadSetting."""
    word = os.environ.get(SIGN_UP) or OPEN
    if word not in CHOICES:
        raise BadSetting(f"{SIGN_UP}={word[:40]!r} is not known. Choose one of: {', '.join(CHOICES)}.")
    return word


def mlflow() -> str:
    """MLflow's address, as `make ui` serves it. Raises BadSetting."""
    address = (os.environ.get(MLFLOW) or "http://127.0.0.1:5000").rstrip("/")
    if not _is_address(address):
        raise BadSetting(f"{MLFLOW} is no address such as http://127.0.0.1:5000.")
    return address


def mail() -> Mail | None:
    """The server for e-mail; None where SMTP_URL is not set. Raises BadSetting."""
    if not (url := os.environ.get(SMTP)):
        return None
    sender, portal = os.environ.get(SENDER, ""), os.environ.get(ADDRESS, "").rstrip("/")
    if not users.EMAIL.fullmatch(sender):
        raise BadSetting(f"{SENDER}={sender[:80]!r} is no e-mail address. {SMTP} is set: set {SENDER}, such as atelier@example.org.")
    if not _is_address(portal):
        raise BadSetting(
            f"{ADDRESS} is not set, or is no address. {SMTP} is set: set {ADDRESS}, such as https://atelier.example.org, for links."
        )
    return _mail(url, sender, portal)


def _mail(url: str, sender: str, portal: str) -> Mail:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or PORTS[parts.scheme]
        if host:
            user, password = (unquote(word or "") for word in (parts.username, parts.password))
            return Mail(host, port, parts.scheme == "smtps", user, password, sender, portal)
    except (ValueError, KeyError):
        pass
    raise BadSetting(
        f"{SMTP} (not shown, as it may hold a password) is no address such as smtps://name:password@mail.example.org or smtp://127.0.0.1:25."
    )
