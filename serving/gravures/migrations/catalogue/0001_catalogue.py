"""The catalogue: lenses, their engravings, and tags."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "engravings",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(7), nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("shows", sa.String),
        sa.PrimaryKeyConstraint("id", name="pk_engravings"),
        sa.UniqueConstraint("name", "kind", name="uq_engravings_name"),
        sa.CheckConstraint("kind IN ('class', 'picture')", name="ck_engravings_kind"),
    )
    op.create_index("ix_engravings_shows", "engravings", ["shows"])
    op.create_table(
        "lenses",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("index_code", sa.String(4), nullable=False),
        sa.Column("refractive_index", sa.Double, nullable=False),
        sa.Column("maker", sa.String),
        sa.Column("material", sa.String),
        sa.Column("engraving_id", sa.Integer),
        sa.PrimaryKeyConstraint("id", name="pk_lenses"),
        sa.ForeignKeyConstraint(["engraving_id"], ["engravings.id"], name="fk_lenses_engraving_id"),
    )
    op.create_index("ix_lenses_engraving_id", "lenses", ["engraving_id"])
    _tags()


def _tags() -> None:
    op.create_table(
        "tags",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("written", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tags"),
        sa.UniqueConstraint("name", name="uq_tags_name"),
    )
    op.create_table(
        "marks",
        sa.Column("engraving_id", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("tag_id", sa.Integer, nullable=False),
        sa.Column("written", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("engraving_id", "position", name="pk_marks"),
        sa.ForeignKeyConstraint(["engraving_id"], ["engravings.id"], name="fk_marks_engraving_id"),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name="fk_marks_tag_id"),
    )
    op.create_index("ix_marks_tag_id", "marks", ["tag_id"])
    brought = op.create_table(
        "brought",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("sha256", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_brought"),
    )
    op.bulk_insert(brought, [{"id": 1}])


def downgrade() -> None:
    for table in ("brought", "marks", "tags", "lenses", "engravings"):
        op.drop_table(table)
