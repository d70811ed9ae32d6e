"""Routes of the queue: POST /jobs takes work in and answers at once, GET says how far it is, DELETE cancels it.

mount() adds them to a family's application; start() opens the backlog, looks after it, and begins the workers.
"""

import asyncio
import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from fastapi import FastAPI
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pipelines import configs
from pipelines.configs import Serving
from pipelines.databases import NoDatabase
from serving import problems
from serving.inputs import bodies, dataurls, pictures, queries
from serving.jobs import backlog, broker, supervisor, tasks
from serving.jobs.backlog import Backlog, Full
from serving.jobs.dispatcher import Keeper
from serving.jobs.supervisor import Crew
from serving.jobs.tables import Job
from serving.jobs.tasks import Task
from serving.problems import Refusal

PICTURES = 100  # of a job
LATER = {"Retry-After": "10"}  # seconds: a queue that is full is not empty at once
PNG = "image/png"
AWAY = "The broker of jobs does not answer. The job is kept, and goes on when the broker is back."
Result = TypeVar("Result")
State = Literal["queued", "running", "done", "failed", "cancelled"]


class Progress(BaseModel):
    """How many of a job's pictures are done."""

    done: int
    of: int


class Told(BaseModel):
    """How far a job is. While it is queued, `position` says how many are before it, and `broker` whether the broker answers."""

    id: str
    task: str
    state: State
    position: Annotated[int, Field(ge=0)] | None
    progress: Progress
    tries: int
    reason: str | None = Field(description="why it waits, or was set aside")
    broker: Literal["here", "away"] | None = Field(description="of a queued job; null where the service has no broker")
    created: datetime
    finished: datetime | None
    result: dict[str, Any] | None = Field(
        description='of a job that is done: {"results": [an answer or {"problem"}, one for each picture]}'
    )


class Queue(NamedTuple):
    """What a service needs for its jobs."""

    backlog: Backlog
    keeper: Keeper
    tasks: dict[str, Task]
    limits: Serving

    async def add(self, task: str, files: Sequence[bytes], owner: str | None) -> dict[str, Any]:
        """Take a job in, and say how far it is. Raises Refusal 503 where the queue is full, or its database away."""
        try:
            return await asked(self._added, task, files, owner)
        except Full as full:
            raise Refusal(503, "queue full", str(full), headers=LATER) from None

    def _added(self, task: str, files: Sequence[bytes], owner: str | None) -> dict[str, Any]:
        job = self.backlog.add(task, files, owner)
        self.keeper.wake()
        return self._told(job)

    async def look(self, id: str, owner: str | None) -> dict[str, Any]:
        """How far a job is, with its result. Raises Refusal 404."""
        return await asked(lambda: self._told(self._own(id, owner)))

    async def cancel(self, id: str, owner: str | None) -> dict[str, Any]:
        """End a job that is not final. Raises Refusal 404, and 409 for one that is."""
        return await asked(self._cancelled, id, owner)

    def _cancelled(self, id: str, owner: str | None) -> dict[str, Any]:
        job = self._own(id, owner)
        if not self.backlog.cancel(job):
            state = self._own(id, owner).state
            raise Refusal(409, "job final", f"Job {id} is {state} already, and stays so. Only what is queued or running can be cancelled.")
        return self._told(self._own(id, owner))

    def _own(self, id: str, owner: str | None) -> Job:
        """The job, where it is this user's: that there is another's is not told."""
        job = self.backlog.find(id)
        if job is None or job.owner != owner:
            words = f"There is no job {id[: queries.SHOWN]!r} of yours. POST /jobs answers with the id of a new one."
            raise Refusal(404, "unknown job", words)
        return job

    def _told(self, job: Job) -> dict[str, Any]:
        result = self.backlog.result(job) if job.state == backlog.DONE else None
        if not self.backlog.kept(job) or (job.state == backlog.DONE and result is None):
            raise Refusal(404, "result gone", _gone(job))
        queued = job.state == backlog.QUEUED
        broker = self.keeper.broker if queued else None
        away = broker is not None and broker.away is not None
        return {
            **{key: getattr(job, key) for key in ("id", "task", "state", "tries")},
            "position": self.backlog.before(job) if queued else None,
            "progress": {"done": job.done, "of": job.pictures},
            "reason": job.reason or (AWAY if away else None),
            "broker": ("away" if away else "here") if broker else None,
            "created": _time(job.created),
            "finished": _time(job.finished),
            "result": result,
        }


def _gone(job: Job) -> str:
    why = f"it was deleted, or is older than {backlog.KEPT / 3600:g} hours"
    return f"Job {job.id} is {job.state}, and its result is not here any more: {why}. Send it again."


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


async def asked(work: Callable[..., Result], *words: Any) -> Result:
    """work(*words) in a thread: a database may take its time. Raises Refusal 503 where it is away."""
    try:
        return await asyncio.to_thread(work, *words)
    except NoDatabase as absence:
        raise Refusal(503, "no database", str(absence)) from absence


def start(app: FastAPI, family: str) -> None:
    """Open the backlog, look after it, and begin to work. Raises NoDatabase, BadBroker or BadSize."""
    jobs = Backlog(backlog.url(), family)
    keeper = Keeper(jobs, broker.Broker(broker.application(jobs)) if broker.url() else None)
    app.state.queue = Queue(jobs, keeper, tasks.known(family), configs.serving(family))
    keeper.follow()
    Crew(family, supervisor.size()).follow()


