"""Jobs, the files that they are to work on, and their results."""

import uuid

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None


def upgrade() -> None:
    backlogs = op.create_table("backlogs", sa.Column("name", sa.String(32), primary_key=True))
    op.bulk_insert(backlogs, [{"name": uuid.uuid4().hex}])
    op.create_table(
        "jobs",
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
    )
    op.create_index("ix_jobs_state", "jobs", ["family", "state", "number"])
    op.create_table(
        "job_files",
        sa.Column("job", sa.Integer, sa.ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "job_results",
        sa.Column("job", sa.Integer, sa.ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
    )
