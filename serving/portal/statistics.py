"""A person's own figures: answers a day and a product, how sure they were, and charts of them as SVG."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from pipelines import databases
from serving.portal.history import PREDICTIONS, History

DAYS = 30
DAY = 86_400  # seconds
WIDTH, HEIGHT, GAP = 720, 160, 4  # of a chart, in units of its view box


class Count(NamedTuple):
    """Answers of a product: how many, the mean of how sure they were (None where none says), and milliseconds."""

    product: str
    answers: int
    confidence: float | None
    milliseconds: float


class Bar(NamedTuple):
    """A part of a chart's column; `words` say what it is."""

    product: str
    x: float
    y: float
    width: float
    height: float
    day: str
    answers: int


class Chart(NamedTuple):
    """Columns of the last DAYS days, the products on top of each other; the highest column has `most` answers."""

    bars: list[Bar]
    most: int
    first: str
    last: str


def counts(history: History, user: int) -> list[Count]:
    """The user's answers of each product."""
    columns = PREDICTIONS.c
    means = sa.func.count(), sa.func.avg(columns.confidence), sa.func.avg(columns.milliseconds)
    wanted = sa.select(columns.product, *means).where(columns.user_id == user).group_by(columns.product).order_by(sa.func.count().desc())
    with databases.reading(history.engine) as connection:
        return [Count(*row) for row in connection.execute(wanted)]


def days(history: History, user: int) -> dict[tuple[int, str], int]:
    """{(days since 1970, product): the user's answers}, of the last DAYS days."""
    first = int(history.clock() // DAY) - DAYS + 1
    columns = PREDICTIONS.c
    number: Any = columns.created / DAY
    day = sa.cast(sa.func.floor(number) if history.engine.dialect.name == "postgresql" else number, sa.Integer)  # SQLite's cast floors
    which = (columns.user_id == user) & (columns.created >= first * DAY)
    wanted = sa.select(day, columns.product, sa.func.count()).where(which).group_by(day, columns.product)
    with databases.reading(history.engine) as connection:
        return {(row[0], row[1]): row[2] for row in connection.execute(wanted)}


def chart(found: dict[tuple[int, str], int], today: int, products: Sequence[str]) -> Chart:
    """The columns of a chart, up to `today` in days since 1970."""
    totals = {day: sum(count for (other, _), count in found.items() if other == day) for day, _ in found}
    most, width = max(totals.values(), default=0), WIDTH / DAYS
    bars: list[Bar] = []
    for day in sorted(totals):
        bottom: float = HEIGHT
        for product in products:
            if count := found.get((day, product), 0):
                bottom -= (height := HEIGHT * count / most)
                left = (day - today + DAYS - 1) * width + GAP / 2
                bars.append(Bar(product, round(left, 2), round(bottom, 2), round(width - GAP, 2), round(height, 2), date(day), count))
    return Chart(bars, most, date(today - DAYS + 1), date(today))


def date(day: int) -> str:
    """Days since 1970 as 2026-11-20"""
    return datetime.fromtimestamp(day * DAY, UTC).date().isoformat()


def of(history: History, user: int, products: Sequence[str]) -> dict[str, Any]:
    """What the page of a user's statistics shows."""
    figures = counts(history, user)
    named = [*products, *(figure.product for figure in figures if figure.product not in products)]
    return {"counts": figures, "chart": chart(days(history, user), int(history.clock() // DAY), named), "order": named}
