"""Is a token required? `AUTH=required` or `AUTH=off` decides; unset, it is as soon as others can reach the service, also by a proxy.

What tokens need is imported only where they are required.
"""

import ipaddress
import logging
import os
import socket
from collections.abc import Iterable

import psutil

from pipelines.errors import BadSetting
from serving.auth import hosts, proxies

logger = logging.getLogger("atelier.serving")
CHOICES = ("required", "off")
OPEN = ("/token", "/logout", "/health")


def required(addresses: Iterable[str] | None = None) -> bool:
    """Whether a service at these addresses, or else those that this process listens on, needs tokens. Without any it does."""
    word = os.environ.get("AUTH") or None
    if word not in (None, *CHOICES):
        raise BadSetting(
            f"AUTH={word!r} is not known. Choose one of: {', '.join(CHOICES)}; unset, it is off where only this machine can ask."
        )
    known = list(listening() if addresses is None else addresses)
    remote = [name for name in (*known, *hosts.given()) if not loopback(name)] + [f"proxy {proxy}" for proxy in proxies.named()]
    if word == "off" and remote:
        logger.warning("AUTH=off at %s: whoever reaches this address may use the service, without a name", ", ".join(remote))
    return word == "required" if word else bool(remote) or not known


def listening() -> list[str]:
    """Addresses that this process listens on: `bentoml serve --host` reaches a worker as an open socket only."""
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


def decide(host: str) -> None:
    """Decide for this process and its workers, before they listen. Raises where tokens are required and nobody could sign in."""
    if tokens := required([host]):
        from serving.auth import authority

        authority.with_users()
    os.environ["AUTH"] = "required" if tokens else "off"
