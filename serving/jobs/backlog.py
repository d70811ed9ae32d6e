"""The backlog: every job in SQL, from its request until its result is deleted. SQLite here, or PostgreSQL by JOBS_URL.

It is the source of truth. A worker takes the first job that is due, or the one whose id a broker delivers: an id that comes twice, late or
never changes no result. A worker holds a lease on its job, and only the holder can end the job, so there is one result.
"""

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines import databases, paths
from pipelines.databases import Clock

MIGRATIONS = Path(__file__).parent / "migrations" / "jobs"  # the types and constraints of the tables below
QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
OPEN, FINAL = (QUEUED, RUNNING), (DONE, FAILED, CANCELLED)
TRIES = 3
BACKOFF = 1.0  # seconds until the second try, twice as many until the third
LEASE = 30.0  # seconds without a renewal after which a worker counts as dead
RETENTION = 24 * 3600.0  # seconds: of results
REMEMBERED = 7 * RETENTION  # of jobs
MOST, MEGABYTES = 5_000, 2_000  # jobs that are not final; their files and all results in the database
SHARE = 0.5  # of both, for one sender
FREE_MB = 500  # of the disk of a SQLite file that are left alone
SUM_INTERVAL = 1.0  # seconds between two sums over the results, of which there may be a hundred thousand
FURTHEST = BACKOFF * 2**TRIES  # seconds: a job that is due later than this was queued before the clock was set back
BATCH = 100  # ids handed over in one transaction


class Job(NamedTuple):
    """A row of the table; times in seconds since 1970, `size` in bytes: of its files, and once it is done of its result.

    `sender` is who counts for it, `due` when it may be worked on, `handed` when the broker was given its id, `until` when its lease ends.
    """

    number: int
    id: str
    family: str
    task: str
    owner: str | None
    state: str
    pictures: int
    done: int
    size: int
    tries: int
    reason: str | None
    created: float
    due: float
    handed: float | None
    finished: float | None
    lease: str | None
    worker: str | None
    until: float | None
    sender: str | None


BACKLOGS = sa.table("backlogs", sa.column("name"))
JOBS = sa.table("jobs", *map(sa.column, Job._fields))
FILES = sa.table("job_files", *map(sa.column, ("job", "position", "content")))
RESULTS = sa.table("job_results", *map(sa.column, ("job", "content")))
_ROW = JOBS.c


class Full(RuntimeError):
    """The backlog has reached a limit."""


def url() -> str:
    """The jobs' database."""
    return os.environ.get("JOBS_URL") or f"sqlite:///{paths.ROOT}/jobs.db"


