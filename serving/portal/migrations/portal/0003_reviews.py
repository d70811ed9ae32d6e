"""Answers that their person lets others review, with the image until that is done; who has looked, and what was found."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0003", "0002"


def upgrade() -> None:
    op.add_column("portal_choices", sa.Column("review", sa.Boolean))
    op.create_table(
        "portal_reviews",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("entry_id", sa.Integer, sa.ForeignKey("portal_predictions.id", ondelete="CASCADE"), nullable=False, unique=True),
        sa.Column("content", sa.LargeBinary),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("reviewer_id", sa.Integer, sa.ForeignKey("users.id", ondelete="SET NULL")),
        sa.Column("claimed", sa.Double),
        sa.Column("verdict", sa.String(10)),
        sa.Column("done", sa.Double),
    )
    op.create_table(
        "portal_skips",
        sa.Column("review_id", sa.Integer, sa.ForeignKey("portal_reviews.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    )
