"""Confidence as a column, to search and count by; small pictures of images, and who allows them."""

import json

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    op.add_column("portal_predictions", sa.Column("confidence", sa.Double))
    op.add_column("portal_images", sa.Column("thumbnail", sa.LargeBinary))
    op.add_column("portal_images", sa.Column("thumbnail_time", sa.Double))
    op.create_table(
        "portal_choices",
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("thumbnails", sa.Boolean, nullable=False),
    )
    _fill()


def _fill() -> None:
    """The confidence of answers that are there already."""
    table = sa.table("portal_predictions", sa.column("id"), sa.column("confidence"), sa.column("shown"))
    connection = op.get_bind()
    for id, shown in connection.execute(sa.select(table.c.id, table.c.shown)).all():
        connection.execute(table.update().where(table.c.id == id).values(confidence=json.loads(shown).get("confidence")))
