"""What the page asks of the service: a picture to be read, by the jobs' queue or at once; how far it is; a correction to be kept."""

import asyncio
import hashlib
import io
import time
from contextlib import aclosing, suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from PIL import Image
from pydantic import BaseModel, Field, ValidationError
from starlette.datastructures import State

from serving import endpoints
from serving.feedback import routes as feedback_routes
from serving.inputs.bodies import Body
from serving.jobs import backlog
from serving.jobs.routes import Queue
from serving.ocr import answers, pages, tiffs
from serving.ocr.pages import Page
from serving.problems import Refusal

TASK = "read"  # of the queue
FINAL = "job final"  # why the queue cancels no job
ABSENT = "no database"  # why the queue takes no job, and none later; where it is full it says so
GONE = "The picture is gone: it is kept for an hour. Upload it again."
SWAPPED = "Another picture is shown than the one that was read. Read this one first."
UNCHANGED = "Nothing was corrected. Change the lines that are wrong, then flag."
SHOWN_SIDE = 1000  # pixels of a page with its frames: a larger one is shown reduced
LINE = 0.4  # of a picture's height that a line takes at least where the picture is of that line alone
MARGIN = 2  # pixels around a line that is cut out


class Step(NamedTuple):
    """How far a question is: its job while that waits or is at work, then the answer, or what is wrong with it.

    `share` of a job is done, 0 to 1, or None while it waits; `page` is the picture's first, `scale` times as large as it was sent;
    `seen` is the SHA-256 of the picture that is read.
    """

    words: str = ""
    job: str = ""
    share: float | None = None
    answer: dict[str, Any] | None = None
    page: Image.Image | None = None
    scale: float = 1.0
    problem: str = ""
    seen: str = ""


class Row(BaseModel):
    """A line of an answer that the page gives back."""

    text: str
    box: Annotated[list[int], Field(min_length=4, max_length=4)]
    page: Annotated[int, Field(ge=1)] = 1


class Version(BaseModel):
    """The model that gave an answer."""

    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Given(BaseModel):
    """An answer that the page gives back: it has been in a browser, and need not be ours any more."""

    text: Annotated[str, Field(max_length=feedback_routes.LONGEST)]
    lines: list[Row]
    prediction_id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    model: Version


class Flag(NamedTuple):
    """A picture of one line, what it says, and what it was read as."""

    picture: bytes
    right: str
    wrong: str


class Asking:
    """The service around the page; `state` is its application's."""

    def __init__(self, state: State) -> None:
        self.state = state

    async def read(self, path: Path, user: str | None) -> Step:
        """Have the picture of a file read when its turn comes, or at once where there is no queue."""
        try:
            content = await _content(path)
            queue: Queue | None = getattr(self.state, "queue", None)
            step = await (self._queued(queue, content, user) if queue else self._at_once(content, ""))
            return step._replace(seen=_hash(content))
        except Refusal as refusal:
            return Step(problem=refusal.detail)

    async def look(self, job: str, path: Path, seen: str, user: str | None) -> Step:
        """How far the job of a picture that was `seen` is, or its answer. A service that is away for a while is asked again."""
        try:
            content = await _content(path, seen)
            return (await self._step(await self.state.queue.look(job, user), content))._replace(seen=seen)
        except Refusal as refusal:
            return Step(refusal.detail, job, seen=seen) if refusal.status >= 500 else Step(problem=refusal.detail)

    async def cancel(self, job: str, path: Path, seen: str, user: str | None) -> Step:
        """End a job, and say so, or give its answer where it is done already."""
        try:
            await self.state.queue.cancel(job, user)
        except Refusal as refusal:
            if refusal.reason != FINAL:
                return Step(refusal.detail, job, seen=seen) if refusal.status >= 500 else Step(problem=refusal.detail)
        return await self.look(job, path, seen, user)

    async def drop(self, job: str, user: str | None) -> None:
        """End a job whose answer nobody waits for; where that cannot be it is worked on for nothing."""
        with suppress(Refusal):
            await self.state.queue.cancel(job, user)

    async def _queued(self, queue: Queue, content: bytes, user: str | None) -> Step:
        """Begin a job; read at once where its database is away."""
        try:
            return await self._step(await queue.add(TASK, [content], user), content)
        except Refusal as refusal:
            if refusal.reason != ABSENT:
                raise
            return await self._at_once(content, f", without the queue: {refusal.detail}")

    async def _at_once(self, content: bytes, how: str) -> Step:
        begun = time.perf_counter()
        answer = (await endpoints.given(self.state, answers.answered, Body(False, content), self.state.champion.served)).answer
        return await self._told(answer, content, f"Read in {(time.perf_counter() - begun) * 1000:.0f} ms{how or '.'}")

    async def _step(self, told: dict[str, Any], content: bytes) -> Step:
        """A job in words, or its answer."""
        if told["state"] == backlog.DONE:
            return await self._done(told, content)
        if told["state"] in backlog.FINAL:
            return Step(problem=f"The job is {told['state']}. {told['reason'] or ''}".strip())
        return Step(waiting(told), told["id"], None if told["state"] == backlog.QUEUED else share(told))

    async def _done(self, told: dict[str, Any], content: bytes) -> Step:
        result = told["result"]["results"][0]
        if "problem" in result:
            return Step(problem=result["problem"]["detail"])
        return await self._told(result, content, f"Read by the queue in {lasted(told):.1f} s.")

    async def _told(self, answer: dict[str, Any], content: bytes, words: str) -> Step:
        if not answer["lines"]:
            return Step(words, answer=answer)
        page, scale = shown((await self._pages(content, most=1))[0])
        return Step(words, answer=answer, page=page, scale=scale)

    async def _pages(self, content: bytes, most: int) -> list[Page]:
        found: list[Page] = []
        async with aclosing(pages.submitted(Body(False, content), self.state.limits)) as submitted:
            async for page in submitted:
                found.append(page)
                if len(found) == most:
                    break
        return found

    async def flag(self, path: Path, seen: str, answer: str, text: str, user: str | None) -> str:
        """Keep what was corrected of an answer as JSON to the picture that was `seen`, and say what was kept. Raises Refusal."""
        given, content, served = _given(answer), await _content(path, seen), self.state.champion.served
        about = {"user": user, "prediction_id": given.prediction_id, "digest": given.model.digest}
        flags = corrected(content, await self._pages(content, self.state.limits.limit_pages), given, text)
        for flag in flags:
            told = {**about, "answer": flag.wrong}
            kept = await feedback_routes.flagged("ocr", Body(False, flag.picture), flag.right, told, served, self.state.limits)
        counted = "The picture is kept with its text" if len(flags) == 1 else f"{len(flags)} lines are kept with their text"
        return f"{counted} in data/feedback/ocr, which holds {kept.flagged} now."


