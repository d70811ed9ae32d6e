"""BentoML's service with our application before its stack of middlewares, which costs more than an answer (docs/decisions.md)."""

from typing import Any

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines import configs
from serving import telemetry
from serving.limits import Limited

PROBES = frozenset({"/livez", "/healthz", "/readyz", "/metrics"})  # these stay BentoML's


class Direct(bentoml.Service):
    """A service whose requests go straight to the class's own `app`; BentoML starts it, supervises it, packs it and answers the probes."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        telemetry.log_as_json()
        behind: ASGIApp = super().to_asgi(is_main)
        front = telemetry.Telemetry(Limited(self.inner.app, configs.serving(self.name)), self.name)

        async def routed(scope: Scope, receive: Receive, send: Send) -> Any:
            ours = scope["type"] == "http" and scope["path"] not in PROBES
            await (front if ours else behind)(scope, receive, send)

        return routed
