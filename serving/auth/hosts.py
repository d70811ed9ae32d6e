"""The names that a service answers to: IP addresses, localhost, this machine's name, `make serve host=`, and ALLOWED_HOSTS.

A page of another site can give its own name this machine's address (DNS rebinding), and then counts as the service's own page. It cannot
take one of these names, nor an address in place of a name.
"""

import ipaddress
import os
import re
import socket
from functools import lru_cache

from pipelines.errors import BadSetting

VARIABLE = "ALLOWED_HOSTS"
NAME = re.compile(r"\.?[a-z0-9_]([a-z0-9_.-]{0,252})")
NETLOC = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[\w.-]+))(?::\d*)?", re.ASCII)
LOCAL = ("localhost", ".localhost")


def names() -> frozenset[str]:
    """The allowed names, lower case; `.example.org` stands for all below it. Raises BadSetting."""
    for word in given():
        if not NAME.fullmatch(word) and _address(word) is None:
            raise BadSetting(
                f"{VARIABLE}={word[:80]!r} is not the name of a host. Set names without scheme and port, such as "
                f"atelier.example.org,.example.org (all names below it), with commas between them."
            )
    return frozenset([*LOCAL, socket.gethostname().lower(), *given()])


def given() -> list[str]:
    """The names in ALLOWED_HOSTS."""
    return [word.strip().lower() for word in os.environ.get(VARIABLE, "").split(",") if word.strip()]


def add(host: str) -> None:
    """Allow the name that a service listens at, for this process and its workers. Raises BadSetting."""
    names()
    os.environ[VARIABLE] = ",".join(filter(None, [os.environ.get(VARIABLE, ""), host]))


@lru_cache(maxsize=256)
def allowed(header: str, known: frozenset[str]) -> bool:
    """Does the `Host` header name this service? `known` are names()."""
    host = hostname(header)
    parents = {host[at:] for at, letter in enumerate(host) if letter == "."}
    return _address(host) is not None or not known.isdisjoint({host, *parents})


def hostname(netloc: str) -> str:
    """`Service.example:3000` -> service.example; without the brackets of an IPv6 address, and the last dot of a name. Empty for neither."""
    found = NETLOC.fullmatch(netloc)
    return (found["address"] or found["name"]).lower().removesuffix(".") if found else ""


def _address(word: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(word)
    except ValueError:
        return None