def _given(answer: str) -> Given:
    try:
        return Given.model_validate_json(answer)
    except ValidationError:
        raise Refusal(422, "no answer", "What is to be corrected is no answer of this page. Read the picture again.") from None


async def _content(path: Path, seen: str = "") -> bytes:
    """The picture. Raises Refusal where it is gone, or not the one that was `seen`."""
    try:
        content = await asyncio.to_thread(path.read_bytes)
    except OSError:
        raise Refusal(404, "picture gone", GONE) from None
    if seen and _hash(content) != seen:
        raise Refusal(409, "another picture", SWAPPED)
    return content


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def waiting(told: dict[str, Any]) -> str:
    """Where a job stands that is not final."""
    if told["state"] == backlog.RUNNING:
        return f"Reading: {told['progress']['done']} of {told['progress']['of']} done."
    jobs = told["position"]
    before = f"{jobs} job{'s' * (jobs != 1)} before this one" if jobs else "this one is next"
    return f"Waiting in the queue: {before}. {told['reason'] or ''}".strip()


def share(told: dict[str, Any]) -> float:
    """What is done of a job, 0 to 1."""
    return float(told["progress"]["done"] / max(1, told["progress"]["of"]))


def lasted(told: dict[str, Any]) -> float:
    """Seconds from a job's beginning to its end."""
    created, finished = (datetime.fromisoformat(told[key]) for key in ("created", "finished"))
    return (finished - created).total_seconds()


def corrected(content: bytes, sheets: list[Page], answer: Given, text: str) -> list[Flag]:
    """The picture as it came where it is of one line, else each line that was corrected, cut out. Raises Refusal 422."""
    found = answer.lines
    rows = typed(text, len(found))
    if len(rows) == len(sheets) == 1 and (not found or (len(found) == 1 and found[0].box[3] >= LINE * sheets[0].size[1])):
        if rows[0].strip() == answer.text.strip():
            raise Refusal(422, "nothing corrected", UNCHANGED)
        return [Flag(cut(sheets[0]) if tiffs.is_tiff(content) else content, rows[0], answer.text)]
    if len(rows) != len(found):
        words = f"The text has {len(rows)} lines, and {len(found)} were found. Keep a line for each: an empty one where nothing stands."
        raise Refusal(422, "other lines", words)
    changed = [(line, row) for line, row in zip(found, rows, strict=True) if row.strip() != line.text.strip()]
    if not changed:
        raise Refusal(422, "nothing corrected", UNCHANGED)
    if changed[-1][0].page > len(sheets):
        raise Refusal(404, "picture gone", GONE)
    return [Flag(cut(sheets[line.page - 1], line.box), row, line.text) for line, row in changed]


def typed(text: str, lines: int) -> list[str]:
    """The rows of a text, one for each of so many lines; an empty first or last one is left out where it is one too many."""
    rows = text.split("\n")
    return rows if len(rows) == lines else text.strip("\n").split("\n")


def within(box: list[int], size: tuple[int, int]) -> bool:
    """Is a box on its page of (width, height)?"""
    x, y, width, height = box
    return 0 <= x < x + width <= size[0] and 0 <= y < y + height <= size[1]


def cut(page: Page, box: list[int] | None = None) -> bytes:
    """A page as PNG, or one line of it. Raises Refusal 422 of a box that is not on the page."""
    picture, stream = Image.fromarray(page.grey), io.BytesIO()
    if box:
        if not within(box, page.size):
            words = f"The box {str(box)[:80]} leaves its page, which is {page.size[0]} x {page.size[1]} pixels. Read the picture again."
            raise Refusal(422, "bad box", words)
        x, y, width, height = (side * picture.width / page.size[0] for side in box)
        right, bottom = min(picture.width, x + width + MARGIN), min(picture.height, y + height + MARGIN)
        picture = picture.crop((max(0, round(x) - MARGIN), max(0, round(y) - MARGIN), round(right), round(bottom)))
    picture.save(stream, "PNG")
    return stream.getvalue()


def shown(page: Page) -> tuple[Image.Image, float]:
    """A page as it is shown, and how many of its pixels one of the sent picture's is."""
    picture = Image.fromarray(page.grey)
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE), reducing_gap=2.0)
    return picture, picture.width / page.size[0]
