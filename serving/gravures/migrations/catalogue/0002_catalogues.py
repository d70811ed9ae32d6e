"""Several catalogues, each by the SHA-256 of its catalogue.json. What was held is dropped: services bring what they serve."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    _first().downgrade()
    op.create_table(
        "brought",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_brought"),
    )
    op.create_table(
        "engravings",
        *_of("engravings"),
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(7), nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("shows", sa.String),
        sa.PrimaryKeyConstraint("catalogue", "id", name="pk_engravings"),
        sa.UniqueConstraint("catalogue", "name", "kind", name="uq_engravings_name"),
        sa.CheckConstraint("kind IN ('class', 'picture')", name="ck_engravings_kind"),
    )
    op.create_index("ix_engravings_shows", "engravings", ["shows"])
    op.create_table(
        "lenses",
        *_of("lenses"),
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("index_code", sa.String(4), nullable=False),
        sa.Column("refractive_index", sa.Double, nullable=False),
        sa.Column("maker", sa.String),
        sa.Column("material", sa.String),
        sa.Column("engraving_id", sa.Integer),
        sa.PrimaryKeyConstraint("catalogue", "id", name="pk_lenses"),
        _to("engravings", "engraving_id", "fk_lenses_engraving_id"),
    )
    op.create_index("ix_lenses_engraving_id", "lenses", ["engraving_id"])
    _tags()


def _tags() -> None:
    op.create_table(
        "tags",
        *_of("tags"),
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("written", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("catalogue", "id", name="pk_tags"),
        sa.UniqueConstraint("catalogue", "name", name="uq_tags_name"),
    )
    op.create_table(
        "marks",
        *_of("marks"),
        sa.Column("engraving_id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("tag_id", sa.Integer, nullable=False),
        sa.Column("written", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("catalogue", "engraving_id", "position", name="pk_marks"),
        _to("engravings", "engraving_id", "fk_marks_engraving_id"),
        _to("tags", "tag_id", "fk_marks_tag_id"),
    )
    op.create_index("ix_marks_tag_id", "marks", ["tag_id"])


def _of(table: str) -> tuple[sa.Column[str], sa.ForeignKeyConstraint]:
    column = sa.Column("catalogue", sa.String(64), nullable=False)
    return column, sa.ForeignKeyConstraint(["catalogue"], ["brought.sha256"], name=f"fk_{table}_catalogue")


def _to(table: str, column: str, name: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["catalogue", column], [f"{table}.catalogue", f"{table}.id"], name=name)


def downgrade() -> None:
    for table in ("marks", "lenses", "tags", "engravings", "brought"):
        op.drop_table(table)
    _first().upgrade()


def _first() -> Any:
    """The revision before, with the tables that are made anew."""
    return op.get_context().opts["script"].get_revision(down_revision).module
