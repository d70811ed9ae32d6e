"""uvicorn's server, which answers who has connected before it ends: closing its sockets would reset those that wait in them."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import suppress

import uvicorn

CLOSED = 0.05  # seconds: the event loop closes its sockets later than it is told to


class Server(uvicorn.Server):
    """uvicorn's, with an end that resets nobody."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, take who waits, then drain."""
        last = [socket.socket(fileno=os.dup(each.fileno())) for server in self.servers for each in server.sockets]
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        await asyncio.sleep(CLOSED)
        for connection in [connection for listening in last for connection in _waiting(listening)]:
            with suppress(OSError):  # it has gone
                await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        await super().shutdown([])

    def _protocol(self) -> asyncio.Protocol:
        protocol = self.config.http_protocol_class
        return protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore[call-arg]


def _waiting(listening: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait to be accepted; then the socket is closed."""
    listening.setblocking(False)
    with listening, suppress(OSError):
        while True:
            connection, _ = listening.accept()
            connection.setblocking(False)
            yield connection
