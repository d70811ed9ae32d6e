"""Two columns for watching what is asked, both null until something fills them: features of the input, and the trace it came in.

They are no part of a row's hash: they say something about a prediction, and change nothing of it.
"""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    op.add_column("predictions", sa.Column("features", sa.JSON))
    op.add_column("predictions", sa.Column("traceparent", sa.String(55)))  # as W3C writes it
