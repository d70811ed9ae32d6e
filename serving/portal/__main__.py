"""`make portal`: the portal alone, in front of the products that PORTAL_SERVICES names."""

import sys

import uvicorn

from pipelines import paths
from serving import clients, connections, ports, telemetry
from serving.__main__ import log_to_file, run
from serving.auth import authority, hosts, proxies, rates
from serving.portal import settings
from serving.portal.application import application

GRACE = 90  # seconds for answers that are being made when it ends


def main(host: str = "127.0.0.1", port: int = 8080) -> None:
    """Serve it, on the loopback address unless another is asked for. Raises BadSetting, NoDatabase or NewerDatabase."""
    if sys.stderr.isatty():
        log_to_file(paths.ROOT / "portal.log")
    telemetry.log_as_json()
    ports.check("make portal", host, port)
    hosts.add(host)
    proxies.root()
    limits = rates.allowed(rates.PORTAL)
    made = application(authority.current(), settings.services(), settings.idle_seconds(), settings.sign_up(), settings.mail(), limits)
    run(
        uvicorn.Config(
            made,
            host=host,
            port=port,
            http=connections.CLASS,
            backlog=clients.backlog(),
            timeout_graceful_shutdown=GRACE,
            log_config=None,
            server_header=False,
            proxy_headers=False,
        ),
        1,
    )


if __name__ == "__main__":
    main()
