"""The history's search, small pictures and statistics, in SQLite and PostgreSQL; each of one person alone."""

import base64
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from PIL import Image

from pipelines import databases
from serving.auth.authority import Authority
from serving.portal import history, settings, statistics, thumbnails
from serving.portal.answers import Shown
from serving.portal.history import Filter, History
from serving.portal.thumbnails import DAY, Thumbnails
from serving.problems import Refusal
from tests.forms import encoded, seven
from tests.people import KEY, RIGHT, Clock
from tests.portals import Person

SHOWN = Shown(headline="2 signatures", confidence=0.95, prediction_id="a" * 32, version=3)
FACTS = history.Image("contract.png", 60, 80, False, 1234, "c" * 64)
SMALL = encoded(Image.new("RGB", (64, 48), "red"), "JPEG")
BASE64 = base64.b64encode(SMALL).decode()


class Stored(NamedTuple):
    """A history, and the ids of two users."""

    history: History
    clock: Clock
    ada: int
    bob: int


@pytest.fixture(params=["sqlite", "postgresql"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Stored:
    url = f"sqlite:///{tmp_path}/users.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres"))
    authority = Authority(url, KEY, clock := Clock())
    ada, bob = (authority.users.add(name, RIGHT).id for name in ("ada", "bob"))
    return Stored(History(url, clock), clock, ada, bob)


def add(stored: Stored, product: str = "digits", confidence: float | None = 0.95, user: int | None = None) -> int:
    shown = SHOWN.model_copy(update={"confidence": confidence})
    return stored.history.add(user or stored.ada, product, FACTS, shown, 20.0)


def test_entries_are_found_by_day_and_by_how_sure_they_were(stored: Stored) -> None:
    first = add(stored, confidence=0.5)
    stored.clock.now += DAY
    second, third = add(stored, confidence=0.9), add(stored, confidence=None)
    now = stored.clock.now

    def found(**asked: Any) -> list[int]:
        return [entry.id for entry in stored.history.page(stored.ada, Filter(**asked))]

    assert found(since=now - 10) == [third, second]
    assert found(before=now - 10) == [first]
    assert found(least=0.9) == [second]
    assert found(below=0.9) == [first]
    assert found(title="CONTRACT", product="digits", since=now - 2 * DAY, below=0.6) == [first]


def test_answers_of_the_first_migration_have_their_confidence(tmp_path: Path) -> None:
    authority = Authority(url := f"sqlite:///{tmp_path}/users.db", KEY)
    user = authority.users.add("ada", RIGHT).id
    (folder := tmp_path / "portal").mkdir()
    (folder / "0001_history.py").write_text((history.MIGRATIONS / "0001_history.py").read_text())
    engine = databases.migrated(url, folder)
    with databases.writing(engine) as connection:
        row = {"user_id": user, "title": "a", "width": 1, "height": 1, "is_color": True, "size": 1, "hash": "c"}
        connection.execute(sa.table("portal_images", *map(sa.column, row)).insert().values(**row))
        row = {"user_id": user, "image_id": 1, "prediction_id": "a", "product": "digits", "created": 1.0, "milliseconds": 1.0}
        row["shown"] = '{"headline": "7", "confidence": 0.25, "prediction_id": "a", "version": 1, "rows": [{"label": "7", "note": "old"}]}'
        connection.execute(sa.table("portal_predictions", *map(sa.column, row)).insert().values(**row))
    engine.dispose()
    table = History(url)
    (entry,) = table.page(user, Filter(below=0.3))
    assert (entry.shown.headline, entry.shown.rows[0].label, entry.thumbnail) == ("7", "7", False)


# Small pictures


def test_a_small_picture_is_kept_where_it_is_allowed_and_for_its_days(stored: Stored) -> None:
    table, entry = Thumbnails(stored.history, 30), add(stored)
    table.add(stored.ada, entry, SMALL)
    assert table.find(stored.ada, entry) is None and not table.allowed(stored.ada)
    table.allow(stored.ada, True)
    table.add(stored.ada, entry, SMALL)
    assert table.find(stored.ada, entry) == (SMALL, "image/jpeg")
    assert stored.history.page(stored.ada, Filter())[0].thumbnail
    assert table.find(stored.bob, entry) is None
    stored.clock.now += 31 * DAY
    assert table.find(stored.ada, entry) is None
    table.allow(stored.bob, True)
    table.add(stored.bob, add(stored, user=stored.bob), SMALL)
    assert not stored.history.page(stored.ada, Filter())[0].thumbnail  # deleted, not only hidden


def test_nobody_puts_a_picture_on_anothers_entry_and_what_is_no_longer_allowed_is_deleted(stored: Stored) -> None:
    table, entry = Thumbnails(stored.history, 30), add(stored)
    for user in (stored.ada, stored.bob):
        table.allow(user, True)
    table.add(stored.bob, entry, SMALL)
    assert table.find(stored.ada, entry) is None
    table.add(stored.ada, entry, SMALL)
    table.allow(stored.ada, False)
    assert table.find(stored.ada, entry) is None


