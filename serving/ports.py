"""The address that a service is about to listen at: is it free, and which port is, where it is not?"""

import errno
import os
import socket
from contextlib import suppress

from pipelines.errors import BadSetting

LAST = 65_535
TRIED = 100  # ports after the one that is in use


class PortTaken(BadSetting):
    """Another process listens at this port."""


def check(command: str, host: str, port: int) -> None:
    """Raises PortTaken, which names the `command` with the next free port, or BadSetting where the address cannot be listened at."""
    if not 0 <= port <= LAST:
        raise BadSetting(f"port={port} is not a port. Choose one from 1024 to {LAST:,}, or 0 for any that is free.")
    try:
        _bind(host, port)
    except socket.gaierror:
        raise BadSetting(f"host={host!r} is not known. Choose 127.0.0.1, 0.0.0.0 (all addresses), or an address of this machine.") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(_taken(command, host, port)) from None
        if error.errno == errno.EACCES:
            raise BadSetting(f"port={port} is reserved for administrators. Choose one from 1024 to {LAST:,}.") from None
        raise BadSetting(f"host={host!r} is not an address of this machine ({error.strerror}). Choose 127.0.0.1 or 0.0.0.0.") from None


def free(host: str, first: int, count: int, *taken: int) -> list[int]:
    """So many ports from the first on that nobody listens at, without those `taken`. Raises BadSetting."""
    found: list[int] = []
    for port in range(first, first + TRIED):
        with suppress(OSError):
            if len(found) < count and port not in taken:
                _bind(host, port)
                found.append(port)
    if len(found) < count:
        raise BadSetting(f"Of the {TRIED} ports from {first} on, {len(found)} are free; {count} are needed. End what listens there.")
    return found


def _bind(host: str, port: int) -> None:
    """Bind each address of the host as uvicorn will, and let it go. Raises OSError."""
    for family, kind, protocol, _, address in socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, True)
            probe.bind(address)


def _taken(command: str, host: str, port: int) -> str:
    for other in range(port + 1, min(port + TRIED, LAST) + 1):
        with suppress(OSError):
            _bind(host, other)
            return f"port={port} is in use, and port={other} is free: {command} port={other}"
    return f"port={port} is in use, and so are the {TRIED} after it. Choose another."
