"""Routes of the queue: POST /jobs adds a job and answers at once, GET says how far it is, DELETE cancels it.

mount() adds them to a family's application; start() opens the backlog and starts dispatcher and workers.
"""

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
from serving.inputs import bodies, dataurls, pictures, queries, senders
from serving.jobs import backlog, broker, supervisor, tasks
from serving.jobs.backlog import Backlog, Full, Job
from serving.jobs.dispatcher import Dispatcher
from serving.jobs.tasks import Task
from serving.pools import BoundedPool
from serving.problems import Refusal

PICTURES = 100  # of a job
LATER = {"Retry-After": "10"}  # seconds: a full queue is not empty at once
PNG = "image/png"
POOL = BoundedPool(4, 128, "jobs", "asking about jobs")  # a database that another process has locked answers after half a minute
AWAY = "The broker of jobs does not answer. The job is stored, and goes on when the broker is back."
Result = TypeVar("Result")
State = Literal["queued", "running", "done", "failed", "cancelled"]


class Progress(BaseModel):
    """How many of a job's pictures are done."""

    done: int
    of: int


class Status(BaseModel):
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
    """The jobs of a service."""

    backlog: Backlog
    dispatcher: Dispatcher
    tasks: dict[str, Task]
    limits: Serving

    async def add(self, task: str, files: Sequence[bytes], owner: str | None, sender: str | None = None) -> dict[str, Any]:
        """Add a job; its status. Raises Refusal 503 where the queue is full, also of this sender's jobs, or its database away."""
        return await in_thread(self._add, task, files, owner, sender)

    def _add(self, task: str, files: Sequence[bytes], owner: str | None, sender: str | None) -> dict[str, Any]:
        try:
            job = self.backlog.add(task, files, owner, sender)
        except Full as full:
            raise Refusal(503, "queue full", str(full), headers=LATER) from None
        self.dispatcher.wake()
        return self._status(job)

    async def status(self, id: str, owner: str | None) -> dict[str, Any]:
        """The status of a job, with its result. Raises Refusal 404."""
        return await in_thread(lambda: self._status(self._find(id, owner)))

    async def cancel(self, id: str, owner: str | None) -> dict[str, Any]:
        """Cancel a job; its status. Raises Refusal 404, and 409 where it is final."""
        return await in_thread(self._cancel, id, owner)

    def _cancel(self, id: str, owner: str | None) -> dict[str, Any]:
        cancelled, job = self.backlog.cancel(self._find(id, owner)), self._find(id, owner)
        if not cancelled:
            raise Refusal(409, "job final", f"Job {id} is {job.state} already. Only a queued or running job can be cancelled.")
        return self._status(job)

    def _find(self, id: str, owner: str | None) -> Job:
        """The job of this id and owner."""
        job = self.backlog.find(id)
        if job is None or job.owner != owner:
            detail = f"There is no job {id[: queries.SHOWN]!r} of yours. POST /jobs answers with the id of a new one."
            raise Refusal(404, "unknown job", detail)
        return job

    def _status(self, job: Job) -> dict[str, Any]:
        result = self.backlog.result(job) if job.state == backlog.DONE else None
        if not self.backlog.retained(job) or (job.state == backlog.DONE and result is None):
            why = f"it was deleted, or is older than {backlog.RETENTION / 3600:g} hours"
            raise Refusal(404, "result gone", f"Job {job.id} is {job.state}, and its result is gone: {why}. Send it again.")
        queued = job.state == backlog.QUEUED
        broker = self.dispatcher.broker if queued else None
        away = broker is not None and broker.away is not None
        return {
            **{key: getattr(job, key) for key in ("id", "task", "state", "tries")},
            "position": self.backlog.position(job) if queued else None,
            "progress": {"done": job.done, "of": job.pictures},
            "reason": job.reason or (AWAY if away else None),
            "broker": ("away" if away else "here") if broker else None,
            "created": _time(job.created),
            "finished": None if job.finished is None else _time(job.finished),
            "result": result,
        }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


async def in_thread(work: Callable[..., Result], *arguments: Any) -> Result:
    """work(*arguments) in a thread: a database may take its time. Raises Refusal 503 where it is away."""
    try:
        return await POOL.run(work, *arguments)
    except NoDatabase as absence:
        raise Refusal(503, "no database", str(absence)) from absence


def start(app: FastAPI, family: str) -> None:
    """Open the backlog; start its dispatcher and workers. Raises NoDatabase or BadSetting."""
    jobs = Backlog(backlog.url(), family)
    dispatcher = Dispatcher(jobs, broker.Broker(broker.application(jobs)) if broker.url() else None)
    app.state.queue = Queue(jobs, dispatcher, tasks.of(family), configs.serving(family))
    dispatcher.start()
    supervisor.Supervisor(family, supervisor.count()).start()


