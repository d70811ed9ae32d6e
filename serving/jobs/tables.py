"""The tables of jobs, of their files and of their results, as the migrations leave them."""

from typing import NamedTuple

import sqlalchemy as sa

METADATA = sa.MetaData()
BACKLOGS = sa.Table("backlogs", METADATA, sa.Column("name", sa.String(32), primary_key=True))
JOBS = sa.Table(
    "jobs",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.String(32), nullable=False, unique=True),
    sa.Column("family", sa.String(40), nullable=False),
    sa.Column("task", sa.String(40), nullable=False),
    sa.Column("owner", sa.String(64)),
    sa.Column("state", sa.String(9), nullable=False),
    sa.Column("pictures", sa.Integer, nullable=False),
    sa.Column("done", sa.Integer, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("due", sa.Double, nullable=False),
    sa.Column("handed", sa.Double),
    sa.Column("finished", sa.Double, index=True),
    sa.Column("lease", sa.String(32), unique=True),
    sa.Column("worker", sa.String(200)),
    sa.Column("until", sa.Double),
    sa.Index("ix_jobs_state", "family", "state", "number"),
)
FILES = sa.Table(
    "job_files",
    METADATA,
    sa.Column("job", sa.Integer, sa.ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
RESULTS = sa.Table(
    "job_results",
    METADATA,
    sa.Column("job", sa.Integer, sa.ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
)


class Job(NamedTuple):
    """A row of the table; times in seconds since 1970, `size` in bytes: of its files, and once it is done of its result.

    `due` is when it may be worked on, `handed` when the broker was given its id, `until` when its lease ends.
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
