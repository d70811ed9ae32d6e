"""The portal in this process: accounts, sessions, a product's answers, the history of each user alone, and what an attacker would try."""

import asyncio
import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from PIL import Image
from starlette.testclient import TestClient

from pipelines import databases
from pipelines.errors import BadSetting
from serving.auth import attempts, users
from serving.auth.authority import MIGRATIONS, Authority
from serving.auth.tokens import Tokens
from serving.auth.users import InvalidUser
from serving.portal import accounts, answers, complaints, guard, history, records, rendering, settings, uploads
from serving.portal.answers import Shown
from serving.portal.application import application
from serving.portal.history import Filter, History
from serving.portal.products import PRODUCTS
from serving.problems import Refusal
from tests.forms import encoded, seven, turned
from tests.people import KEY, RIGHT, WRONG, Clock, hash_quickly
from tests.portals import IDLE, PAGE, Person

EVIL = '<img src=x onerror=alert(1)>"'
SHOWN = Shown(headline="2 signatures", confidence=0.9, boxes=[(1, 2, 3, 4)], prediction_id="a" * 32, version=3)
FACTS = history.Image("contract.png", 60, 80, False, 1234, "c" * 64)


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        hash_quickly(patch)
        yield


def alert(response: httpx.Response) -> str:
    found = re.search(r'role="alert">([^<]*)<', response.text)
    return found[1] if found else ""


def ids(person: Person) -> list[str]:
    return re.findall(r'href="/history/(\d+)"', person.get("/history").text)


# Who has not signed in


@pytest.mark.parametrize("path", ["/", "/about", "/sign-in", "/sign-up"])
def test_four_pages_are_open(portal: Person, path: str) -> None:
    assert portal.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/history", "/history/1", "/history.csv", "/history.json", "/products/digits", "/docs", "/nothing?a=1"])
def test_all_else_leads_to_signing_in_and_back(portal: Person, path: str) -> None:
    response = portal.get(path)
    assert response.status_code == 303
    assert response.headers["location"] == str(httpx.URL("/sign-in", params={"next": path})).replace("%20", "+")
    assert portal.client.get(path, follow_redirects=False).status_code == 401


@pytest.mark.parametrize("path", ["/products/digits/predict", "/history/delete", "/session", "/sign-out"])
def test_nothing_is_changed_without_signing_in(portal: Person, path: str) -> None:
    assert portal.client.post(path).status_code == 401


def test_a_script_is_told_in_json_that_the_session_is_over(portal: Person) -> None:
    response = portal.ask(encoded(seven()))
    assert (response.status_code, response.json()["reason"]) == (401, "no session")


# Accounts


@pytest.mark.parametrize(("email", "password"), [("eve@example.org", RIGHT), ("ada@example.org", WRONG), ("", RIGHT), ("a\0b", RIGHT)])
def test_an_unknown_account_and_a_wrong_password_are_one_sentence(portal: Person, email: str, password: str) -> None:
    response = portal.sign_in(email, password)
    assert (response.status_code, alert(response)) == (400, accounts.UNKNOWN)
    assert not portal.signed_in()


@pytest.mark.parametrize("who", ["ada@example.org", " Ada@Example.ORG".strip(), "ada", "ADA"])
def test_a_person_signs_in_by_e_mail_or_name_and_begins_at_an_upload(portal: Person, who: str) -> None:
    response = portal.sign_in(who)
    assert (response.status_code, response.headers["location"]) == (303, "/products/signatures")
    page = portal.get("/products/digits").text
    assert 'type="file"' in page
    assert ">ada</span>" in page


def test_a_new_account_leads_to_signing_in(portal: Person) -> None:
    response = portal.post("/sign-up", name="Grace", email="Grace@Navy.mil", password=RIGHT)
    assert response.headers["location"] == "/sign-in?made=1"
    assert "Your account is made" in portal.get("/sign-in?made=1").text
    assert portal.sign_in("grace@navy.mil").status_code == 303
    grace = portal.authority.users.get("grace")
    assert (grace.email, grace.role, grace.administrator) == ("grace@navy.mil", "operator", False)


