"""BentoML's service with our application before its stack of middlewares, which costs more than an answer (docs/decisions/0017)."""

from typing import Any

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines import configs
from serving import health, telemetry
from serving.auth import policy, startup
from serving.limits import Limited

METRICS = "/metrics"
PROBES = frozenset({"/livez", "/healthz", health.READY, METRICS})  # these stay BentoML's, but for /readyz: health.Ready answers it


class Direct(bentoml.Service):
    """A service whose requests go straight to the class's own `app`; BentoML starts it, supervises it, packs it and answers the probes.

    Where a token is required, all pass the guard but BentoML's probes of health.
    """

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        telemetry.log_as_json()
        behind: ASGIApp = health.Ready(self.inner.app, super().to_asgi(is_main))
        inner: ASGIApp = Limited(self.inner.app, configs.serving(self.name))
        if not policy.required():
            return _routed(telemetry.Telemetry(inner, self.name), behind, PROBES)
        guarded = startup.guarded(self.inner.app, _routed(inner, behind, PROBES), self.name)
        return _routed(telemetry.Telemetry(guarded, self.name), behind, PROBES - {METRICS})


def _routed(front: ASGIApp, behind: ASGIApp, probes: frozenset[str]) -> ASGIApp:
    async def routed(scope: Scope, receive: Receive, send: Send) -> Any:
        ours = scope["type"] == "http" and scope["path"] not in probes
        await (front if ours else behind)(scope, receive, send)

    return routed
