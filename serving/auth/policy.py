"""Is a token required? `AUTH=required` or `AUTH=off` says so; unset, it is as soon as the service can be reached from elsewhere.

Nothing heavy is imported here: where no token is required, nothing is asked, opened or checked.
"""

import ipaddress
import logging
import os
import socket
from collections.abc import Iterable

import psutil

logger = logging.getLogger("atelier.serving")
CHOICES = ("required", "off")
OPEN = ("/token", "/logout", "/health")


class BadSetting(ValueError):
    """AUTH is neither of its two words."""


def required(addresses: Iterable[str] | None = None) -> bool:
    """Whether requests need a token, for a service at these addresses; None: those that this process listens on. Raises BadSetting.

    A process that listens nowhere yet may do so anywhere.
    """
    word = os.environ.get("AUTH") or None
    if word not in (None, *CHOICES):
        raise BadSetting(
            f"AUTH={word!r} is not known. Choose one of: {', '.join(CHOICES)}; unset, it is off on the loopback address alone."
        )
    known = list(listening() if addresses is None else addresses)
    private = bool(known) and all(map(loopback, known))
    if word == "off" and known and not private:
        logger.warning("AUTH=off at %s: whoever reaches this address may use the service, without a name", ", ".join(known))
    return word == "required" if word else not private


def listening() -> list[str]:
    """Addresses that this process listens on. `bentoml serve --host` reaches a worker as an open socket, and in no other way."""
    try:
        connections = psutil.Process().net_connections("tcp")
    except psutil.Error:
        return []
    return sorted({connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN})


def loopback(host: str) -> bool:
    """Is this an address, or a name, that only this machine reaches?"""
    try:
        return all(ipaddress.ip_address(found[4][0]).is_loopback for found in socket.getaddrinfo(host or "0.0.0.0", None))  # noqa: S104
    except (OSError, ValueError):
        return False