@pytest.mark.parametrize(
    ("name", "email", "password", "words"),
    [
        ("grace", "ADA@example.org", RIGHT, complaints.KNOWN),
        ("ada", "grace@navy.mil", RIGHT, complaints.TAKEN),
        ("ada@example.org", "grace@navy.mil", RIGHT, "A name has no @"),
        ("grace hopper", "grace@navy.mil", RIGHT, "is not a user name"),
        ("grace", "", RIGHT, "The e-mail address is missing"),
        ("grace", "navy.mil", RIGHT, "is not an e-mail address"),
        ("grace", f"{'g' * 250}@navy.mil", RIGHT, "is not an e-mail address"),
        ("grace", "grace@navy.mil", "short", "12 to 256 characters"),
    ],
)
def test_a_refused_account_is_explained_and_what_was_typed_stays(portal: Person, name: str, email: str, password: str, words: str) -> None:
    response = portal.post("/sign-up", name=name, email=email, password=password)
    assert response.status_code in (400, 409)
    assert words in alert(response)
    assert f'value="{name}"' in response.text
    assert password not in response.text.replace("12 to 256", "")
    assert portal.authority.users.find("grace") is None


def test_a_name_that_is_anothers_e_mail_address_is_refused(portal: Person) -> None:
    portal.authority.users.add("eve@example.org", RIGHT)
    assert alert(portal.post("/sign-up", name="grace", email="eve@example.org", password=RIGHT)) == complaints.KNOWN
    with pytest.raises(InvalidUser):
        portal.authority.users.add("ada@example.org", RIGHT)


def test_asking_which_addresses_have_accounts_is_limited(portal: Person) -> None:
    for _ in range(attempts.SIGN_UP_MOST):
        assert portal.post("/sign-up", name="grace", email="ada@example.org", password=RIGHT).status_code == 409
    response = portal.post("/sign-up", name="grace", email="grace@navy.mil", password=RIGHT)
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) == attempts.PAUSE
    portal.clock.now += attempts.PAUSE + 1
    assert portal.post("/sign-up", name="grace", email="grace@navy.mil", password=RIGHT).status_code == 303


def test_the_tenth_wrong_password_closes_the_account_for_a_while(portal: Person) -> None:
    statuses = [portal.sign_in("ADA@example.org" if odd % 2 else "ada@example.org", WRONG).status_code for odd in range(10)]
    assert statuses == [400] * 9 + [429]
    assert portal.sign_in().status_code == 429
    portal.clock.now += attempts.PAUSE + 1
    assert portal.sign_in().status_code == 303


def test_signing_up_can_be_closed(portal: Person, tmp_path: Path) -> None:
    closed = application(portal.authority, {"digits": "http://127.0.0.1:1"}, IDLE, sign_up="closed")
    with TestClient(closed, base_url="http://localhost") as client:
        person = Person(client, portal.authority, portal.clock)
        assert person.get("/sign-up").status_code == 403
        assert person.post("/sign-up", name="grace", email="grace@navy.mil", password=RIGHT).status_code == 403
        assert "/sign-up" not in person.get("/").text
    assert portal.authority.users.find("grace") is None


# Sessions


def test_a_session_ends_after_five_minutes_without_a_request_and_says_so(ada: Person) -> None:
    ada.clock.now += IDLE - 1
    assert ada.signed_in()
    ada.clock.now += IDLE - 1
    assert ada.client.post("/session", headers=PAGE).status_code == 204
    ada.clock.now += IDLE + 1
    response = ada.get("/history")
    assert response.headers["location"] == "/sign-in?next=%2Fhistory&ended=1"
    assert "The session is over" in ada.get(response.headers["location"]).text
    assert ada.sign_in(next="/history").headers["location"] == "/history"


def test_a_clock_that_is_set_back_ends_a_session_rather_than_keep_it(ada: Person) -> None:
    ada.clock.now -= 30
    assert ada.signed_in()
    ada.clock.now -= 3600
    assert not ada.signed_in()


def test_signing_out_ends_the_session_for_its_cookie_too(ada: Person) -> None:
    cookie = ada.client.cookies[guard.COOKIE]
    assert ada.post("/sign-out").headers["location"] == "/"
    assert guard.COOKIE not in ada.client.cookies
    ada.client.cookies.set(guard.COOKIE, cookie)
    assert not ada.signed_in()


def test_the_cookie_is_for_the_portal_alone(portal: Person) -> None:
    words = portal.sign_in().headers["set-cookie"].lower()
    assert "httponly" in words and "samesite=strict" in words and "path=/" in words
    assert "secure" not in words and "max-age" not in words
    with TestClient(portal.client.app, base_url="https://localhost") as client:
        assert "secure" in Person(client, portal.authority, portal.clock).sign_in().headers["set-cookie"].lower()


