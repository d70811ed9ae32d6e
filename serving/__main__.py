"""`make serve family=<family>`: the family's BentoML service, once the store follows the ledger."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from pipelines import configs, discovery, paths
from pipelines.errors import BadSetting
from serving import exits, ports
from serving.auth import hosts, policy, proxies
from serving.jobs import supervisor
from serving.server import Server

ROOM = 4_000_000  # bytes that the metrics of a few processes take
MOST = 64  # processes that answer
LOG_MB = 50  # of a log, after which the next start begins another


def main(family: str, host: str = "127.0.0.1", port: int = 3000, workers: int = 1, jobs: str | None = None) -> None:
    """Serve one family. On the loopback address, unless another is asked for."""
    from serving.live import handover  # and what reads models, which the portal does without

    if not 1 <= workers <= MOST:
        raise BadSetting(f"workers={workers} is not a number of processes from 1 to {MOST}.")
    with tempfile.TemporaryDirectory(dir=memory()) as metrics:
        os.environ |= {"PROMETHEUS_MULTIPROC_DIR": metrics, "BENTOML_HOME": str(paths.ROOT.absolute()), "BENTOML_DO_NOT_TRACK": "True"}
        os.environ[handover.VARIABLE] = str(Path(metrics, "current.json"))
        if jobs is not None and supervisor.with_queue(family):
            os.environ["JOBS_WORKERS"] = str(supervisor.count(jobs, "--jobs (make serve jobs=...)"))
        if sys.stderr.isatty():
            log_to_file(paths.ROOT / f"{family}.log")
        _serve(discovery.validate(family), host, port, workers)


def log_to_file(path: Path) -> None:
    """Keep the terminal for people: unless LOG_FILE says otherwise, the log goes to this file."""
    rotate(path)
    os.environ.setdefault("LOG_FILE", str(path))


def rotate(path: Path) -> None:
    """Set a long log aside; make the folder of a new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_MB * 1e6:
        path.replace(path.with_suffix(".log.1"))


def memory() -> str | None:
    """A folder in memory for the metrics, where there is room: they are mapped, and written at every request."""
    shared = Path("/dev/shm")  # noqa: S108
    return str(shared) if os.access(shared, os.W_OK | os.X_OK) and shutil.disk_usage(shared).free > ROOM else None


def _serve(family: str, host: str, port: int, workers: int) -> None:
    from serving import clients, connections, telemetry  # Prometheus reads its environment when it is imported
    from serving.live import champion

    telemetry.log_as_json()
    ports.check(f"make serve family={family}", host, port)
    policy.decide(host)
    hosts.add(host)
    proxies.root()
    champion.update_store(family)
    config = uvicorn.Config(
        f"serving.{family}.service:{family.capitalize()}.application",
        factory=True,
        host=host,
        port=port,
        http=connections.CLASS,
        backlog=clients.backlog(),
        timeout_graceful_shutdown=int(connections.DRAIN + configs.serving(family).limit_seconds),
        log_config=None,
        server_header=False,
        proxy_headers=False,
    )
    run(config, workers)


def run(config: uvicorn.Config, workers: int) -> None:
    """Serve until SIGTERM or Ctrl-C, in this process or in several that it watches. Raises SystemExit or KeyboardInterrupt."""
    exits.in_order_on_sigterm()
    if workers > 1:
        from serving.workers import Workers

        return Workers(config, workers).run()
    server = Server(config)
    server.run()
    if not server.started:
        raise SystemExit(STARTUP_FAILURE)
