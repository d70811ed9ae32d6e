"""Images that a user has submitted, and what each was answered with. Both go with the user."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None


def upgrade() -> None:
    op.create_table(
        "portal_images",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("is_color", sa.Boolean, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.UniqueConstraint("user_id", "hash", "title"),
    )
    op.create_table(
        "portal_predictions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("image_id", sa.Integer, sa.ForeignKey("portal_images.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("prediction_id", sa.String(64), nullable=False, index=True),
        sa.Column("product", sa.String(64), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("milliseconds", sa.Double, nullable=False),
        sa.Column("shown", sa.Text, nullable=False),
    )
    op.create_index("portal_predictions_of_user", "portal_predictions", ["user_id", "id"])