def test_a_session_id_that_somebody_else_has_set_is_worth_nothing(portal: Person) -> None:
    portal.client.cookies.set(guard.COOKIE, f"{'f' * 32}.known")
    portal.sign_in()
    assert f"{'f' * 32}.known" not in (cookie.value for cookie in portal.client.cookies.jar if cookie.domain == "localhost.local")
    with databases.reading(portal.authority.engine) as connection:
        assert "f" * 32 not in connection.scalars(sa.select(users.SESSIONS.c.id)).all()


def test_signing_in_again_ends_the_session_before(ada: Person) -> None:
    before = ada.client.cookies[guard.COOKIE]
    ada.sign_in()
    assert ada.client.cookies[guard.COOKIE] != before
    ada.client.cookies.clear()
    ada.client.cookies.set(guard.COOKIE, before)
    assert not ada.signed_in()


@pytest.mark.parametrize("change", [users.Users.disable, users.Users.remove, lambda table, name: table.set_password(name, RIGHT + "!")])
def test_an_open_session_ends_with_its_user(ada: Person, change: Callable[[users.Users, str], None]) -> None:
    ada.authority.users.add("root", RIGHT, administrator=True)
    change(ada.authority.users, "ada")
    assert not ada.signed_in()


@pytest.mark.parametrize("kind", ["access", "refresh"])
def test_a_token_of_the_services_is_no_session_of_the_portal(portal: Person, kind: str) -> None:
    granted = portal.authority.sign_in("ada", RIGHT, "192.0.2.1")
    session = portal.authority.tokens.decode(granted.access, "access").session
    portal.client.cookies.set(guard.COOKIE, f"{session}.{getattr(granted, kind)}")
    assert not portal.signed_in()


# Other sites


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}])
@pytest.mark.parametrize("path", ["/sign-in", "/sign-up", "/sign-out", "/session", "/history/delete", "/products/digits/predict"])
def test_another_sites_page_changes_nothing(ada: Person, path: str, headers: dict[str, str]) -> None:
    response = ada.post(path, {**headers, "Accept": "text/html"}, email="ada@example.org", password=RIGHT)
    assert (response.status_code, response.json()["reason"]) == (403, "another site")
    assert ada.signed_in()


def test_another_name_of_this_machine_is_refused(portal: Person) -> None:
    assert portal.client.get("/", headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    "trap",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil",
        "/a\\b",
        "evil",
        "/\t/evil.example",
        "javascript:alert(1)",
        "",
    ],
)
def test_signing_in_leads_to_no_other_site(portal: Person, trap: str) -> None:
    assert rendering.inside(trap) == "/"
    assert portal.sign_in(next=trap).headers["location"] == "/products/signatures"
    assert rendering.inside("/history?title=a&page=2") == "/history?title=a&page=2"


def test_pages_allow_no_inline_script_and_are_not_stored_by_the_browser(ada: Person) -> None:
    for path in ("/", "/about", "/products/digits", "/history", "/nothing"):
        response = ada.get(path)
        assert "default-src 'self'" in response.headers["content-security-policy"]
        assert "unsafe" not in response.headers["content-security-policy"]
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", response.text)


# Products


def test_the_home_page_has_a_card_for_each_product_and_says_which_is_down(ada: Person) -> None:
    page = ada.get("/").text
    assert re.findall(r'href="/products/(\w+)"', page) == ["signatures", "digits"]
    assert page.count("Does not answer now") == 1
    assert "Version 1 answers" in page
    assert "signatures does not answer now" in ada.get("/products/signatures").text


def test_an_answer_has_its_headline_and_both_sides_and_is_recorded(ada: Person, product: Any) -> None:
    response = ada.ask(encoded(seven()), "My seven.png")
    assert response.status_code == 200, response.text
    direct = json.loads(asked(product, encoded(seven())))
    assert f'<p class="prediction">{direct["prediction"]}</p>' in response.text
    assert response.text.count("data-picture") == 1
    assert response.text.count("<meter") == 10
    (number,) = ids(ada)
    page = ada.get(f"/history/{number}").text
    assert "My seven.png" in page and "60 × 80" in page and "grey" in page  # noqa: RUF001
    listed = ada.get("/history").text
    assert "My seven.png" in listed and "60 × 80" in listed  # noqa: RUF001
    assert ada.post("/sign-out") and ada.sign_in().headers["location"] == "/products/digits"


def asked(app: Any, content: bytes) -> bytes:
    async def answer() -> bytes:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://digits") as client:
            return (await client.post("/predict", content=content, headers={"Content-Type": "image/png"})).content

    return asyncio.run(answer())


