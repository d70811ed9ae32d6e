"""Small pictures of submitted images, made by the person's browser: kept where the person allows it, and for some days only."""

import base64
import binascii
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipelines import databases
from serving.inputs import pictures
from serving.portal.history import IMAGES, JOINED, PREDICTIONS, History
from serving.problems import Refusal

SIDE, BYTES = 256, 40_000  # at most
FORMATS = {"JPEG": "image/jpeg", "WEBP": "image/webp", "PNG": "image/png"}
DAY = 86_400  # seconds
CHOICES = sa.table("portal_choices", sa.column("user_id"), sa.column("thumbnails", sa.Boolean()))


class Thumbnail(NamedTuple):
    """A small picture and its media type."""

    content: bytes
    kind: str


def read(word: str) -> bytes | None:
    """A small picture, sent as base64; None where none was sent. Raises Refusal 422 for what is none, or is not small."""
    if not word:
        return None
    try:
        content = base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(422, "bad thumbnail", "The small picture is not base64. Send it so, or leave it out.") from None
    opened = pictures.opened(content, 1)
    if len(content) > BYTES or max(opened.size) > SIDE:
        detail = f"The small picture has {len(content):,} bytes and {opened.size[0]} x {opened.size[1]} pixels"
        raise Refusal(422, "bad thumbnail", f"{detail}; at most {BYTES:,} and {SIDE} a side are kept. Leave it out.")
    return content


class Thumbnails:
    """The small pictures of the history, and who allows them; `days` that they are kept. Raises NoDatabase."""

    def __init__(self, history: History, days: float) -> None:
        self.engine, self.clock, self.seconds = history.engine, history.clock, days * DAY

    def allowed(self, user: int) -> bool:
        """Does this person allow them? Nobody does who was not asked."""
        with databases.reading(self.engine) as connection:
            return bool(connection.scalar(sa.select(CHOICES.c.thumbnails).where(CHOICES.c.user_id == user)))

    def allow(self, user: int, allowed: bool) -> None:
        """Write down what the person allows; those that are there go where it is no more."""
        with databases.writing(self.engine) as connection:
            insert: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
            row = insert(CHOICES).values(user_id=user, thumbnails=allowed)
            connection.execute(row.on_conflict_do_update(index_elements=["user_id"], set_={"thumbnails": allowed}))
            if not allowed:
                self._clear(connection, IMAGES.c.user_id == user)

    def add(self, user: int, entry: int, content: bytes) -> None:
        """Keep the small picture of an entry's image, where the person allows it; and delete those of all users that are too old."""
        if not self.allowed(user):
            return
        own = sa.select(PREDICTIONS.c.image_id).where((PREDICTIONS.c.id == entry) & (PREDICTIONS.c.user_id == user)).scalar_subquery()
        with databases.writing(self.engine) as connection:
            self._clear(connection, IMAGES.c.thumbnail_time < self.clock() - self.seconds)
            connection.execute(IMAGES.update().where(IMAGES.c.id == own).values(thumbnail=content, thumbnail_time=self.clock()))

    def find(self, user: int, entry: int) -> Thumbnail | None:
        """The small picture of the user's own entry; None where there is none, or it is too old."""
        fresh = IMAGES.c.thumbnail_time >= self.clock() - self.seconds
        own = (PREDICTIONS.c.id == entry) & (PREDICTIONS.c.user_id == user) & fresh
        with databases.reading(self.engine) as connection:
            content = connection.scalar(sa.select(IMAGES.c.thumbnail).select_from(JOINED).where(own))
        return Thumbnail(content, FORMATS[pictures.opened(content, 1).format or ""]) if content else None

    def _clear(self, connection: sa.Connection, which: Any) -> None:
        connection.execute(IMAGES.update().where(which).values(thumbnail=None, thumbnail_time=None))
