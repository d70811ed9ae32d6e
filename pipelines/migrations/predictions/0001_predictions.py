"""Answers, stored inputs, and comparisons with a challenger's answers."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite numbers rows by themselves where the key is an INTEGER


def upgrade() -> None:
    op.create_table(
        "predictions",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("family", sa.String(40), nullable=False),
        sa.Column("time", sa.String(20), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("input", sa.String(64), nullable=False, index=True),
        sa.Column("output", sa.Text, nullable=False),
        sa.Column("milliseconds", sa.Double, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_table(
        "inputs",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "comparisons",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("family", sa.String(40), nullable=False),
        sa.Column("time", sa.String(20), nullable=False),
        sa.Column("champion", sa.String(64), nullable=False),
        sa.Column("challenger", sa.String(64), nullable=False),
        sa.Column("agrees", sa.Boolean, nullable=False),
        sa.Column("confidence", sa.Double),
        sa.Column("milliseconds", sa.Double, nullable=False),
        sa.Column("champion_milliseconds", sa.Double, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index("ux_comparisons", "comparisons", ["id", "challenger"], unique=True)
    op.create_index("ix_comparisons_pair", "comparisons", ["family", "champion", "challenger", "number"])
    for table in ("predictions", "comparisons"):
        op.create_index(f"ix_{table}_family", table, ["family", "number"])
