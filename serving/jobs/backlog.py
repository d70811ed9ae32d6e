"""The backlog: every job in SQL, from the moment it is taken in until its result is swept. SQLite here, or PostgreSQL by JOBS_URL.

It is the truth. Workers take the first job that is due, or the one whose id a broker has brought: an id that comes twice, late or never
changes no result. A worker that takes a job holds its lease; only who holds it can end the job, so there is one result, however many have
worked on it.
"""

import json
import os
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from pipelines import databases, paths
from pipelines.databases import Clock
from serving.jobs.tables import BACKLOGS, FILES, JOBS, RESULTS, Job

MIGRATIONS = Path(__file__).parent / "migrations" / "jobs"
QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
OPEN, FINAL = (QUEUED, RUNNING), (DONE, FAILED, CANCELLED)
TRIES = 3
BACKOFF = 1.0  # seconds until the second try; twice as many until the third
LEASE = 30.0  # seconds: a worker that is silent for so long is taken for dead
KEPT = 24 * 3600.0  # seconds: a result
REMEMBERED = 7 * KEPT  # that there was such a job
MOST, MEGABYTES = 5_000, 2_000  # jobs that are not final, and what their files and all results take in the database
WEIGHED = 1.0  # seconds between two sums over the results: there may be a hundred thousand
AT_ONCE = 100  # jobs handed over, or swept, in one transaction
_ROW = JOBS.c


class Full(RuntimeError):
    """As many jobs wait as may."""


def url() -> str:
    """Where the jobs are."""
    return os.environ.get("JOBS_URL") or f"sqlite:///{paths.ROOT}/jobs.db"