@pytest.mark.parametrize(
    "word",
    [
        "no base64",
        base64.b64encode(b"no image").decode(),
        base64.b64encode(encoded(Image.new("L", (257, 2)))).decode(),
        base64.b64encode(SMALL + bytes(thumbnails.BYTES)).decode(),
        base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode(),
    ],
)
def test_what_is_no_small_picture_is_refused(word: str) -> None:
    with pytest.raises(Refusal):
        thumbnails.read(word)


def test_a_person_allows_small_pictures_sees_them_and_deletes_them(ada: Person) -> None:
    def ask() -> None:
        fields = {"title": "seven.png", "thumbnail": BASE64}
        assert ada.client.post("/products/digits/predict", data=fields, files={"image": ("image", encoded(seven()))}).status_code == 200

    ask()
    assert "data-thumbnails" not in ada.get("/products/digits").text and "/thumbnail" not in ada.get("/history").text.replace(
        "/thumbnails", ""
    )
    assert ada.post("/history/kept", thumbnails="on").headers["location"] == "/history"
    assert "data-thumbnails" in ada.get("/products/digits").text
    ask()
    (address,) = set(re.findall(r'src="(/history/\d+/thumbnail)"', ada.get("/history").text)[:1])
    response = ada.client.get(address)
    assert (response.content, response.headers["content-type"], response.headers["x-content-type-options"]) == (
        SMALL,
        "image/jpeg",
        "nosniff",
    )
    ada.sign_in("bob@example.org")
    assert ada.client.get(address).status_code == 404
    ada.sign_in()
    ada.post("/history/kept", thumbnails="")
    assert ada.client.get(address).status_code == 404


@pytest.mark.parametrize("word", ["0", "-1", "soon", "nan", "3651"])
def test_a_number_of_days_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv(settings.THUMBNAIL_DAYS, word)
    with pytest.raises(settings.BadSetting, match="days above 0"):
        settings.thumbnail_days()


# Statistics


def test_answers_are_counted_by_day_and_product(stored: Stored) -> None:
    stored.clock.now = 1_800_000_000 // DAY * DAY + DAY - 1.0  # a second before midnight
    today = int(stored.clock.now // DAY)
    add(stored, "digits", 0.5)
    add(stored, "digits", None)
    add(stored, "objects")
    add(stored, user=stored.bob)
    stored.clock.now -= DAY - 1
    add(stored, "digits", 1.0)
    stored.clock.now -= 40 * DAY
    add(stored, "digits", 0.0)
    stored.clock.now = today * DAY + 5.0
    assert statistics.days(stored.history, stored.ada) == {(today, "digits"): 3, (today, "objects"): 1}
    counts = statistics.counts(stored.history, stored.ada)
    assert [(count.product, count.answers, count.confidence) for count in counts] == [("digits", 4, 0.5), ("objects", 1, 0.95)]


def test_a_charts_columns_stand_on_the_ground_and_on_each_other() -> None:
    chart = statistics.chart({(100, "a"): 3, (100, "b"): 1, (71, "b"): 2}, 100, ["a", "b"])
    assert (chart.most, chart.first, chart.last) == (4, "1970-03-13", "1970-04-11")
    old, lower, upper = chart.bars
    assert lower.y + lower.height == statistics.HEIGHT and upper.y + upper.height == lower.y and upper.y == 0
    assert old.x < statistics.GAP and upper.x + upper.width < statistics.WIDTH
    assert statistics.chart({}, 100, []).bars == []


def test_the_statistics_are_ones_own(ada: Person) -> None:
    assert "Nothing yet" in ada.get("/statistics").text
    ada.ask(encoded(seven()))
    page = ada.get("/statistics").text
    assert 'class="chart"' in page and "<td>1</td>" in page
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=", page)
    ada.sign_in("bob@example.org")
    assert "Nothing yet" in ada.get("/statistics").text


# The pages


def test_the_list_is_searched_by_date_and_certainty(ada: Person) -> None:
    ada.ask(encoded(seven()))
    day = statistics.date(int(ada.clock.now // DAY))
    shown = re.compile(r"/history/\d+")
    assert shown.search(ada.get(f"/history?since={day}&until={day}").text)
    assert not shown.search(ada.get("/history?until=2001-01-01").text)
    assert bool(shown.search(ada.get("/history?sure=sure").text)) != bool(shown.search(ada.get("/history?sure=unsure").text))
    assert ada.get("/history?since=yesterday").status_code == 422
    assert ada.client.get("/history.json?until=2001-01-01").json() == []


def test_an_entry_tells_where_its_answer_comes_from(ada: Person) -> None:
    ada.ask(encoded(seven()))
    (address,) = set(re.findall(r"/history/\d+", ada.get("/history").text))
    page = ada.get(address).text
    assert "Version 1 of digits gave this answer on" in page
    assert re.search(r"make lineage of=[0-9a-f]{32}", page)
