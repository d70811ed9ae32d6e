"""What the page asks of the service: a picture to be read, at once or by the jobs' queue; how far it is; and a correction to be kept."""

import asyncio
import io
import time
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from starlette.datastructures import State

from pipelines.configs import Serving
from serving import backlog, flagging, pictures
from serving.bodies import Body
from serving.jobs import Queue
from serving.ocr import answers
from serving.problems import Refusal

SHOWN_SIDE = 1000  # pixels of a page with its boxes: a larger one is shown reduced
TASK = "read"  # of the queue
ABSENT = frozenset({"no database"})  # why the queue may not take a job, and never will: where it is full, a person waits
GONE = "The picture is gone: it is kept for an hour. Upload it again."
MARGIN = 2  # pixels around a line that is cut out
Box = list[int]


class Step(NamedTuple):
    """How far a question is: its job while that waits or is at work, then the answer, or what is wrong with it.

    `share` of a job is done, 0 to 1, or None while it waits; `page` is the picture, times `scale` as large as it was sent.
    """

    words: str = ""
    job: str = ""
    share: float | None = None
    answer: dict[str, Any] | None = None
    page: Image.Image | None = None
    scale: float = 1.0
    problem: str = ""


class Asking:
    """The service around the page: `state` is its application's."""

    def __init__(self, state: State) -> None:
        self.state = state

    async def read(self, path: Path, user: str | None) -> Step:
        """Have the picture of a file read, when its turn comes; at once, where there is no queue."""
        try:
            content = path.read_bytes()
            queue: Queue | None = getattr(self.state, "queue", None)
            return await (self._read(content, "") if queue is None else self._queued(queue, content, user))
        except Refusal as refusal:
            return Step(problem=refusal.detail)
        except FileNotFoundError:
            return Step(problem=GONE)

    async def _queued(self, queue: Queue, content: bytes, user: str | None) -> Step:
        """Begin a job, and tell how far it is; without the queue's database, read it at once."""
        await asyncio.to_thread(opened, content, self.state.limits)  # what is no picture need not wait
        try:
            return await self._step(await queue.add(TASK, [content], user), content)
        except Refusal as refusal:
            if refusal.reason not in ABSENT:
                raise
            return await self._read(content, f" without the queue, which takes no jobs now: {refusal.detail}")

    async def _read(self, content: bytes, how: str) -> Step:
        begun = time.perf_counter()
        answer = await answers.answered(Body(False, content), self.state.champion.served, self.state.limits)
        return await self._told(answer, content, f"Read in {(time.perf_counter() - begun) * 1000:.0f} ms{how}.")

    async def look(self, job: str, path: Path | None, user: str | None) -> Step:
        """How far a job is, or its answer."""
        try:
            content = path.read_bytes() if path else b""
            return await self._step(await self.state.queue.look(job, user), content)
        except Refusal as refusal:
            return Step(problem=refusal.detail)
        except FileNotFoundError:
            return Step(problem=GONE)

    async def _step(self, told: dict[str, Any], content: bytes) -> Step:
        """A job in words."""
        if told["state"] == backlog.DONE:
            return await self._done(told, content)
        if told["state"] in backlog.FINAL:
            return Step(problem=f"The job is {told['state']}. {told['reason'] or ''}".strip())
        return Step(waiting(told), told["id"], None if told["state"] == backlog.QUEUED else share(told))

    async def _done(self, told: dict[str, Any], content: bytes) -> Step:
        result, seconds = told["result"]["results"][0], lasted(told)
        if "problem" in result:
            return Step(problem=result["problem"]["detail"])
        return await self._told(result, content, f"Read by the queue in {seconds:.1f} s.")

    async def _told(self, answer: dict[str, Any], content: bytes, words: str) -> Step:
        page, scale = await asyncio.to_thread(shown, content, self.state.limits)
        return Step(words, answer=answer, page=page, scale=scale)

    async def flag(self, path: Path, answer: dict[str, Any], text: str, user: str | None) -> str:
        """Keep what was corrected, and say what was kept. Raises Refusal."""
        content, state = path.read_bytes(), self.state
        flags = await asyncio.to_thread(corrected, content, answer, text, state.limits)
        about = {"user": user, "prediction_id": answer["prediction_id"], "digest": answer["model"]["digest"]}
        for picture, right, wrong in flags:
            kept = await flagging.flagged(
                "ocr", Body(False, picture), right, {**about, "answer": wrong}, state.champion.served, state.limits
            )
        lines = f"{len(flags)} line{'s' * (len(flags) != 1)}"
        return f"Kept: {lines} with the corrected text, in data/feedback/ocr, which holds {kept.count} now."


def waiting(told: dict[str, Any]) -> str:
    """Where a job stands that is not final."""
    if told["state"] == backlog.RUNNING:
        return f"Reading: {told['progress']['done']} of {told['progress']['of']} done."
    before = f"{told['position']} job{'s' * (told['position'] != 1)} before this one" if told["position"] else "this one is next"
    return f"Waiting in the queue: {before}. {told['reason'] or ''}".strip()


def share(told: dict[str, Any]) -> float:
    """What is done of a job, 0 to 1."""
    return float(told["progress"]["done"] / max(1, told["progress"]["of"]))


def lasted(told: dict[str, Any]) -> float:
    """Seconds from a job's beginning to its end."""
    created, finished = (datetime.fromisoformat(told[key]) for key in ("created", "finished"))
    return (finished - created).total_seconds()


class Flag(NamedTuple):
    """A picture of one line, what it says, and what it was read as."""

    picture: bytes
    right: str
    wrong: str


def corrected(content: bytes, answer: dict[str, Any], text: str, limits: Serving) -> list[Flag]:
    """The picture as it is where it has one line or none, else each line that was corrected, cut out. Raises Refusal 422."""
    found, rows = answer["lines"], text.strip("\n").split("\n")
    if len(found) < 2 and len(rows) == 1:
        return [Flag(content, rows[0], answer["text"])]
    if len(rows) != len(found):
        words = f"The text has {len(rows)} lines, and {len(found)} were found. Keep one line for each: an empty one where nothing stands."
        raise Refusal(422, "other lines", words)
    changed = [(line, row) for line, row in zip(found, rows, strict=True) if row.strip() != line["text"].strip()]
    if not changed:
        raise Refusal(422, "nothing corrected", "Nothing was corrected. Change the lines that are wrong, and flag again.")
    page = opened(content, limits)
    return [Flag(cut(page, line["box"]), row, line["text"]) for line, row in changed]


def opened(content: bytes, limits: Serving) -> Image.Image:
    """The page in grey as a person sees it, as large as it was sent. Raises Refusal."""
    picture = pictures.opened(content, limits.limit_megapixels)
    return Image.fromarray(pictures.grey(picture, max(picture.size)))


def cut(page: Image.Image, box: Box) -> bytes:
    """The picture of one line as PNG."""
    x, y, width, height = box
    stream = io.BytesIO()
    corners = (max(0, x - MARGIN), max(0, y - MARGIN), min(page.width, x + width + MARGIN), min(page.height, y + height + MARGIN))
    page.crop(corners).save(stream, "PNG")
    return stream.getvalue()


def shown(content: bytes, limits: Serving) -> tuple[Image.Image, float]:
    """The page in colour as it is shown, and how many of its pixels one of the picture's takes. Raises Refusal."""
    picture = pictures.opened(content, limits.limit_megapixels)
    size, colour = picture.size, pictures.colour(picture, SHOWN_SIDE)
    return Image.fromarray(colour), colour.shape[1] / pictures.upright(size, colour)[0]
