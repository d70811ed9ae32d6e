"""What each user has asked: images by their facts and hash, and what was shown; no pixels. A user's rows are read by that user alone."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from pipelines import databases
from pipelines.databases import Clock
from serving.portal.answers import Shown

MIGRATIONS = Path(__file__).parent / "migrations" / "portal"
PAGE = 50  # rows of a page
AT_ONCE = 500  # rows read at once for a file
TITLE = 200  # characters


class Image(NamedTuple):
    """Facts of a submitted image: pixels of it upright, `size` in bytes, `hash` the SHA-256 of the file."""

    title: str
    width: int
    height: int
    is_color: bool
    size: int
    hash: str


class Entry(NamedTuple):
    """One answer; `created` in seconds since 1970."""

    id: int
    product: str
    prediction_id: str
    created: float
    milliseconds: float
    image: Image
    shown: Shown
    thumbnail: bool = False  # is there one?


class Filter(NamedTuple):
    """Which entries: a part of the title, a product, between two times, of at least or below a confidence; empty for all."""

    title: str = ""
    product: str = ""
    since: float | None = None
    before: float | None = None
    least: float | None = None
    below: float | None = None

    @property
    def any(self) -> bool:
        """Is something asked for?"""
        return self != Filter()


IMAGES = sa.table(
    "portal_images",
    *(sa.column(name, sa.Boolean() if name == "is_color" else None) for name in ("id", "user_id", *Image._fields)),
    sa.column("thumbnail", sa.LargeBinary()),
    sa.column("thumbnail_time", sa.Double()),
)
PREDICTIONS = sa.table(
    "portal_predictions",
    *map(sa.column, ("id", "user_id", "image_id", "prediction_id", "product", "created", "milliseconds", "shown", "confidence")),
)
COLUMNS = [PREDICTIONS.c[name] for name in ("id", "product", "prediction_id", "created", "milliseconds", "shown")]
JOINED = sa.join(PREDICTIONS, IMAGES, IMAGES.c.id == PREDICTIONS.c.image_id)


class History:
    """The tables of the portal, in the users' database. Every method raises databases.NoDatabase where that does not answer."""

    def __init__(self, url: str, clock: Clock = time.time) -> None:
        self.engine, self.clock = databases.migrated(url, MIGRATIONS), clock
        if self.engine.dialect.name == "sqlite":
            databases.enable_wal(self.engine)
            databases.on_connect(self.engine, lambda connection: connection.execute("PRAGMA synchronous = NORMAL"))
            self.engine.dispose()  # so that every connection from now on commits without waiting for the disk

    def add(self, user: int, product: str, image: Image, shown: Shown, milliseconds: float) -> int:
        """Record an answer; its id."""
        row = {"user_id": user, "product": product, "prediction_id": shown.prediction_id, "created": self.clock()}
        row |= {"milliseconds": milliseconds, "shown": shown.model_dump_json(), "confidence": shown.confidence}
        with databases.writing(self.engine) as connection:
            row["image_id"] = _image(connection, user, image)
            return int(connection.execute(PREDICTIONS.insert().values(**row).returning(PREDICTIONS.c.id)).scalar_one())

    def find(self, user: int, id: int) -> Entry | None:
        """The user's entry of this id; None where there is none, or it is another's."""
        return next(iter(self._select(_of(user, Filter()) & (PREDICTIONS.c.id == id), 1)), None)

    def page(self, user: int, which: Filter, number: int = 1) -> list[Entry]:
        """The newest entries first, PAGE of them."""
        return self._select(_of(user, which), PAGE, (number - 1) * PAGE)

    def count(self, user: int, which: Filter) -> int:
        """How many entries there are."""
        with databases.reading(self.engine) as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(JOINED).where(_of(user, which))).scalar_one())

    def all(self, user: int, which: Filter) -> Iterator[Entry]:
        """All entries, the newest first, some at a time."""
        last: Any = sa.true()
        while entries := self._select(_of(user, which) & last, AT_ONCE):
            yield from entries
            last = PREDICTIONS.c.id < entries[-1].id

    def last_product(self, user: int) -> str | None:
        """The product that the user asked last."""
        return next((entry.product for entry in self._select(_of(user, Filter()), 1)), None)

    def delete_all(self, user: int) -> int:
        """Delete the user's rows, and in SQLite overwrite them with zeros; how many answers."""
        with databases.writing(self.engine) as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA secure_delete = ON")
            deleted = connection.execute(PREDICTIONS.delete().where(PREDICTIONS.c.user_id == user)).rowcount
            connection.execute(IMAGES.delete().where(IMAGES.c.user_id == user))
        self._empty_log()
        return int(deleted)

    def _empty_log(self) -> None:
        """Bring SQLite's write-ahead log into its file, where it still has what was deleted."""
        if self.engine.dialect.name == "sqlite":
            with databases.translated_errors(self.engine.url), closing(self.engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _select(self, where: Any, limit: int, offset: int = 0) -> list[Entry]:
        has = IMAGES.c.thumbnail.is_not(None)
        wanted = sa.select(*COLUMNS, has, *(IMAGES.c[name] for name in Image._fields)).select_from(JOINED).where(where)
        with databases.reading(self.engine) as connection:
            return [_entry(row) for row in connection.execute(wanted.order_by(PREDICTIONS.c.id.desc()).limit(limit).offset(offset))]


def _of(user: int, which: Filter) -> Any:
    columns, where = PREDICTIONS.c, PREDICTIONS.c.user_id == user
    asked: list[tuple[Any, Callable[[Any], Any]]] = [
        (which.product, lambda product: columns.product == product),
        (which.title, lambda title: IMAGES.c.title.icontains(title, autoescape=True)),
        (which.since, lambda time: columns.created >= time),
        (which.before, lambda time: columns.created < time),
        (which.least, lambda share: columns.confidence >= share),
        (which.below, lambda share: columns.confidence < share),
    ]
    return sa.and_(where, *(condition(value) for value, condition in asked if value not in ("", None)))


def _entry(row: Any) -> Entry:
    id, product, prediction_id, created, milliseconds, shown, thumbnail, *image = row
    return Entry(id, product, prediction_id, created, milliseconds, Image(*image), Shown.model_validate_json(shown), bool(thumbnail))


def _image(connection: Connection, user: int, image: Image) -> int:
    """The id of the image's row, made where this user has not submitted this file under this title before."""
    insert: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(IMAGES).values(user_id=user, **image._asdict()).on_conflict_do_nothing())
    same = (IMAGES.c.user_id == user) & (IMAGES.c.hash == image.hash) & (IMAGES.c.title == image.title)
    return int(connection.execute(sa.select(IMAGES.c.id).where(same)).scalar_one())