def test_a_product_that_is_down_says_so_and_nothing_is_recorded(ada: Person) -> None:
    response = ada.ask(encoded(seven()), name="signatures")
    assert response.status_code == 502
    assert "signatures does not answer now" in response.json()["detail"]
    assert ids(ada) == []


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"a seven, I believe", 415, "Send PNG, JPEG or WebP"),
        (b"", 415, "0 bytes"),
        (encoded(Image.new("L", (40, 40), 255)), 422, "blank"),
        (bytes(uploads.LIMIT_MB * 1_000_000 + 1), 413, f"{uploads.LIMIT_MB} MB"),
    ],
)
def test_what_is_no_image_or_too_large_is_refused_with_the_reason(ada: Person, content: bytes, status: int, words: str) -> None:
    response = ada.ask(content)
    assert response.status_code == status
    assert words in response.json()["detail"]
    assert ids(ada) == []


def test_an_unknown_product_is_404(ada: Person) -> None:
    assert ada.get("/products/faces").status_code == 404
    assert ada.ask(encoded(seven()), name="faces").status_code == 404


@pytest.mark.parametrize(("orientation", "size"), [(3, (60, 80)), (6, (60, 80)), (8, (60, 80))])
def test_an_images_facts_are_those_of_the_image_upright(orientation: int, size: tuple[int, int]) -> None:
    image, kind = uploads.read(turned(seven(), orientation, "JPEG"), "  a\tb\n ")
    assert (image.width, image.height, image.title, image.is_color, kind) == (*size, "a b", False, "image/jpeg")
    assert uploads.read(encoded(Image.new("RGBA", (3, 2))), "")[0][:4] == ("image", 3, 2, True)


ORIGIN = {"prediction_id": "a" * 32, "model": {"version": 3}}


@pytest.mark.parametrize(
    ("product_", "answer", "headline", "boxes"),
    [
        ("signatures", {"prediction": [[1, 2, 3, 4]], "count": 1, "scores": [0.9]}, "1 signature", 1),
        ("signatures", {"prediction": [], "count": 0, "scores": []}, "0 signatures", 0),
        ("ocr", {"text": "a\nb", "confidence": 0.5, "lines": [{"text": "a", "box": [0, 0, 9, 9], "confidence": 0.5}] * 2}, "2 lines", 2),
        ("objects", {"prediction": "ship", "confidence": 0.9, "top3_predictions": [{"class": "ship", "confidence": 0.9}]}, "ship", 0),
        (
            "gravures",
            {"matches": [{"engraving": "star", "similarity": 0.8, "lenses": [{"verre_id": 1, "name": "A"}], "lenses_total": 1}]},
            "star",
            0,
        ),
    ],
)
def test_each_form_of_answer_is_shown(product_: str, answer: dict[str, Any], headline: str, boxes: int) -> None:
    shown = answers.shown(product_, answer | ORIGIN)
    assert (shown.headline, len(shown.boxes), shown.version) == (headline, boxes, 3)


@pytest.mark.parametrize(
    "answer", [{}, {"prediction": "a"}, ORIGIN, {"count": 1, **ORIGIN}, {"matches": [], **ORIGIN}, {"lines": 3, **ORIGIN}]
)
def test_an_answer_of_no_known_form_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match="form that this portal does not know"):
        answers.shown("digits", answer)


def test_the_services_are_told_who_asks(ada: Person) -> None:
    cookie = ada.client.cookies[guard.COOKIE]
    user = ada.authority.users.get("ada")
    from serving.portal.sessions import Sessions

    claims = Tokens(KEY, ada.clock).decode(Sessions(ada.authority, IDLE).token(user, cookie), "access")
    assert (claims.user, claims.session) == ("ada", cookie.partition(".")[0])


# History


@pytest.fixture(params=["sqlite", "postgresql"])
def stored_history(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[History, Authority]:
    url = f"sqlite:///{tmp_path}/users.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres"))
    authority = Authority(url, KEY, clock := Clock())
    for name in ("ada", "bob"):
        authority.users.add(name, RIGHT)
    return History(url, clock), authority


