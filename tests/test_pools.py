"""What waits for a database or a disk waits in threads of its own: the event loop's own threads are for models."""

import ast
import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving.auth import pool
from serving.gravures import lookup
from serving.jobs import routes as job_routes
from serving.ocr import backend, desk
from serving.pools import BoundedPool
from serving.portal import pool as portal_pool
from serving.problems import Refusal
from tests.imports import ROOT

POOLS = {"jobs": job_routes.POOL, "catalogue": lookup.POOL, "desk": desk.POOL, "uploads": backend.POOL, "sessions": pool.SESSIONS}
POOLS |= {"files": portal_pool.FILES}
DEFAULT = {  # {file: what it does in the event loop's own threads}: it computes, and waits for nothing
    "serving/live/batches.py": "a batch of the model",
    "serving/ocr/answers.py": "the sheet of a page",
    "serving/ocr/pages.py": "the lines of a page",
    "serving/signatures/answers.py": "a page as the model takes it",
    "serving/signatures/pages.py": "a page as PNG",
    "serving/auth/routes.py": "an import, once",
}


@pytest.mark.parametrize("waiting", POOLS.values(), ids=POOLS)
def test_a_model_answers_while_many_wait_for_a_database(waiting: BoundedPool) -> None:
    """The locked database is unlocked by a thread of the event loop: it never is where that waits, too."""

    async def answered() -> list[bool]:
        unlocked = threading.Event()
        asked = [asyncio.create_task(waiting.run(unlocked.wait, 60)) for _ in range(40)]
        await asyncio.sleep(0)
        await asyncio.to_thread(unlocked.set)
        return await asyncio.gather(*asked)

    assert asyncio.run(answered()) == [True] * 40


def test_a_job_waits_in_its_own_threads() -> None:
    assert asyncio.run(job_routes.in_thread(threading.current_thread)).name.startswith("jobs")


def test_nothing_but_computing_is_done_in_the_event_loops_threads() -> None:
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "serving").rglob("*.py") if shared(path)}
    assert found == set(DEFAULT)


def shared(path: Path) -> list[ast.Call]:
    """The calls in a file that use the event loop's own threads."""
    calls: list[Any] = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    named: Callable[[Any], str] = lambda call: getattr(call.func, "attr", getattr(call.func, "id", ""))  # noqa: E731
    return [
        call for call in calls if named(call) == "to_thread" or (named(call) == "run_in_executor" and ast.unparse(call.args[0]) == "None")
    ]


def test_too_many_are_refused_and_the_next_is_taken() -> None:
    async def asked() -> list[Any]:
        few, unlocked = BoundedPool(1, 2, "few", "waiting here"), threading.Event()
        first = [asyncio.create_task(few.run(unlocked.wait, 60)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="2 others are waiting here") as caught:
            await few.run(unlocked.wait, 60)
        unlocked.set()
        return [caught.value.status, await asyncio.gather(*first), await few.run(lambda: "taken")]

    assert asyncio.run(asked()) == [503, [True, True], "taken"]
