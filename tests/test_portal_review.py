"""The review queue: what is looked at first, one reviewer an answer, who may see which image, and what a person allows."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import sqlalchemy as sa
from PIL import Image

from pipelines import databases, predictions
from serving.auth.authority import Authority
from serving.auth.users import ADMINISTRATOR, SCIENTIST
from serving.portal import history, reviewing, reviews
from serving.portal.answers import Shown
from serving.portal.history import Filter, History
from serving.portal.reviews import DAY, LEASE, Reviews
from tests.forms import encoded, seven
from tests.people import KEY, RIGHT, Clock
from tests.portals import Person

FACTS = history.Image("contract.png", 60, 80, False, 1234, "c" * 64)
PNG = encoded(Image.new("L", (4, 4), 9))
EVIL = "<img src=x onerror=alert(1)>"


class Queue(NamedTuple):
    """A queue, the ids of one who asks and of two who review, and the predictions that a challenger answered differently."""

    reviews: Reviews
    history: History
    clock: Clock
    ada: int
    bob: int
    eve: int
    differing: set[str]

    def asked(self, confidence: float | None, user: int | None = None) -> int:
        """An answer of ada, in the queue; the id of its entry."""
        user = user or self.ada
        shown = Shown(headline="7", confidence=confidence, prediction_id=f"{confidence}", version=3)
        entry = self.history.add(user, "digits", FACTS, shown, 20.0)
        self.reviews.add(user, entry, PNG, "image/png")
        return entry

    def next(self, reviewer: int) -> int | None:
        """The entry that the reviewer gets."""
        found = self.reviews.next(reviewer)
        return found.entry.id if found else None

    def judge(self, reviewer: int, verdict: str = "right") -> bool:
        found = self.reviews.next(reviewer)
        assert found
        return self.reviews.judge(reviewer, found.id, verdict)


@pytest.fixture(params=["sqlite", "postgresql"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Queue:
    url = f"sqlite:///{tmp_path}/users.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres"))
    authority = Authority(url, KEY, clock := Clock())
    ada, bob, eve = (authority.users.add(name, RIGHT).id for name in ("ada", "bob", "eve"))
    table, differing = History(url, clock), set[str]()
    made = Reviews(table, lambda ids: differing & set(ids))
    made.allow(ada, True)
    return Queue(made, table, clock, ada, bob, eve, differing)


def test_where_a_challenger_disagrees_comes_first_and_then_the_least_sure(queue: Queue) -> None:
    entries = {confidence: queue.asked(confidence) for confidence in (0.9, 0.4, 0.7, 0.99)}
    queue.differing.add("0.99")
    order = []
    while (entry := queue.next(queue.bob)) is not None:
        order.append(entry)
        assert queue.judge(queue.bob)
    assert order == [entries[confidence] for confidence in (0.99, 0.4, 0.7, 0.9)]
    assert queue.reviews.progress(queue.bob) == (0, 4, 4)
    assert queue.reviews.progress(queue.eve) == (0, 4, 0)


def test_two_people_never_have_the_same_answer(queue: Queue) -> None:
    first, second = queue.asked(0.1), queue.asked(0.2)
    assert [queue.next(queue.bob), queue.next(queue.eve)] == [first, second]
    assert [queue.next(queue.bob), queue.next(queue.eve)] == [first, second]  # until they have judged it
    queue.clock.now += LEASE - 1
    assert queue.next(queue.bob) == first
    queue.clock.now += 2
    assert queue.judge(queue.eve) and queue.next(queue.eve) is None  # bob's is his for as long again
    queue.clock.now += LEASE + 1
    assert queue.next(queue.eve) == first


def test_nobody_judges_what_another_has_or_has_judged(queue: Queue) -> None:
    queue.asked(0.1)
    found = queue.reviews.next(queue.bob)
    assert found
    assert queue.reviews.image(queue.bob, found.id) == (PNG, "image/png")
    assert queue.reviews.image(queue.eve, found.id) is None
    assert not queue.reviews.judge(queue.eve, found.id, "wrong")
    assert queue.reviews.judge(queue.bob, found.id, "wrong")
    assert not queue.reviews.judge(queue.bob, found.id, "right")  # sent twice
    assert queue.reviews.image(queue.bob, found.id) is None  # its image is deleted


def test_a_skipped_answer_is_for_others(queue: Queue) -> None:
    entry = queue.asked(0.1)
    found = queue.reviews.next(queue.bob)
    assert found
    queue.reviews.skip(queue.eve, found.id)
    assert queue.next(queue.bob) == entry
    queue.reviews.skip(queue.bob, found.id)
    assert queue.next(queue.bob) is None
    assert queue.next(queue.eve) == entry


def test_only_what_a_person_allows_is_in_the_queue_and_not_their_own(queue: Queue) -> None:
    queue.asked(0.1, user=queue.bob)
    assert queue.next(queue.eve) is None
    queue.asked(0.1)
    assert queue.next(queue.ada) is None
    queue.reviews.allow(queue.ada, False)
    assert queue.next(queue.eve) is None
    assert queue.reviews.progress(queue.eve).waiting == 0


def test_an_answer_leaves_the_queue_with_the_history_and_after_its_days(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.asked(0.1)
    queue.history.delete_all(queue.ada)
    assert queue.next(queue.bob) is None
    queue.asked(0.1)
    queue.clock.now += reviews.DAYS * DAY + 1
    last = queue.asked(0.2)
    assert queue.next(queue.bob) == last
    assert queue.reviews.progress(queue.bob).waiting == 1
    monkeypatch.setattr(reviews, "MOST", 1)
    queue.asked(0.01)
    assert queue.reviews.progress(queue.bob).waiting == 1


def test_a_large_image_waits_for_nobody(queue: Queue) -> None:
    entry = queue.history.page(queue.ada, Filter())
    assert entry == []
    id = queue.history.add(queue.ada, "digits", FACTS, Shown(headline="7", prediction_id="a", version=1), 1.0)
    queue.reviews.add(queue.ada, id, bytes(reviews.MOST_BYTES + 1), "image/png")
    assert queue.next(queue.bob) is None


def test_who_disagrees_is_read_from_the_products_comparisons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREDICTIONS_URL", url := f"sqlite:///{tmp_path}/predictions.db")
    assert reviewing.disagreeing(["a"]) == set()
    store = predictions.Store(url)
    pair = {"family": "digits", "time": "2026-11-30T00:00:00Z", "champion": "b" * 64, "challenger": "e" * 64, "confidence": None}
    rows = [{"id": id, "agrees": id == "a", "milliseconds": 1.0, "champion_milliseconds": 1.0, **pair} for id in "abc"]
    store.compare(rows)
    store.close()
    assert reviewing.disagreeing(["a", "b", "x"]) == {"b"}


# The pages


@pytest.fixture
def waiting(ada: Person) -> Person:
    """An answer of ada waits; bob, an administrator, is signed in."""
    ada.authority.users.set_role("bob", ADMINISTRATOR)
    ada.post("/history/kept", review="on")
    ada.ask(encoded(seven()), EVIL)
    ada.sign_in("bob@example.org")
    return ada


def number(person: Person) -> str:
    found = re.search(r'action="/review/(\d+)"', person.get("/review").text)
    return found[1] if found else ""


def test_an_answer_is_reviewed_with_its_image_and_the_next_follows(waiting: Person) -> None:
    page = waiting.get("/review").text
    assert "1 answer waits" in page and "digits" in page and re.search(r'data-kind="choice"', page)
    assert EVIL not in page and "&lt;img src=x" in page
    image = waiting.client.get(f"/review/{number(waiting)}/image")
    assert (image.content, image.headers["content-type"]) == (encoded(seven()), "image/png")
    assert waiting.post(f"/review/{number(waiting)}", verdict="perhaps").status_code == 422
    assert waiting.post(f"/review/{number(waiting)}", verdict="right").headers["location"] == "/review"
    page = waiting.get("/review").text
    assert "0 answers wait" in page and "1 is reviewed; 1 by you" in page and "Nothing waits for you" in page
    with databases.reading(waiting.authority.engine) as connection:
        row = connection.execute(sa.text("SELECT verdict, reviewer_id, done, content FROM portal_reviews")).one()
    assert row == ("right", waiting.authority.users.get("bob").id, waiting.clock.now, None)


@pytest.mark.parametrize(
    "ask",
    [
        lambda person, id: person.get("/review"),
        lambda person, id: person.get(f"/review/{id}/image"),
        lambda person, id: person.post(f"/review/{id}", verdict="right"),
    ],
)
def test_who_is_no_reviewer_reviews_nothing(waiting: Person, ask: Callable[[Person, str], object]) -> None:
    id = number(waiting)
    waiting.sign_in("ada@example.org")
    assert getattr(ask(waiting, id), "status_code") == 403  # noqa: B009
    assert "/review" not in waiting.get("/").text
    waiting.authority.users.set_role("ada", SCIENTIST)
    waiting.sign_in("ada@example.org")
    assert "/review" in waiting.get("/").text
    assert waiting.get(f"/review/{id}/image").status_code == 404  # bob has it
    waiting.post(f"/review/{id}", verdict="wrong")
    waiting.sign_in("bob@example.org")
    assert number(waiting) == id


@pytest.mark.parametrize("word", ["0", "x", "-1", "9" * 12])
def test_a_review_that_is_none_is_404(waiting: Person, word: str) -> None:
    assert waiting.get(f"/review/{word}/image").status_code == 404
    assert waiting.post(f"/review/{word}", verdict="right").status_code == 303


def test_nothing_waits_where_nobody_has_ticked_it(ada: Person) -> None:
    ada.ask(encoded(seven()))
    with databases.reading(ada.authority.engine) as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM portal_reviews")).scalar() == 0
    ada.post("/history/kept", review="on")
    assert 'name="review" checked' in ada.get("/history").text
    ada.post("/history/kept", thumbnails="on")
    assert 'name="review" checked' not in ada.get("/history").text