def test_entries_are_stored_found_and_deleted_of_one_user_alone(stored_history: tuple[History, Authority]) -> None:
    table, authority = stored_history
    ada, bob = (authority.users.get(name).id for name in ("ada", "bob"))
    first = table.add(ada, "signatures", FACTS, SHOWN, 12.5)
    table.add(ada, "digits", FACTS, SHOWN, 1)
    other = table.add(bob, "digits", FACTS._replace(title="100%_done"), SHOWN, 1)
    found = table.find(ada, first)
    assert found is not None and (found.image, found.shown, found.product) == (FACTS, SHOWN, "signatures")
    assert table.find(ada, other) is None
    assert [entry.product for entry in table.page(ada, Filter())] == ["digits", "signatures"]
    assert [table.count(ada, which) for which in (Filter(), Filter(title="CONTRACT"), Filter(product="digits"), Filter("x"))] == [
        2,
        2,
        1,
        0,
    ]
    assert [table.count(bob, Filter(title)) for title in ("%", "_", "%_", "0_d")] == [1, 1, 1, 0]
    with databases.reading(table.engine) as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(history.IMAGES)).scalar() == 2  # of ada one, though asked twice
    assert table.delete_all(ada) == 2
    assert (table.count(ada, Filter()), table.count(bob, Filter())) == (0, 1)


def test_the_history_goes_with_its_user(stored_history: tuple[History, Authority]) -> None:
    table, authority = stored_history
    authority.users.add("root", RIGHT, administrator=True)
    table.add(bob := authority.users.get("bob").id, "digits", FACTS, SHOWN, 1)
    authority.users.remove("bob")
    assert table.count(bob, Filter()) == 0
    with databases.reading(table.engine) as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(history.IMAGES)).scalar() == 0


def test_more_than_a_page_is_read_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(f"sqlite:///{tmp_path}/users.db", KEY)
    user = authority.users.add("ada", RIGHT).id
    table = History(f"sqlite:///{tmp_path}/users.db")
    made = [table.add(user, "digits", FACTS, SHOWN, 1) for _ in range(7)]
    monkeypatch.setattr(history, "AT_ONCE", 3)
    monkeypatch.setattr(history, "PAGE", 3)
    assert [entry.id for entry in table.all(user, Filter())] == made[::-1]
    assert [entry.id for entry in table.page(user, Filter(), 2)] == made[3:0:-1]


def test_what_is_deleted_is_not_in_the_file_any_more(ada: Person, tmp_path: Path) -> None:
    ada.ask(encoded(seven()), "a very secret title")
    assert b"a very secret title" in content(tmp_path)
    assert ada.post("/history/delete", sure="on").headers["location"] == "/history?deleted=1"
    assert ids(ada) == []
    assert b"a very secret title" not in content(tmp_path)
    assert ada.signed_in()


def content(folder: Path) -> bytes:
    """The database's file and SQLite's log of it."""
    return b"".join(path.read_bytes() for path in folder.glob("users.db*"))


def test_another_users_answers_are_not_there(ada: Person) -> None:
    ada.ask(encoded(seven()), "of ada")
    (number,) = ids(ada)
    ada.sign_in("bob@example.org")
    assert ids(ada) == []
    assert ada.get(f"/history/{number}").status_code == 404
    assert "of ada" not in ada.get("/history.csv").text + ada.get("/history.json").text
    ada.post("/history/delete", sure="on")
    ada.sign_in("ada@example.org")
    assert ids(ada) == [number]


@pytest.mark.parametrize("word", ["0", "-1", "1.5", "x", "9" * 40, "\u0661"])
def test_an_id_that_is_none_is_404(ada: Person, word: str) -> None:
    assert ada.get(f"/history/{word}").status_code == 404


def test_titles_are_text_wherever_they_are_shown(ada: Person) -> None:
    answer = ada.ask(encoded(seven()), EVIL).text
    (number,) = ids(ada)
    for page in (answer, ada.get("/history").text, ada.get(f"/history/{number}").text, ada.get("/history", params={"title": EVIL}).text):
        assert "<img src=x" not in page
        assert "&lt;img src=x" in page
    response = ada.post("/sign-in", email=EVIL, password=WRONG, next=EVIL)
    assert "<img src=x" not in response.text


def test_the_list_is_searched_by_title_and_product(ada: Person) -> None:
    for title in ("Lease 1.png", "lease 2.png", "Contract.png"):
        ada.ask(encoded(seven()), title)
    assert len(re.findall(r"/history/\d+", ada.get("/history?title=LEASE").text)) == 2
    assert "Nothing is found" in ada.get("/history?product=signatures").text
    assert ada.get("/history?page=x").status_code == 422
    assert ada.get("/history?page=9").status_code == 200


