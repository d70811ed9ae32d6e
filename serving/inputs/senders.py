"""Who sends a request, as limits count: a user, or where nobody signs in an address."""

import ipaddress
from typing import Any


def of(scope: Any) -> str:
    """`user ada`, or `address 192.0.2.1`, of an ASGI scope."""
    user = scope.get("state", {}).get("user")
    client = scope.get("client")
    return f"user {user}" if user else f"address {network(client[0] if client else 'unknown')}"


def network(address: str) -> str:
    """An IPv4 address, or the /64 of an IPv6 one, which one subscriber controls."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    return str(parsed if parsed.version == 4 else ipaddress.ip_network((parsed, 64), strict=False))
