"""Who sent a job, as limits count: a user, or an address."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("sender", sa.String(80)))