@pytest.mark.parametrize("title", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_no_spreadsheet_computes_a_title(ada: Person, title: str) -> None:
    ada.ask(encoded(seven()), title)
    response = ada.get("/history.csv")
    assert response.headers["content-disposition"] == 'attachment; filename="history.csv"'
    (row,) = csv.DictReader(io.StringIO(response.text))
    assert row["title"] == f"'{title}"
    assert (row["width"], row["height"], row["is_color"], row["product"]) == ("60", "80", "False", "digits")


def test_the_history_as_json_has_what_was_shown(ada: Person) -> None:
    assert ada.get("/history.json").json() == []
    for title in ("one.png", 'two, "three".png'):
        ada.ask(encoded(seven()), title)
    rows = ada.get("/history.json").json()
    assert [row["title"] for row in rows] == ['two, "three".png', "one.png"]
    assert list(rows[0]) == [*records.COLUMNS, "shown"]
    assert rows[0]["shown"]["headline"] == rows[0]["result"]
    assert [row["title"] for row in csv.DictReader(io.StringIO(ada.get("/history.csv").text))] == [row["title"] for row in rows]


# Roles, and databases from before them


def test_an_administrator_of_an_older_database_stays_one(tmp_path: Path) -> None:
    old = tmp_path / "users"
    old.mkdir()
    (old / "0001_users.py").write_text((MIGRATIONS / "0001_users.py").read_text())
    engine = databases.migrated(f"sqlite:///{tmp_path}/users.db", old)
    with databases.writing(engine) as connection:
        for number, name in enumerate(("ada", "bob")):
            row = {"name": name, "password_hash": "x", "administrator": not number, "disabled": False, "created": 1.0}
            connection.execute(sa.table("users", *map(sa.column, row)).insert().values(**row))
    engine.dispose()
    table = Authority(f"sqlite:///{tmp_path}/users.db", KEY).users
    assert [(user.name, user.role, user.administrator, user.email) for user in table.all()] == [
        ("ada", "administrator", True, None),
        ("bob", "operator", False, None),
    ]


def test_a_role_is_one_of_three_and_the_last_administrator_keeps_it(ada: Person) -> None:
    table = ada.authority.users
    table.set_role("ada", "data scientist")
    assert not ada.signed_in()
    assert table.get("ada").role == "data scientist"
    table.set_role("ada", "administrator")
    with pytest.raises(InvalidUser, match="last administrator"):
        table.set_role("ada", "operator")
    with pytest.raises(InvalidUser, match="operator, data scientist, administrator"):
        table.set_role("bob", "king")


# Settings


def test_the_products_are_where_the_setting_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(settings.SERVICES, raising=False)
    assert settings.services() == {name: f"http://127.0.0.1:{3001 + at}" for at, name in enumerate(sorted(PRODUCTS))}
    monkeypatch.setenv(settings.SERVICES, "digits=http://127.0.0.1:3001/, ocr=https://ocr.example.org/ocr")
    assert settings.services() == {"digits": "http://127.0.0.1:3001", "ocr": "https://ocr.example.org/ocr"}


@pytest.mark.parametrize(
    "word",
    ["faces=http://a", "digits", "digits=", "digits=ftp://a", "digits=file:///etc/passwd", "digits=http://u:p@a", "digits=http://a:x"],
)
def test_another_address_than_that_of_a_service_is_refused(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv(settings.SERVICES, word)
    with pytest.raises(BadSetting, match=r"digits=http://127\.0\.0\.1:3001"):
        settings.services()


@pytest.mark.parametrize("word", ["0", "-1", "soon", "nan", "inf", "1441"])
def test_an_idle_time_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv(settings.MINUTES, word)
    with pytest.raises(BadSetting, match="minutes above 0"):
        settings.idle_seconds()


def test_below_a_path_of_a_proxy_every_address_has_it(portal: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOT_PATH", "/models")
    with TestClient(application(portal.authority, {"digits": "http://127.0.0.1:1"}, IDLE), base_url="http://localhost") as client:
        person = Person(client, portal.authority, portal.clock)
        assert person.get("/models/history").headers["location"] == "/models/sign-in?next=%2Fhistory"
        assert person.post("/models/sign-in", email="ada", password=RIGHT, next="/history").headers["location"] == "/models/history"
        page = person.get("/models/history").text
        assert all(link.startswith("/models/") for link in re.findall(r'(?:href|src|action)="([^"]+)"', page) if link != "#main")
        assert person.get("/models/static/portal.css").status_code == 200
