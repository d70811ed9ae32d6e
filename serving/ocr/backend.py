"""What the page asks of the service: read an image, by the queue or at once; follow or cancel that; store a correction."""

import hashlib
import time
from contextlib import aclosing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from starlette.datastructures import State

from serving import endpoints
from serving.feedback import routes as feedback_routes
from serving.inputs.bodies import Body
from serving.jobs import backlog
from serving.jobs.routes import Queue
from serving.ocr import answers, corrections, pages
from serving.ocr.pages import Page
from serving.pools import BoundedPool
from serving.problems import Refusal

POOL = BoundedPool(2, 128, "uploads", "reading images of the desk")
TASK = "read"  # of the queue
FINAL = "job final"  # reason of a refusal to cancel
ABSENT = "no database"  # reason of a refusal to add a job
SWAPPED = "Another image is shown than the one that was read. Read this one first."
SHOWN_SIDE = 1000  # pixels of a page with its frames: a larger one is shown reduced


class Step(NamedTuple):
    """The state of a reading: its job while that waits or runs, then the answer, or the problem.

    `share` of the job is done, 0 to 1, or None while it waits; `page` is the image's first page, `scale` times its size; `seen` is the
    SHA-256 of the image that is read.
    """

    words: str = ""
    job: str = ""
    share: float | None = None
    answer: dict[str, Any] | None = None
    page: Image.Image | None = None
    scale: float = 1.0
    problem: str = ""
    seen: str = ""


class Backend:
    """The service behind the page; `state` is its application's."""

    def __init__(self, state: State) -> None:
        self.state = state

    async def read(self, path: Path, user: str | None, sender: str | None = None) -> Step:
        """Read an image file by the queue, or at once where there is none; `sender` is who counts for the job."""
        try:
            content = await _content(path)
            queue: Queue | None = getattr(self.state, "queue", None)
            step = await (self._queued(queue, content, user, sender) if queue else self._at_once(content, ""))
            return step._replace(seen=_hash(content))
        except Refusal as refusal:
            return Step(problem=refusal.detail)

    async def status(self, job: str, path: Path, seen: str, user: str | None) -> Step:
        """The state of the job for the image `seen`, or its answer."""
        try:
            content = await _content(path, seen)
            return (await self._step(await self.state.queue.status(job, user), content))._replace(seen=seen)
        except Refusal as refusal:
            return _refused(refusal, job, seen)

    async def cancel(self, job: str, path: Path, seen: str, user: str | None) -> Step:
        """Cancel a job; its answer where it is done already."""
        try:
            await self.state.queue.cancel(job, user)
        except Refusal as refusal:
            if refusal.reason != FINAL:
                return _refused(refusal, job, seen)
        return await self.status(job, path, seen, user)

    async def drop(self, job: str, user: str | None) -> None:
        """Cancel a job whose answer is not wanted any more, where that is possible."""
        with suppress(Refusal):
            await self.state.queue.cancel(job, user)

    async def _queued(self, queue: Queue, content: bytes, user: str | None, sender: str | None) -> Step:
        """Add a job; read at once where its database is away."""
        try:
            return await self._step(await queue.add(TASK, [content], user, sender), content)
        except Refusal as refusal:
            if refusal.reason != ABSENT:
                raise
            return await self._at_once(content, f", without the queue: {refusal.detail}")

    async def _at_once(self, content: bytes, how: str) -> Step:
        start = time.perf_counter()
        answer = (await endpoints.answer(self.state, answers.predict, Body(False, content), self.state.champion.served)).answer
        return await self._answered(answer, content, f"Read in {(time.perf_counter() - start) * 1000:.0f} ms{how or '.'}")

    async def _step(self, status: dict[str, Any], content: bytes) -> Step:
        state = status["state"]
        if state == backlog.DONE:
            result = status["result"]["results"][0]
            if "problem" in result:
                return Step(problem=result["problem"]["detail"])
            return await self._answered(result, content, f"Read by the queue in {_seconds(status):.1f} s.")
        if state in backlog.FINAL:
            return Step(problem=f"The job is {state}. {status['reason'] or ''}".strip())
        share = status["progress"]["done"] / max(1, status["progress"]["of"])
        return Step(_progress(status), status["id"], None if state == backlog.QUEUED else share)

    async def _answered(self, answer: dict[str, Any], content: bytes, words: str) -> Step:
        if not answer["lines"]:
            return Step(words, answer=answer)
        (page,) = await self._pages(content, most=1)
        picture = Image.fromarray(page.grey)
        picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE), reducing_gap=2.0)
        return Step(words, answer=answer, page=picture, scale=picture.width / page.size[0])

    async def _pages(self, content: bytes, most: int) -> list[Page]:
        found: list[Page] = []
        async with aclosing(pages.submitted(Body(False, content), self.state.limits)) as submitted:
            async for page in submitted:
                found.append(page)
                if len(found) == most:
                    break
        return found

    async def flag(self, path: Path, seen: str, answer: str, text: str, user: str | None) -> str:
        """Store what was corrected of an answer (JSON) to the image `seen`; a sentence about what was stored. Raises Refusal."""
        given, content, served = corrections.parsed(answer), await _content(path, seen), self.state.champion.served
        about = {"user": user, "prediction_id": given.prediction_id, "digest": given.model.digest}
        flags = corrections.corrected(content, await self._pages(content, self.state.limits.limit_pages), given, text)
        for flag in flags:
            facts = {**about, "answer": flag.wrong}
            stored = await feedback_routes.add("ocr", Body(False, flag.picture), flag.right, facts, served, self.state.limits)
        counted = "The image is stored with its text" if len(flags) == 1 else f"{len(flags)} lines are stored with their text"
        return f"{counted} in data/feedback/ocr, which holds {stored.flagged} now."


def _refused(refusal: Refusal, job: str, seen: str) -> Step:
    """A refusal to look at a job; where the service is away for a while, the page asks again."""
    return Step(refusal.detail, job, seen=seen) if refusal.status >= 500 else Step(problem=refusal.detail)


async def _content(path: Path, seen: str = "") -> bytes:
    """The image. Raises Refusal where it is gone, or not the one that was `seen`."""
    try:
        content = await POOL.run(path.read_bytes)
    except OSError:
        raise Refusal(404, "picture gone", corrections.GONE) from None
    if seen and _hash(content) != seen:
        raise Refusal(409, "another picture", SWAPPED)
    return content


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _progress(status: dict[str, Any]) -> str:
    """A job that is not final, in words."""
    if status["state"] == backlog.RUNNING:
        return f"Reading: {status['progress']['done']} of {status['progress']['of']} done."
    jobs = status["position"]
    before = f"{jobs} job{'s' * (jobs != 1)} before this one" if jobs else "this one is next"
    return f"Waiting in the queue: {before}. {status['reason'] or ''}".strip()


def _seconds(status: dict[str, Any]) -> float:
    """From a job's creation to its end."""
    created, finished = (datetime.fromisoformat(status[key]) for key in ("created", "finished"))
    return (finished - created).total_seconds()
