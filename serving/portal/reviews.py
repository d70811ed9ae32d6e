"""The review queue: answers whose person lets others look at them, each given to one reviewer at a time."""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipelines import databases
from serving.portal.history import PREDICTIONS, Entry, History

VERDICTS = ("right", "wrong", "corrected")
LEASE = 600.0  # seconds that an answer is one reviewer's without a verdict
DAYS = 14  # that an image waits for its review
DAY = 86_400  # seconds
MOST, MOST_BYTES = 1000, 5_000_000  # images that wait, and of one image
COMPARED = 500  # of those that wait, the least confident, are looked up among the comparisons with a challenger
REVIEWS = sa.table(
    "portal_reviews",
    *map(sa.column, ("id", "entry_id", "kind", "reviewer_id", "claimed", "verdict", "done")),
    sa.column("content", sa.LargeBinary()),
)
SKIPS = sa.table("portal_skips", *map(sa.column, ("review_id", "user_id")))
CHOICES = sa.table("portal_choices", sa.column("user_id"), sa.column("thumbnails", sa.Boolean()), sa.column("review", sa.Boolean()))
JOINED = sa.join(REVIEWS, PREDICTIONS, PREDICTIONS.c.id == REVIEWS.c.entry_id)
Disagreeing = Callable[[Collection[str]], Collection[str]]
"""Ids of predictions -> those of them that a challenger answered differently."""


class Review(NamedTuple):
    """An answer to look at: the number of its review, and the entry, another person's."""

    id: int
    entry: Entry


class Progress(NamedTuple):
    """Answers that wait, those that are done, and those of them that this reviewer did."""

    waiting: int
    done: int
    own: int


class Reviews:
    """The queue, in the history's database. Every method raises NoDatabase."""

    def __init__(self, history: History, disagreeing: Disagreeing) -> None:
        self.history, self.engine, self.clock, self.disagreeing = history, history.engine, history.clock, disagreeing

    # Of those who ask

    def allowed(self, user: int) -> bool:
        """Does this person let others review answers?"""
        with databases.reading(self.engine) as connection:
            return bool(connection.scalar(sa.select(CHOICES.c.review).where(CHOICES.c.user_id == user)))

    def allow(self, user: int, allowed: bool) -> None:
        """Write down what the person allows; images that wait go where it is no more."""
        with databases.writing(self.engine) as connection:
            insert: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
            row = insert(CHOICES).values(user_id=user, thumbnails=False, review=allowed)
            connection.execute(row.on_conflict_do_update(index_elements=["user_id"], set_={"review": allowed}))
            if not allowed:
                own = sa.select(PREDICTIONS.c.id).where(PREDICTIONS.c.user_id == user)
                connection.execute(REVIEWS.delete().where(REVIEWS.c.entry_id.in_(own) & REVIEWS.c.verdict.is_(None)))

    def add(self, user: int, entry: int, content: bytes, kind: str) -> None:
        """Put the user's new answer and its image into the queue, where the person allows it and there is room."""
        if len(content) > MOST_BYTES or not self.allowed(user):
            return
        with databases.writing(self.engine) as connection:
            old = sa.select(PREDICTIONS.c.id).where(PREDICTIONS.c.created < self.clock() - DAYS * DAY)
            connection.execute(REVIEWS.delete().where(REVIEWS.c.entry_id.in_(old) & REVIEWS.c.verdict.is_(None)))
            waiting = connection.scalar(sa.select(sa.func.count()).select_from(REVIEWS).where(REVIEWS.c.verdict.is_(None)))
            if waiting is not None and waiting < MOST:
                connection.execute(REVIEWS.insert().values(entry_id=entry, content=content, kind=kind))

    # Of reviewers

    def next(self, reviewer: int) -> Review | None:
        """The answer that this reviewer has, or else one that nobody has: first where a challenger disagrees, then the least sure."""
        differing = list(self._differing())
        with databases.writing(self.engine) as connection:
            order = (
                sa.case((REVIEWS.c.reviewer_id == reviewer, 0), else_=1),
                sa.case((PREDICTIONS.c.prediction_id.in_(differing), 0), else_=1),
                sa.func.coalesce(PREDICTIONS.c.confidence, 0.0),
                REVIEWS.c.id,
            )
            free = sa.select(REVIEWS.c.id, PREDICTIONS.c.id, PREDICTIONS.c.user_id).select_from(JOINED).where(self._free(reviewer))
            row = connection.execute(free.order_by(*order).limit(1).with_for_update(of=REVIEWS, skip_locked=True)).first()
            if row is None:
                return None
            own = REVIEWS.update().where(REVIEWS.c.id == row[0])
            connection.execute(own.values(reviewer_id=reviewer, claimed=self.clock()))
        entry = self.history.find(row[2], row[1])
        return Review(row[0], entry) if entry else None

    def _free(self, reviewer: int) -> Any:
        """Without a verdict, another's answer, not skipped by this reviewer, and in nobody else's hands."""
        columns = REVIEWS.c
        skipped = sa.select(SKIPS.c.review_id).where(SKIPS.c.user_id == reviewer)
        nobodys = columns.claimed.is_(None) | (columns.claimed < self.clock() - LEASE) | (columns.reviewer_id == reviewer)
        return columns.verdict.is_(None) & (PREDICTIONS.c.user_id != reviewer) & nobodys & columns.id.not_in(skipped)

    def _differing(self) -> Collection[str]:
        wanted = sa.select(PREDICTIONS.c.prediction_id).select_from(JOINED).where(REVIEWS.c.verdict.is_(None))
        with databases.reading(self.engine) as connection:
            ids = connection.scalars(wanted.order_by(PREDICTIONS.c.confidence).limit(COMPARED)).all()
        return self.disagreeing(ids) if ids else ()

    def image(self, reviewer: int, id: int) -> tuple[bytes, str] | None:
        """The image and its media type, of the answer that this reviewer has; None of any other."""
        with databases.reading(self.engine) as connection:
            wanted = sa.select(REVIEWS.c.content, REVIEWS.c.kind).where(self._own(reviewer, id) & REVIEWS.c.content.is_not(None))
            row = connection.execute(wanted).first()
        return (bytes(row[0]), str(row[1])) if row else None

    def judge(self, reviewer: int, id: int, verdict: str) -> bool:
        """Write down one of VERDICTS on the answer that this reviewer has, and delete its image; False where it is not, or no more."""
        with databases.writing(self.engine) as connection:
            values = {"verdict": verdict, "done": self.clock(), "content": None}
            return bool(connection.execute(REVIEWS.update().where(self._own(reviewer, id)).values(**values)).rowcount)

    def skip(self, reviewer: int, id: int) -> None:
        """Give the answer back, for others."""
        with databases.writing(self.engine) as connection:
            given = connection.execute(REVIEWS.update().where(self._own(reviewer, id)).values(reviewer_id=None, claimed=None))
            if given.rowcount:
                connection.execute(SKIPS.insert().values(review_id=id, user_id=reviewer))

    def progress(self, reviewer: int) -> Progress:
        """How far the queue is."""
        done = REVIEWS.c.verdict.is_not(None)
        figures = (~done, done, done & (REVIEWS.c.reviewer_id == reviewer))
        with databases.reading(self.engine) as connection:
            row = connection.execute(sa.select(*(sa.func.count(sa.case((figure, 1))) for figure in figures)).select_from(REVIEWS)).one()
        return Progress(*map(int, row))

    def _own(self, reviewer: int, id: int) -> Any:
        return (REVIEWS.c.id == id) & (REVIEWS.c.reviewer_id == reviewer) & REVIEWS.c.verdict.is_(None)
