"""The catalogues' tables, as its newest migration leaves them; a test compares the two."""

from sqlalchemy import CheckConstraint, Double, ForeignKey, ForeignKeyConstraint, MetaData, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMES = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)


class Stored(Base):
    """A catalogue in the other tables, and its turn among those stored last; a writer locks all of these rows."""

    __tablename__ = "brought"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    turn: Mapped[int]


class CatalogueRow:
    """A row of one catalogue, named by its SHA-256."""

    catalogue: Mapped[str] = mapped_column(ForeignKey(Stored.sha256), primary_key=True)


class Engraving(CatalogueRow, Base):
    """What is engraved: a class of drawings, or a picture of the catalogue, which may show the symbol of a class."""

    __tablename__ = "engravings"
    __table_args__ = (
        UniqueConstraint("catalogue", "name", "kind", name="uq_engravings_name"),
        CheckConstraint("kind IN ('class', 'picture')", "kind"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(7))
    name: Mapped[str]
    shows: Mapped[str | None] = mapped_column(index=True)


def _engraving(table: str) -> ForeignKeyConstraint:
    key = ["catalogue", "engraving_id"]
    return ForeignKeyConstraint(key, [Engraving.catalogue, Engraving.id], name=f"fk_{table}_engraving_id")


class Lens(CatalogueRow, Base):
    """A lens ("verre"); maker and material are null where no source has them."""

    __tablename__ = "lenses"
    __table_args__ = (_engraving("lenses"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    index_code: Mapped[str] = mapped_column(String(4))
    refractive_index: Mapped[float] = mapped_column(Double)
    maker: Mapped[str | None]
    material: Mapped[str | None]
    engraving_id: Mapped[int | None] = mapped_column(index=True)


class Tag(CatalogueRow, Base):
    """A shape or letters: normalised for search, and in the most frequent spelling."""

    __tablename__ = "tags"
    __table_args__ = (UniqueConstraint("catalogue", "name", name="uq_tags_name"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    written: Mapped[str]


class Mark(CatalogueRow, Base):
    """A tag on an engraving, as written there."""

    __tablename__ = "marks"
    __table_args__ = (
        _engraving("marks"),
        ForeignKeyConstraint(["catalogue", "tag_id"], [Tag.catalogue, Tag.id], name="fk_marks_tag_id"),
    )

    engraving_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tag_id: Mapped[int] = mapped_column(index=True)
    written: Mapped[str]