class Backlog:
    """The jobs of one family, by PostgreSQL's clock, or with SQLite this machine's. Every method raises databases.NoDatabase."""

    def __init__(self, address: str, family: str, clock: Clock | None = None) -> None:
        self.engine, self.family, self.clock = databases.migrated(address, MIGRATIONS), family, clock
        self._summed, self._results_size = -SUM_INTERVAL, 0
        if self.engine.dialect.name == "sqlite":
            self.clock = clock or time.time
            databases.enable_wal(self.engine)
        self.name = str(self._scalar(sa.select(BACKLOGS.c.name)))

    def add(self, task: str, files: Sequence[bytes], owner: str | None = None, sender: str | None = None) -> Job:
        """Add a job; one without files makes one picture. `sender` is who counts for it (senders.of). Raises Full."""
        size, now = sum(map(len, files)), self._now()
        row: dict[str, Any] = {"id": uuid.uuid4().hex, "family": self.family, "task": task, "owner": owner, "sender": sender}
        row |= {"state": QUEUED, "size": size}
        counts = {"pictures": len(files) or 1, "done": 0, "tries": 0, "created": now, "due": now}
        self._check_disk(size)
        with databases.writing(self.engine) as connection:
            self._check_capacity(connection, size)
            if sender:
                self._check_share(connection, size, sender)
            job = Job(*connection.execute(JOBS.insert().values(**row, **counts).returning(*JOBS.c)).one())
            for position, content in enumerate(files):
                connection.execute(FILES.insert().values(job=job.number, position=position, content=content))
        return job

    def _check_capacity(self, connection: Connection, size: int) -> None:
        counted = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_ROW.size), 0)).where(self._in(*OPEN))
        jobs, files = connection.execute(counted).one()
        if time.monotonic() - self._summed >= SUM_INTERVAL:
            total = sa.select(sa.func.coalesce(sa.func.sum(_ROW.size), 0)).where(self._in(DONE))
            self._summed, self._results_size = time.monotonic(), int(connection.execute(total).scalar_one())
        taken = int(files) + self._results_size
        if jobs >= MOST or (taken and (taken + size) / 1e6 > MEGABYTES):
            raise Full(
                f"{jobs:,} jobs of {int(files) / 1e6:,.0f} MB wait, and {self._results_size / 1e6:,.0f} MB of results are stored for "
                f"{RETENTION / 3600:g} hours; allowed are {MOST:,} jobs and {MEGABYTES:,} MB. Send it again later, or start `make worker`."
            )

    def _check_share(self, connection: Connection, size: int, sender: str) -> None:
        own = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_ROW.size), 0)).where(self._in(*OPEN) & (_ROW.sender == sender))
        jobs, files = connection.execute(own).one()
        if jobs >= MOST * SHARE or (files and (int(files) + size) / 1e6 > MEGABYTES * SHARE):
            raise Full(
                f"{jobs:,} jobs of yours wait, with {int(files) / 1e6:,.0f} MB; allowed for one sender are {MOST * SHARE:,.0f} jobs and "
                f"{MEGABYTES * SHARE:,.0f} MB. Send it again later, or cancel some: DELETE /jobs/{{id}}."
            )

    def _check_disk(self, size: int) -> None:
        if self.engine.dialect.name != "sqlite" or not self.engine.url.database:
            return
        free = (shutil.disk_usage(Path(self.engine.url.database).absolute().parent).free - size) / 1e6
        if free < FREE_MB:
            raise Full(f"{free:,.0f} MB would be free on the disk of the jobs; {FREE_MB:,} MB are left alone. Free some space.")

    def find(self, id: str) -> Job | None:
        """The job of this id and this family."""
        with databases.reading(self.engine) as connection:
            row = connection.execute(sa.select(JOBS).where((_ROW.id == id) & (_ROW.family == self.family))).first()
        return Job(*row) if row else None

    def position(self, job: Job) -> int:
        """How many jobs are queued before it."""
        return int(self._scalar(sa.select(sa.func.count()).where(self._in(QUEUED) & (_ROW.number < job.number))))

    def result(self, job: Job) -> Any:
        """Its result; None where it is not done, or the result was deleted."""
        found = self._scalar(sa.select(RESULTS.c.content).where(RESULTS.c.job == job.number))
        return json.loads(found) if found is not None else None

    def file(self, job: Job, position: int) -> bytes | None:
        """One of its files, if there is one at this position."""
        content = self._scalar(sa.select(FILES.c.content).where((FILES.c.job == job.number) & (FILES.c.position == position)))
        return bytes(content) if content is not None else None

    def counts(self) -> dict[str, int]:
        """How many jobs are queued and running."""
        counted = sa.select(_ROW.state, sa.func.count()).where(self._in(*OPEN)).group_by(_ROW.state)
        with databases.reading(self.engine) as connection:
            return dict.fromkeys(OPEN, 0) | {str(state): int(count) for state, count in connection.execute(counted)}

    def retained(self, job: Job) -> bool:
        """Is its result not yet old enough to be deleted?"""
        return job.finished is None or bool(job.finished >= self._scalar(sa.select(self._now())) - RETENTION)

    def cancel(self, job: Job) -> bool:
        """End it without a result; its worker stops before the next picture. False: it was final already."""
        with databases.writing(self.engine) as connection:
            return self._end(connection, _ROW.state.in_(OPEN) & (_ROW.id == job.id), CANCELLED, reason=None)

    # What is handed to the broker

    def hand_over(self) -> list[str]:
        """The next ids for the broker, at most BATCH; they count as handed over until take_back()."""
        ready = sa.select(_ROW.id).where(self._due() & _ROW.handed.is_(None)).order_by(_ROW.number).limit(BATCH)
        if not self._any(ready):
            return []
        with databases.writing(self.engine) as connection:
            ids = list(connection.execute(ready.with_for_update(skip_locked=True)).scalars())
            connection.execute(JOBS.update().where(_ROW.id.in_(ids)).values(handed=self._now()))
        return ids

    def take_back(self, ids: Sequence[str]) -> None:
        """Mark these as not handed over: the broker has not accepted them."""
        with databases.writing(self.engine) as connection:
            connection.execute(JOBS.update().where(_ROW.id.in_(ids) & self._in(QUEUED)).values(handed=None))

    def take_back_overdue(self, seconds: float) -> int:
        """Take back ids that were handed over `seconds` ago and are still queued; how many. An id that comes twice does no harm."""
        overdue = self._due() & ((_ROW.handed < self._now() - seconds) | (_ROW.handed > self._now() + FURTHEST))
        if not self._any(sa.select(_ROW.id).where(overdue)):
            return 0
        with databases.writing(self.engine) as connection:
            return connection.execute(JOBS.update().where(overdue).values(handed=None)).rowcount

    # What a worker does

    def take(self, worker: str, id: str | None = None) -> Job | None:
        """Begin a try of this job, or of the first that is due, under a new lease. None: there is none, or it is not due."""
        first = sa.select(_ROW.number).where(self._due()).order_by(_ROW.number).limit(1)
        if id is None and not self._any(first):
            return None
        chosen = _ROW.id == id if id else _ROW.number == first.with_for_update(skip_locked=True).scalar_subquery()
        until = self._now() + LEASE
        begun = {"state": RUNNING, "tries": _ROW.tries + 1, "done": 0, "lease": uuid.uuid4().hex, "worker": worker, "until": until}
        with databases.writing(self.engine) as connection:
            row = connection.execute(JOBS.update().where(self._due() & chosen).values(**begun).returning(*JOBS.c)).first()
        return Job(*row) if row else None

    def renew_lease(self, job: Job, done: int | None = None) -> bool:
        """Renew the lease, and note how many pictures are done. False: the lease is lost, or the job is final."""
        values = {"until": self._now() + LEASE} | ({} if done is None else {"done": done})
        with databases.writing(self.engine) as connection:
            return bool(connection.execute(JOBS.update().where(_leased(job)).values(**values)).rowcount)

    def finish(self, job: Job, result: Any) -> bool:
        """Store the result. False: the lease is lost."""
        content = encoded(result)
        with databases.writing(self.engine) as connection:
            ended = self._end(connection, _leased(job), DONE, done=job.pictures, reason=None, size=len(content.encode()))
            if ended:
                connection.execute(RESULTS.insert().values(job=job.number, content=content))
        return ended

    def retry(self, job: Job, reason: str) -> bool:
        """Queue another try of a job that failed; after the last one it has failed for good. False: the lease is lost."""
        with databases.writing(self.engine) as connection:
            if job.tries >= TRIES:
                return self._end(connection, _leased(job), FAILED, reason=f"Set aside after {job.tries} tries. {reason}")
            pause, reason = BACKOFF * 2 ** (job.tries - 1), f"Try {job.tries} of {TRIES} failed, and another follows. {reason}"
            return _requeue(connection, job, due=self._now() + pause, reason=reason)

    def give_back(self, job: Job) -> None:
        """Queue it again because its worker stops; this does not count as a try."""
        with databases.writing(self.engine) as connection:
            _requeue(connection, job, due=self._now(), tries=_ROW.tries - 1)

    def retry_lost(self, gone: Callable[[str], bool]) -> int:
        """Retry jobs whose worker is gone, or whose lease has expired; how many."""
        self._shorten_leases()
        with databases.reading(self.engine) as connection:
            now = float(connection.execute(sa.select(self._now())).scalar_one())
            running = [Job(*row) for row in connection.execute(sa.select(JOBS).where(self._in(RUNNING)))]
        lost = [job for job in running if (job.until or 0) < now or gone(job.worker or "")]
        return sum(self.retry(job, "Its worker has died, or was silent for too long.") for job in lost)

    def _shorten_leases(self) -> None:
        """Where the clock was set back, leases would last until it catches up: their workers get the time of a new one."""
        endless = self._in(RUNNING) & (_ROW.until > self._now() + LEASE + FURTHEST)
        if self._any(sa.select(_ROW.id).where(endless)):
            with databases.writing(self.engine) as connection:
                connection.execute(JOBS.update().where(endless).values(until=self._now() + LEASE))

    def sweep(self) -> None:
        """Delete results that are a day old, and jobs that are a week old."""
        now = self._now()
        old = _ROW.finished < now - RETENTION
        with databases.writing(self.engine) as connection:
            connection.execute(RESULTS.delete().where(RESULTS.c.job.in_(sa.select(_ROW.number).where(old))))
            connection.execute(JOBS.update().where(old & (_ROW.size > 0)).values(size=0))
            connection.execute(JOBS.delete().where(_ROW.finished < now - REMEMBERED))

    def _scalar(self, query: sa.Select[Any]) -> Any:
        with databases.reading(self.engine) as connection:
            return connection.execute(query).scalar()

    def _any(self, query: sa.Select[Any]) -> bool:
        """Is there such a row? Asked before a writing transaction, of which SQLite has one at a time."""
        return self._scalar(query.limit(1)) is not None

    def _now(self) -> sa.ColumnElement[float]:
        """Seconds since 1970, the same for all rows of a statement."""
        if self.clock:
            return sa.literal(self.clock())
        return sa.cast(sa.extract("epoch", sa.func.statement_timestamp()), sa.Double)

    def _in(self, *states: str) -> sa.ColumnElement[bool]:
        return (_ROW.family == self.family) & _ROW.state.in_(states)

    def _due(self) -> sa.ColumnElement[bool]:
        return self._in(QUEUED) & ((_ROW.due <= self._now()) | (_ROW.due > self._now() + FURTHEST))

    def _end(self, connection: Connection, which: sa.ColumnElement[bool], state: str, **more: Any) -> bool:
        """Make it final, and delete its files."""
        values = {"state": state, "finished": self._now(), "lease": None, "until": None, "size": 0, **more}
        ended = connection.execute(JOBS.update().where(which).values(**values).returning(_ROW.number)).scalar()
        if ended is not None:
            connection.execute(FILES.delete().where(FILES.c.job == ended))
        return ended is not None


def _requeue(connection: Connection, job: Job, **values: Any) -> bool:
    free = {"state": QUEUED, "handed": None, "lease": None, "until": None, **values}
    return bool(connection.execute(JOBS.update().where(_leased(job)).values(**free)).rowcount)


def _leased(job: Job) -> sa.ColumnElement[bool]:
    """Is it running under the lease that `job` was taken with?"""
    return (_ROW.id == job.id) & (_ROW.state == RUNNING) & (_ROW.lease == job.lease)


def encoded(result: Any) -> str:
    """A result as JSON. Raises ValueError for NaN and infinity."""
    return json.dumps(result, ensure_ascii=False, allow_nan=False)
