"""Gradio's application at /desk/, built when the page is first opened."""

import asyncio
import os
import time
from importlib import import_module
from pathlib import Path

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from pipelines import paths
from serving.auth import proxies
from serving.ocr import samples
from serving.ocr.backend import Backend
from serving.ocr.request_filter import RequestFilter
from serving.pools import BoundedPool

PATH = "/desk"
POOL = BoundedPool(1, 128, "desk", "opening the desk")
FOLDER = paths.ROOT / "desk"  # uploaded images, and what is shown of them
SAMPLES = "samples"  # in it: Gradio serves no file from elsewhere
RETENTION = 3600.0  # seconds that a file is stored
SWEEP_INTERVAL = 60.0  # seconds between two sweeps


def mount(app: FastAPI) -> None:
    """Add /desk/. Gradio is imported on the first request: that takes five seconds, and 120 MB."""
    app.mount(PATH, Desk(app), name="desk")


class Desk:
    """Gradio behind a RequestFilter, built once; old files of its folder are deleted."""

    def __init__(self, app: FastAPI) -> None:
        self.app, self.building, self.swept = app, asyncio.Lock(), 0.0
        self.filter: RequestFilter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self.building:
            if self.filter is None:
                self.filter = await POOL.run(_filtered, self.app)
            filtered = self.filter
        if time.monotonic() - self.swept > SWEEP_INTERVAL:
            self.swept = time.monotonic()
            await POOL.run(sweep, FOLDER, RETENTION)
        await filtered(scope, receive, send)


def _filtered(app: FastAPI) -> RequestFilter:
    folder, limit = FOLDER.absolute(), app.state.limits.limit_mb
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "GRADIO_TEMP_DIR": str(folder)}
    gradio = import_module("serving.ocr.components").application(
        Backend(app.state), samples.written(folder / SAMPLES), PATH, limit, proxies.root()
    )
    return RequestFilter(gradio, folder, limit, RETENTION)


def sweep(folder: Path, seconds: float) -> None:
    """Delete files that are older, and folders that are empty then; the samples stay, as the page names them as long as it lives."""
    found = (path for path in folder.rglob("*") if not path.is_relative_to(folder / SAMPLES))
    for path in sorted(found, reverse=True):
        try:
            if path.is_file() and path.stat().st_mtime < time.time() - seconds:
                path.unlink()
            elif path.is_dir():
                path.rmdir()
        except OSError:  # not empty, or gone already
            continue
