"""`make serve family=<family>`: the family's BentoML service, once the store follows the ledger."""

import os
import signal
import sys
import tempfile
from pathlib import Path

import uvicorn

from pipelines import configs, discovery, paths
from serving.auth import hosts, policy, proxies
from serving.jobs import supervisor
from serving.live import handover


def main(family: str, host: str = "127.0.0.1", port: int = 3000, workers: int = 1, jobs: str | None = None) -> None:
    """Serve one family. On the loopback address, unless another is asked for."""
    with tempfile.TemporaryDirectory(dir=memory()) as metrics:
        os.environ |= {"PROMETHEUS_MULTIPROC_DIR": metrics, "BENTOML_HOME": str(paths.ROOT.absolute()), "BENTOML_DO_NOT_TRACK": "True"}
        os.environ[handover.VARIABLE] = str(Path(metrics, "current.json"))
        if jobs is not None:
            os.environ["JOBS_WORKERS"] = str(supervisor.count(jobs, "--jobs (make serve jobs=...)"))
        _serve(discovery.validate(family), host, port, workers)


def memory() -> str | None:
    """A folder in memory for the metrics, which are mapped: a full disk would end workers by SIGBUS."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None  # noqa: S108


def _serve(family: str, host: str, port: int, workers: int) -> None:
    from serving import clients, connections, telemetry  # Prometheus reads its environment when it is imported
    from serving.live import champion

    telemetry.log_as_json()
    policy.decide(host)
    hosts.add(host)
    proxies.root()
    champion.update_store(family)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # uvicorn raises it again at its end, before the metrics' folder is removed
    service = f"serving.{family}.service:{family.capitalize()}.to_asgi"
    uvicorn.run(
        service,
        factory=True,
        host=host,
        port=port,
        workers=workers,
        http=connections.CLASS,
        backlog=clients.backlog(),
        timeout_graceful_shutdown=int(connections.DRAIN + configs.serving(family).limit_seconds),
        log_config=None,
        server_header=False,
        proxy_headers=False,
    )