def mount(app: FastAPI, family: str, kinds: Sequence[str] = bodies.KINDS) -> None:
    """Add the routes; pictures may have these content types."""
    known = tasks.known(family)

    @app.post(
        "/jobs",
        status_code=202,
        response_model=Told,
        responses=problems.documented(400, 408, 413, 415, 422, 503),
        openapi_extra=_described(known, kinds),
    )
    async def jobs(request: Request) -> JSONResponse:
        """Take a job in: one or many pictures, which are worked on when their turn comes. The answer has the job's id."""
        queue: Queue = app.state.queue
        task = chosen(request, queue.tasks)
        files = await _files(request, queue, kinds) if queue.tasks[task].takes else _nothing(request, task)
        told = await queue.add(task, files, _user(request))
        return JSONResponse(told, 202, {"Location": f"jobs/{told['id']}"})

    @app.get("/jobs/{id}", response_model=Told, responses={200: _JSON_OR_PNG, **problems.documented(404, 503)}, openapi_extra=_PATH)
    async def job(request: Request) -> Response:
        """How far a job is, and its result; of one that makes pictures, the first as PNG where `Accept` asks for that."""
        told = await app.state.queue.look(request.path_params["id"], _user(request))
        if request.headers.get("accept", "").startswith(PNG):
            return _picture(told, 0)
        return JSONResponse(told)

    @app.get(
        "/jobs/{id}/picture",
        response_class=Response,
        responses={200: pictures.PNG, **problems.documented(404, 409, 422, 503)},
        openapi_extra=_PATH_AND_NUMBER,
    )
    async def picture(request: Request) -> Response:
        """One of the pictures that a job has made, as PNG."""
        number = queries.whole(request.query_params, "number", 0, PICTURES - 1, 0)
        return _picture(await app.state.queue.look(request.path_params["id"], _user(request)), number)

    @app.delete("/jobs/{id}", response_model=Told, responses=problems.documented(404, 409, 503), openapi_extra=_PATH)
    async def cancel(request: Request) -> JSONResponse:
        """End a job without a result: at once where it is queued, before its next picture where it is running."""
        return JSONResponse(await app.state.queue.cancel(request.path_params["id"], _user(request)))


def _user(request: Request) -> str | None:
    """Whose the job is; nobody's, where no token is required."""
    return getattr(request.state, "user", None)


def chosen(request: Request, known: dict[str, Task]) -> str:
    """The task that is asked for; the family's own, where none is. Raises Refusal 422."""
    name = queries.one(request.query_params, "task", next(iter(known)))
    if name not in known:
        raise Refusal(422, "bad task", f"task={name[: queries.SHOWN]!r} is not known. Choose one of: {', '.join(known)}.")
    return name


def _nothing(request: Request, task: str) -> list[bytes]:
    """No files. Raises Refusal 422 for a body, which this task would not look at."""
    if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
        raise Refusal(422, "unwanted body", f"task={task} takes no picture. Send it without a body.")
    return []


async def _files(request: Request, queue: Queue, kinds: Sequence[str]) -> list[bytes]:
    limit = queue.limits.limit_mb
    read = await bodies.read_files(request, limit, PICTURES, kinds, limit)
    return [(await dataurls.unwrapped(body)).content for body in read]


def _picture(told: dict[str, Any], number: int) -> Response:
    """A picture of a job that is done. Raises Refusal 409 for one that is not, 404 for one that has made none."""
    if told["state"] != backlog.DONE:
        raise Refusal(409, "no picture yet", f"Job {told['id']} is {told['state']}: it has no picture{_yet(told['state'])}.")
    results = told["result"]["results"]
    made = results[number].get("picture") if number < len(results) else None
    if made is None:
        why = results[number]["problem"]["detail"] if number < len(results) and "problem" in results[number] else _numbers(told, results)
        raise Refusal(404, "no picture", f"Job {told['id']} has made no picture {number}. {why}")
    return Response(base64.b64decode(made), media_type=PNG)


def _yet(state: str) -> str:
    return " yet. Ask again in a second" if state in backlog.OPEN else ""


def _numbers(told: dict[str, Any], results: list[Any]) -> str:
    if not any("picture" in result for result in results):
        return f"Task {told['task']} makes none; GET /jobs/{told['id']} has its result."
    return f"It has made {len(results)}: ask for number=0 to {len(results) - 1}."


_JSON_OR_PNG = {"description": "Successful Response", "content": {PNG: {"schema": bodies.FILE}}}
_PATH = {
    "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}, "description": "as POST /jobs told it"}]
}
_NUMBER = {"type": "integer", "minimum": 0, "maximum": PICTURES - 1, "default": 0}
_PATH_AND_NUMBER = {
    "parameters": [*_PATH["parameters"], {"name": "number", "in": "query", "schema": _NUMBER, "description": "of the picture, from 0"}]
}


def _described(known: dict[str, Task], kinds: Sequence[str]) -> dict[str, Any]:
    """Task and body of POST /jobs for an OpenAPI description."""
    described = bodies.described(dataurls.Submitted, kinds)["requestBody"]
    files = {"type": "array", "items": bodies.FILE, "minItems": 1, "maxItems": PICTURES}
    form = {"schema": {"type": "object", "properties": {"image": files}, "required": ["image"]}}
    takers = [name for name, task in known.items() if task.takes]
    task = {"type": "string", "enum": [*known], "default": next(iter(known))}
    return {
        "parameters": [{"name": "task", "in": "query", "schema": task, "description": f"of these take pictures: {', '.join(takers)}"}],
        "requestBody": {"required": False, "content": {**described["content"], bodies.FORM: form}},
    }
