"""The catalogue's tables, as its newest migration leaves them; a test holds the two against each other."""

from sqlalchemy import CheckConstraint, Double, ForeignKey, MetaData, String, UniqueConstraint
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


class Engraving(Base):
    """What is engraved: a class of drawings, or a picture of the catalogue, which may show the symbol of a class."""

    __tablename__ = "engravings"
    __table_args__ = (UniqueConstraint("name", "kind"), CheckConstraint("kind IN ('class', 'picture')", "kind"))

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(7))
    name: Mapped[str]
    shows: Mapped[str | None] = mapped_column(index=True)


class Lens(Base):
    """A lens ("verre"). Maker and material are null until a source has them."""

    __tablename__ = "lenses"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    index_code: Mapped[str] = mapped_column(String(4))
    refractive_index: Mapped[float] = mapped_column(Double)
    maker: Mapped[str | None]
    material: Mapped[str | None]
    engraving_id: Mapped[int | None] = mapped_column(ForeignKey(Engraving.id), index=True)


class Tag(Base):
    """A shape or letters: in the one form that is searched, and as it is mostly written."""

    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(unique=True)
    written: Mapped[str]


class Mark(Base):
    """A tag of an engraving, as it is written there."""

    __tablename__ = "marks"

    engraving_id: Mapped[int] = mapped_column(ForeignKey(Engraving.id), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tag_id: Mapped[int] = mapped_column(ForeignKey(Tag.id), index=True)
    written: Mapped[str]


class Brought(Base):
    """The one row that says which catalogue the other tables hold; whoever replaces them holds it locked."""

    __tablename__ = "brought"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sha256: Mapped[str | None] = mapped_column(String(64))