class Backlog:
    """The jobs of one family. Every method raises databases.NoDatabase where the database does not answer.

    Who shares a PostgreSQL may be on many machines, and its clock is the one for all; SQLite's file is on one machine, which has a clock.
    """

    def __init__(self, address: str, family: str, clock: Clock | None = None) -> None:
        self.engine, self.family, self.clock = databases.migrated(address, MIGRATIONS), family, clock
        self._weighed, self._results = -WEIGHED, 0
        if self.engine.dialect.name == "sqlite":
            self.clock = clock or time.time
            databases.enable_wal(self.engine)
        with databases.reading(self.engine) as connection:
            self.name = str(connection.execute(sa.select(BACKLOGS.c.name)).scalar_one())

    def add(self, task: str, files: Sequence[bytes], owner: str | None = None) -> Job:
        """Take a job in: one of no files is one picture to make. Raises Full, with the numbers."""
        size, now = sum(map(len, files)), self._now()
        row = {"id": uuid.uuid4().hex, "family": self.family, "task": task, "owner": owner, "state": QUEUED, "size": size}
        counted = {"pictures": len(files) or 1, "done": 0, "tries": 0, "created": now, "due": now}
        with databases.writing(self.engine) as connection:
            self._room(connection, size)
            job = Job(*connection.execute(JOBS.insert().values(**row, **counted).returning(*JOBS.c)).one())
            for position, content in enumerate(files):
                connection.execute(FILES.insert().values(job=job.number, position=position, content=content))
        return job

    def _room(self, connection: Connection, size: int) -> None:
        asked = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_ROW.size), 0)).where(self._in(*OPEN))
        jobs, files = connection.execute(asked).one()
        results = self._kept(connection)
        taken = int(files) + results
        if jobs >= MOST or (taken and (taken + size) / 1e6 > MEGABYTES):
            raise Full(
                f"{jobs:,} jobs of {int(files) / 1e6:,.0f} MB wait, "
                f"and {results / 1e6:,.0f} MB of results are kept for {KEPT / 3600:g} hours; "
                f"at most {MOST:,} jobs may wait, and all together may take {MEGABYTES:,} MB. "
                "Send it again when some are done; another worker (`make worker`) makes them faster."
            )

    def _kept(self, connection: Connection) -> int:
        """What all results take, in bytes, as it was not long ago."""
        if time.monotonic() - self._weighed >= WEIGHED:
            asked = sa.select(sa.func.coalesce(sa.func.sum(_ROW.size), 0)).where(self._in(DONE))
            self._weighed, self._results = time.monotonic(), int(connection.execute(asked).scalar_one())
        return self._results

    def find(self, id: str) -> Job | None:
        """The job of this id, of this family."""
        with databases.reading(self.engine) as connection:
            row = connection.execute(sa.select(JOBS).where((_ROW.id == id) & (_ROW.family == self.family))).first()
        return Job(*row) if row else None

    def before(self, job: Job) -> int:
        """How many are queued before it."""
        asked = sa.select(sa.func.count()).where(self._in(QUEUED) & (_ROW.number < job.number))
        with databases.reading(self.engine) as connection:
            return int(connection.execute(asked).scalar_one())

    def result(self, job: Job) -> Any:
        """What came of it; None where it is not done, or its result is not here any more."""
        with databases.reading(self.engine) as connection:
            found = connection.execute(sa.select(RESULTS.c.content).where(RESULTS.c.job == job.number)).scalar()
        return json.loads(found) if found is not None else None

    def counts(self) -> dict[str, int]:
        """How many jobs are queued and running."""
        asked = sa.select(_ROW.state, sa.func.count()).where(self._in(*OPEN)).group_by(_ROW.state)
        with databases.reading(self.engine) as connection:
            return dict.fromkeys(OPEN, 0) | {str(state): int(count) for state, count in connection.execute(asked)}

    def cancel(self, job: Job) -> bool:
        """End it without a result; a worker that is at it stops before its next picture. False: it was final already."""
        with databases.writing(self.engine) as connection:
            return self._end(connection, _ROW.state.in_(OPEN) & (_ROW.id == job.id), CANCELLED, reason=None)

    # What is handed to the broker

    def hand(self) -> list[str]:
        """Ids that the broker is to be given now, at most AT_ONCE of them; they count as handed over until take_back()."""
        asked = sa.select(_ROW.id).where(self._due() & _ROW.handed.is_(None)).order_by(_ROW.number).limit(AT_ONCE)
        if not self._any(asked):
            return []
        with databases.writing(self.engine) as connection:
            ids = list(connection.execute(asked.with_for_update(skip_locked=True)).scalars())
            connection.execute(JOBS.update().where(_ROW.id.in_(ids)).values(handed=self._now()))
        return ids

    def take_back(self, ids: Sequence[str]) -> None:
        """The broker has not got these."""
        with databases.writing(self.engine) as connection:
            connection.execute(JOBS.update().where(_ROW.id.in_(ids) & self._in(QUEUED)).values(handed=None))

    def missed(self, seconds: float) -> int:
        """How many were handed over `seconds` ago and still wait: they are handed over again. An id that comes twice does no harm."""
        lost = self._due() & (_ROW.handed < self._now() - seconds)
        if not self._any(sa.select(_ROW.id).where(lost)):
            return 0
        with databases.writing(self.engine) as connection:
            return connection.execute(JOBS.update().where(lost).values(handed=None)).rowcount

    # What a worker does

    def take(self, worker: str, id: str | None = None) -> Job | None:
        """Begin a try of this job, or of the first that is due, with a lease of one's own. None: there is none, or it is not due."""
        first = sa.select(_ROW.number).where(self._due()).order_by(_ROW.number).limit(1)
        if id is None and not self._any(first):
            return None
        chosen = _ROW.id == id if id else _ROW.number == first.with_for_update(skip_locked=True).scalar_subquery()
        until = self._now() + LEASE
        begun = {"state": RUNNING, "tries": _ROW.tries + 1, "done": 0, "lease": uuid.uuid4().hex, "worker": worker, "until": until}
        with databases.writing(self.engine) as connection:
            row = connection.execute(JOBS.update().where(self._due() & chosen).values(**begun).returning(*JOBS.c)).first()
        return Job(*row) if row else None

    def file(self, job: Job, position: int) -> bytes | None:
        """One of its files; None where it has none."""
        with databases.reading(self.engine) as connection:
            found = sa.select(FILES.c.content).where((FILES.c.job == job.number) & (FILES.c.position == position))
            content = connection.execute(found).scalar()
        return bytes(content) if content is not None else None

    def hold(self, job: Job, done: int | None = None) -> bool:
        """The lease for longer, and how many pictures are done. False: it is somebody else's now, or the job is final."""
        told = {"until": self._now() + LEASE, **({} if done is None else {"done": done})}
        with databases.writing(self.engine) as connection:
            return bool(connection.execute(JOBS.update().where(_held(job)).values(**told)).rowcount)

    def finish(self, job: Job, result: Any) -> bool:
        """The one result, where the lease is still this one's."""
        content = written(result)
        with databases.writing(self.engine) as connection:
            ended = self._end(connection, _held(job), DONE, done=job.pictures, reason=None, size=len(content.encode()))
            if ended:
                connection.execute(RESULTS.insert().values(job=job.number, content=content))
        return ended

    def again(self, job: Job, reason: str) -> bool:
        """It has failed: another try after a while, or where that was the last, set aside with its reason. False: it was not ours."""
        with databases.writing(self.engine) as connection:
            if job.tries >= TRIES:
                return self._end(connection, _held(job), FAILED, reason=f"Set aside after {job.tries} tries. {reason}")
            told = f"Try {job.tries} of {TRIES} failed, and another follows. {reason}"
            waits = {"state": QUEUED, "due": self._now() + BACKOFF * 2 ** (job.tries - 1), "handed": None, "lease": None, "until": None}
            return bool(connection.execute(JOBS.update().where(_held(job)).values(**waits, reason=told)).rowcount)

    def give_back(self, job: Job) -> None:
        """Its worker is told to end: another goes on at once, and this was no try."""
        waits = {"state": QUEUED, "due": self._now(), "handed": None, "lease": None, "until": None}
        with databases.writing(self.engine) as connection:
            connection.execute(JOBS.update().where(_held(job)).values(**waits, tries=_ROW.tries - 1))

    def lost(self, gone: Callable[[str], bool]) -> int:
        """How many jobs were at a worker that is gone, or silent for longer than its lease: as if they had failed there."""
        with databases.reading(self.engine) as connection:
            now = float(connection.execute(sa.select(self._now())).scalar_one())
            running = [Job(*row) for row in connection.execute(sa.select(JOBS).where(self._in(RUNNING)))]
        late = [job for job in running if (job.until or 0) < now or gone(job.worker or "")]
        return sum(self.again(job, "The worker that was at it has died, or was silent for too long.") for job in late)

    def sweep(self) -> None:
        """Forget results that are a day old, and jobs that are a week old."""
        now = self._now()
        old = _ROW.finished < now - KEPT
        with databases.writing(self.engine) as connection:
            connection.execute(RESULTS.delete().where(RESULTS.c.job.in_(sa.select(_ROW.number).where(old))))
            connection.execute(JOBS.update().where(old & (_ROW.size > 0)).values(size=0))
            connection.execute(JOBS.delete().where(_ROW.finished < now - REMEMBERED))

    def kept(self, job: Job) -> bool:
        """Is it not so old that its result is swept?"""
        if job.finished is None:
            return True
        with databases.reading(self.engine) as connection:
            return bool(job.finished >= connection.execute(sa.select(self._now())).scalar_one() - KEPT)

    def _any(self, asked: sa.Select[Any]) -> bool:
        """Is there such a row? Asked before a transaction that writes, of which SQLite has one at a time."""
        with databases.reading(self.engine) as connection:
            return connection.execute(asked.limit(1)).first() is not None

    def _now(self) -> sa.ColumnElement[float]:
        """Seconds since 1970, for a statement: one moment for all rows of it."""
        if self.clock:
            return sa.literal(self.clock())
        return sa.cast(sa.extract("epoch", sa.func.statement_timestamp()), sa.Double)

    def _in(self, *states: str) -> sa.ColumnElement[bool]:
        return (_ROW.family == self.family) & _ROW.state.in_(states)

    def _due(self) -> sa.ColumnElement[bool]:
        return self._in(QUEUED) & (_ROW.due <= self._now())

    def _end(self, connection: Connection, which: sa.ColumnElement[bool], state: str, **more: Any) -> bool:
        """Make it final, and forget its files: nobody needs them any more."""
        values = {"state": state, "finished": self._now(), "lease": None, "until": None, "size": 0, **more}
        ended = connection.execute(JOBS.update().where(which).values(**values).returning(_ROW.number)).scalar()
        if ended is not None:
            connection.execute(FILES.delete().where(FILES.c.job == ended))
        return ended is not None


def written(result: Any) -> str:
    """A result as it is kept: JSON. Raises ValueError for what is no number."""
    return json.dumps(result, ensure_ascii=False, allow_nan=False)


def _held(job: Job) -> sa.ColumnElement[bool]:
    """Is it running, under the very lease that `job` was taken with?"""
    return (_ROW.id == job.id) & (_ROW.state == RUNNING) & (_ROW.lease == job.lease)