def mount(app: FastAPI, family: str, kinds: Sequence[str] = bodies.KINDS) -> None:
    """Add the routes; pictures may have these content types."""

    @app.post(
        "/jobs",
        status_code=202,
        response_model=Status,
        responses=problems.documented(400, 408, 413, 415, 422, 503),
        openapi_extra=_described(tasks.of(family), kinds),
    )
    async def jobs(request: Request) -> JSONResponse:
        """Add a job: one or many pictures, which are worked on when their turn comes. The answer has the job's id."""
        queue: Queue = app.state.queue
        task = chosen(request, queue.tasks)
        files = await _files(request, queue, kinds) if queue.tasks[task].takes else _no_files(request, task)
        status = await queue.add(task, files, _user(request), senders.of(request.scope))
        return JSONResponse(status, 202, {"Location": f"jobs/{status['id']}"})

    @app.get("/jobs/{id}", response_model=Status, responses={200: _JSON_OR_PNG, **problems.documented(404, 503)}, openapi_extra=_PATH)
    async def job(request: Request) -> Response:
        """How far a job is, and its result; of one that makes pictures, the first as PNG where `Accept` asks for that."""
        status = await app.state.queue.status(request.path_params["id"], _user(request))
        return _picture(status, 0) if request.headers.get("accept", "").startswith(PNG) else JSONResponse(status)

    @app.get(
        "/jobs/{id}/picture",
        response_class=Response,
        responses={200: pictures.PNG, **problems.documented(404, 409, 422, 503)},
        openapi_extra={"parameters": [*_PATH["parameters"], _NUMBER]},
    )
    async def picture(request: Request) -> Response:
        """One of the pictures that a job has made, as PNG."""
        number = queries.parse_int(request.query_params, "number", 0, PICTURES - 1, 0)
        return _picture(await app.state.queue.status(request.path_params["id"], _user(request)), number)

    @app.delete("/jobs/{id}", response_model=Status, responses=problems.documented(404, 409, 503), openapi_extra=_PATH)
    async def cancel(request: Request) -> JSONResponse:
        """Cancel a job: at once where it is queued, before its next picture where it is running."""
        return JSONResponse(await app.state.queue.cancel(request.path_params["id"], _user(request)))


def _user(request: Request) -> str | None:
    """The job's owner; None where no token is required."""
    return getattr(request.state, "user", None)


def chosen(request: Request, known: dict[str, Task]) -> str:
    """The task that is asked for, by default the family's own. Raises Refusal 422."""
    name = queries.one(request.query_params, "task", next(iter(known)))
    if name not in known:
        raise Refusal(422, "bad task", f"task={name[: queries.SHOWN]!r} is not known. Choose one of: {', '.join(known)}.")
    return name


def _no_files(request: Request, task: str) -> list[bytes]:
    """No files. Raises Refusal 422 for a body, which this task would ignore."""
    if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
        raise Refusal(422, "unwanted body", f"task={task} takes no picture. Send it without a body.")
    return []


async def _files(request: Request, queue: Queue, kinds: Sequence[str]) -> list[bytes]:
    limit = queue.limits.limit_mb
    read = await bodies.read_files(request, limit, PICTURES, kinds, limit)
    return [(await dataurls.unwrapped(body)).content for body in read]


def _picture(status: dict[str, Any], number: int) -> Response:
    """A picture of a job that is done. Raises Refusal 409 where it is not, 404 where there is no such picture."""
    job, state = f"Job {status['id']}", status["state"]
    if state != backlog.DONE:
        later = " yet. Ask again in a second" if state in backlog.OPEN else ""
        raise Refusal(409, "no picture yet", f"{job} is {state}: it has no picture{later}.")
    results = status["result"]["results"]
    result = results[number] if number < len(results) else {}
    if "picture" in result:
        return Response(base64.b64decode(result["picture"]), media_type=PNG)
    if "problem" in result:
        why = result["problem"]["detail"]
    elif any("picture" in result for result in results):
        why = f"It has made {len(results)}: ask for number=0 to {len(results) - 1}."
    else:
        why = f"Task {status['task']} makes none; GET /jobs/{status['id']} has its result."
    raise Refusal(404, "no picture", f"{job} has made no picture {number}. {why}")


_JSON_OR_PNG = {"description": "Successful Response", "content": {PNG: {"schema": bodies.FILE}}}
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}, "description": "as in the answer of POST /jobs"}
_PATH = {"parameters": [_ID]}
_RANGE = {"type": "integer", "minimum": 0, "maximum": PICTURES - 1, "default": 0}
_NUMBER = {"name": "number", "in": "query", "schema": _RANGE, "description": "of the picture, from 0"}


def _described(known: dict[str, Task], kinds: Sequence[str]) -> dict[str, Any]:
    """Task and body of POST /jobs for an OpenAPI description."""
    content = bodies.openapi(dataurls.Submitted, kinds)["requestBody"]["content"]
    files = {"type": "array", "items": bodies.FILE, "minItems": 1, "maxItems": PICTURES}
    form = {"schema": {"type": "object", "properties": {"image": files}, "required": ["image"]}}
    takers = [name for name, task in known.items() if task.takes]
    task = {"type": "string", "enum": [*known], "default": next(iter(known))}
    return {
        "parameters": [{"name": "task", "in": "query", "schema": task, "description": f"of these take pictures: {', '.join(takers)}"}],
        "requestBody": {"required": False, "content": {**content, bodies.FORM: form}},
    }
