"""The portal's accounts in this process: approval, letters with links, keys for programs, the audit, and limits of requests."""

import re
import smtplib
from collections.abc import Callable, Iterator
from email.message import EmailMessage, Message
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as Handler
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from pipelines import databases
from pipelines.errors import BadSetting
from serving.auth import accounts as commands
from serving.auth import attempts, audit, guard, keys, rates
from serving.auth.authority import Authority, Held, WrongPassword
from serving.auth.keys import BadKey, InvalidKey, Keys, OutOfScope
from serving.portal import settings
from serving.portal.application import application
from serving.portal.guard import COOKIE
from serving.portal.letters import SECONDS, BadLink, Letters
from serving.portal.mail import Mail
from tests.people import KEY, RIGHT, WRONG, Clock, hash_quickly
from tests.portals import IDLE, PAGE, Person
from tests.services import free_port
from tests.test_portal import alert

OTHER, SHORT, SECRET = "another horse battery", "short", "secret"
ADDRESSES = {"digits": "http://127.0.0.1:1", "ocr": "http://127.0.0.1:1"}
LINK = re.compile(r"https://portal\.example\.org/models(/\w+\?token=\S+)")


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        hash_quickly(patch)
        yield


class Sink(Handler):
    """What was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.letters: list[Message] = []

    def handle_message(self, message: Message) -> None:
        self.letters.append(message)

    def take(self) -> list[tuple[str, str]]:
        """[(to whom, path of the link)], and begin anew."""
        taken, self.letters = self.letters, []
        return [(str(letter["To"]), LINK.search(letter.get_payload(decode=True).decode()).group(1)) for letter in taken]  # type: ignore[union-attr]


@pytest.fixture
def smtp() -> Iterator[tuple[Sink, Mail]]:
    """A mail server on the loopback address, without TLS, and how it is reached."""
    controller = Controller(sink := Sink(), "127.0.0.1", free_port())
    controller.start()
    yield sink, Mail("127.0.0.1", controller.port, False, "", "", "atelier@example.org", "https://portal.example.org/models")
    controller.stop()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """ada, bob and root have accounts; root is an administrator."""
    made = Authority(f"sqlite:///{tmp_path}/users.db", KEY, Clock())
    for name in ("ada", "bob"):
        made.users.add(name, RIGHT, email=f"{name}@example.org")
    made.users.add("root", RIGHT, administrator=True)
    return made


@pytest.fixture
def browser(authority: Authority) -> Iterator[Callable[..., Person]]:
    """A browser at a portal of these options."""
    clients: list[TestClient] = []

    def opened(**options: Any) -> Person:
        client = TestClient(application(authority, ADDRESSES, IDLE, **options), base_url="http://localhost")
        clients.append(client.__enter__())
        return Person(client, authority, authority.users.clock)  # type: ignore[arg-type]

    yield opened
    for client in clients:
        client.__exit__(None, None, None)


def said(authority: Authority, what: str = "") -> list[tuple[str, ...]]:
    """The audit, oldest first, without numbers and times."""
    return [entry[2:] for entry in reversed(authority.audit.page()) if not what or entry.what == what]


# Approval


def test_a_new_account_waits_for_an_administrator_where_that_is_asked_for(browser: Callable[..., Person], authority: Authority) -> None:
    person = browser(sign_up=settings.APPROVAL)
    response = person.post("/sign-up", name="grace", email="grace@navy.mil", password=RIGHT)
    assert "administrator approves" in person.get(response.headers["location"]).text
    assert (person.sign_in("grace").status_code, alert(person.sign_in("grace"))) == (
        403,
        "This account waits for an administrator to approve it.",
    )
    assert person.sign_in("grace", WRONG).status_code == 400  # who has not the password is not told
    assert COOKIE not in person.client.cookies
    with pytest.raises(Held, match="administrator"):
        authority.sign_in("grace", RIGHT, "192.0.2.1")  # nor does a service let it in
    authority.users.approve("grace")
    assert person.sign_in("grace").status_code == 303


def test_the_command_that_enables_a_user_approves_a_new_one(authority: Authority) -> None:
    authority.users.add("grace", RIGHT, confirmed=False, approved=False)
    assert not authority.users.get("grace").active
    authority.users.enable("grace")
    assert authority.sign_in("grace", RIGHT, "192.0.2.1").user == "grace"


def test_who_waits_is_no_administrator_to_rely_on(authority: Authority) -> None:
    authority.users.add("grace", RIGHT, administrator=True, approved=False)
    with pytest.raises(ValueError, match="last administrator"):
        authority.users.disable("root")


# Letters


def test_an_account_waits_until_its_address_is_confirmed(browser: Callable[..., Person], smtp: tuple[Sink, Mail]) -> None:
    sink, mail = smtp
    person = browser(mail=mail)
    response = person.post("/sign-up", name="grace", email="grace@navy.mil", password=RIGHT)
    assert "open the link that was sent" in person.get(response.headers["location"]).text
    ((to, link),) = sink.take()
    assert to == "grace@navy.mil"
    assert person.sign_in("grace").status_code == 403
    ((_, again),) = sink.take()  # the link is sent again
    assert "grace@navy.mil" in person.get(link).text
    assert person.sign_in("grace").status_code == 403  # looking at the link confirms nothing: programs do
    token = link.partition("token=")[2]
    assert person.post("/confirm", token=token).headers["location"] == "/sign-in?confirmed=1"
    assert person.sign_in("grace").status_code == 303
    for used in (link, again):
        assert person.get(used).status_code == 400
    assert ("grace", "address confirmed", "", "testclient", "") in said(person.authority)


def test_a_forgotten_password_is_chosen_anew_once(browser: Callable[..., Person], smtp: tuple[Sink, Mail]) -> None:
    sink, mail = smtp
    person = browser(mail=mail)
    assert 'href="/forgot"' in person.get("/sign-in").text
    person.sign_in()
    cookie = person.client.cookies[COOKIE]
    for address in ("ADA@example.org", "ada@example.org"):
        person.post("/forgot", email=address)
    (_, first), (_, link) = sink.take()
    token = link.partition("token=")[2]
    assert 'value="ada@example.org"' in person.get(link).text
    assert "12 to 256 characters" in alert(person.post("/reset", token=token, password=SHORT))
    assert person.post("/reset", token=token, password=OTHER).headers["location"] == "/sign-in?reset=1"
    person.client.cookies.set(COOKIE, cookie)
    assert not person.signed_in()  # whoever was signed in is out
    assert person.sign_in(password=RIGHT).status_code == 400
    assert person.sign_in(password=OTHER).status_code == 303
    for used in (first, link):
        assert person.post("/reset", token=used.partition("token=")[2], password=RIGHT).status_code == 400
    assert ("ada", "password reset", "", "testclient", "") in said(person.authority)


def test_asking_for_a_link_tells_nothing_about_accounts(
    browser: Callable[..., Person], authority: Authority, smtp: tuple[Sink, Mail]
) -> None:
    sink, mail = smtp
    person = browser(mail=mail)
    authority.users.disable("bob")
    answers = [person.post("/forgot", email=email) for email in ("ada@example.org", "eve@example.org", "bob@example.org", "a\0b", "root")]
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, answers[0].text)}
    assert [to for to, _ in sink.take()] == ["ada@example.org"]


def test_links_are_asked_for_a_few_times_only(browser: Callable[..., Person], authority: Authority, smtp: tuple[Sink, Mail]) -> None:
    sink, mail = smtp
    person = browser(mail=mail)
    statuses = [person.post("/forgot", email="ada@example.org").status_code for _ in range(attempts.SIGN_UP_MOST + 1)]
    assert statuses == [200] * attempts.SIGN_UP_MOST + [429]
    assert len(sink.take()) == attempts.LETTER_MOST  # nobody's letter-box is filled
    assert person.sign_in().status_code == 303  # these are no wrong passwords


def test_a_portal_without_a_mail_server_sends_nobody_a_link(browser: Callable[..., Person]) -> None:
    person = browser()
    assert "/forgot" not in person.get("/sign-in").text
    for path in ("/forgot", "/reset?token=a", "/confirm?token=a"):
        assert person.get(path).status_code == 404
    assert person.post("/sign-up", name="grace", email="grace@navy.mil", password=RIGHT).status_code == 303
    assert person.sign_in("grace").status_code == 303


def test_the_host_of_a_request_is_in_no_link(browser: Callable[..., Person], smtp: tuple[Sink, Mail]) -> None:
    sink, mail = smtp
    person = browser(mail=mail)
    person.client.post("/forgot", data={"email": "ada@example.org"}, headers={**PAGE, "Host": "127.0.0.1", "X-Forwarded-Host": "evil"})
    assert len(sink.take()) <= 1  # and take() takes links to the portal alone


def test_a_mail_server_that_is_away_costs_the_letter_alone(browser: Callable[..., Person]) -> None:
    person = browser(mail=Mail("127.0.0.1", 1, False, "", "", "atelier@example.org", "https://portal.example.org"))
    assert person.post("/forgot", email="ada@example.org").status_code == 200
    assert person.post("/sign-up", name="grace", email="grace@navy.mil", password=RIGHT).status_code == 303


def test_a_password_of_the_mail_server_is_sent_by_tls_alone(smtp: tuple[Sink, Mail]) -> None:
    sink, mail = smtp
    with pytest.raises(smtplib.SMTPException, match="STARTTLS"):
        mail._replace(user="atelier", password=SECRET)._connected()
    assert not mail._replace(user="atelier", password=SECRET).send("ada@example.org", "a", "b")
    assert not mail.send("ada@example.org\nBcc: eve@example.org", "a", "b")
    assert sink.letters == []


def test_a_token_is_for_one_kind_one_state_and_a_time(authority: Authority, smtp: tuple[Sink, Mail]) -> None:
    letters, ada = Letters(authority, smtp[1]), authority.users.get("ada")
    token, clock = letters.token("reset", ada), authority.users.clock
    assert letters.user("reset", token) == ada
    for kind, wrong in (("confirm", token), ("reset", token[:-2] + "xx"), ("reset", ""), ("reset", "\udc80"), ("reset", "a" * 10_000)):
        with pytest.raises(BadLink):
            letters.user(kind, wrong)  # type: ignore[arg-type]
    with pytest.raises(BadLink):
        Letters(Authority(str(authority.engine.url), "x" * 64, clock), smtp[1]).user("reset", token)  # of another key
    clock.now += SECONDS["reset"] + 1  # type: ignore[attr-defined]
    with pytest.raises(BadLink):
        letters.user("reset", token)
    clock.now -= 2 * SECONDS["reset"]  # type: ignore[attr-defined]
    with pytest.raises(BadLink):
        letters.user("reset", token)  # of the future: the clock was set back
    authority.users.disable("ada")
    with pytest.raises(BadLink):
        letters.user("reset", letters.token("reset", authority.users.get("ada")))


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"SMTP_URL": "smtp://127.0.0.1"}, "SMTP_SENDER"),
        ({"SMTP_URL": "smtp://127.0.0.1", "SMTP_SENDER": "a@b.org"}, "PORTAL_ADDRESS"),
        ({"SMTP_URL": "http://secret@a", "SMTP_SENDER": "a@b.org", "PORTAL_ADDRESS": "https://a"}, "not shown"),
        ({"SMTP_URL": "smtp://:25", "SMTP_SENDER": "a@b.org", "PORTAL_ADDRESS": "https://a"}, "not shown"),
    ],
)
def test_half_a_mail_server_is_refused(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadSetting, match=words) as refused:
        settings.mail()
    assert "secret" not in str(refused.value)


def test_a_mail_server_is_where_its_address_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.mail() is None
    monkeypatch.setenv("SMTP_URL", "smtps://ada:p%40ss@mail.example.org")
    monkeypatch.setenv("SMTP_SENDER", "atelier@example.org")
    monkeypatch.setenv("PORTAL_ADDRESS", "https://portal.example.org/models/")
    expected = Mail("mail.example.org", 465, True, "ada", "p@ss", "atelier@example.org", "https://portal.example.org/models")
    assert settings.mail() == expected
    message: EmailMessage = expected._message("ada@example.org", "Hello", "text")
    assert message["Message-ID"].endswith("@example.org>")


# Keys


def test_a_key_is_shown_once_and_stored_as_a_hash(browser: Callable[..., Person], authority: Authority, tmp_path: Path) -> None:
    ada = browser()
    ada.sign_in()
    page = ada.post("/keys", **{"name": "<b>scan</b>", "for-ocr": "on", "days": "90"}).text
    text = re.search(r"atelier_\w{12}_[\w-]{43}", page)
    assert text and "&lt;b&gt;scan" in page and "<b>scan" not in page
    assert text[0] not in ada.get("/keys").text
    assert text[0][len("atelier_") + 13 :].encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("users.db*"))
    assert authority.keys.check(text[0], "ocr").user == "ada"
    with pytest.raises(OutOfScope, match="for ocr, not for digits"):
        authority.keys.check(text[0], "digits")


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "", "for-ocr": "on", "days": "90"},
        {"name": "a\nb", "for-ocr": "on", "days": "90"},
        {"name": "scan", "days": "90"},
        {"name": "scan", "for-faces": "on", "days": "90"},
        {"name": "scan", "for-ocr": "on", "days": "100000"},
        {"name": "scan", "for-ocr": "on", "days": "-1"},
        {"name": "scan", "for-ocr": "on"},
    ],
)
def test_a_key_without_a_name_a_product_or_an_end_is_refused(browser: Callable[..., Person], fields: dict[str, str]) -> None:
    ada = browser()
    ada.sign_in()
    response = ada.post("/keys", **fields)
    assert response.status_code == 400 and alert(response)
    assert ada.authority.keys.all() == []


def test_nobody_revokes_anothers_key(browser: Callable[..., Person], authority: Authority) -> None:
    of_bob, text = authority.keys.add(authority.users.get("bob"), "scan", ["ocr"], 30)
    ada = browser()
    ada.sign_in()
    assert ada.post(f"/keys/{of_bob.id}/revoke").status_code == 404
    assert of_bob.id not in ada.get("/keys").text
    authority.keys.check(text, "ocr")
    ada.sign_in("bob")
    assert ada.post(f"/keys/{of_bob.id}/revoke").headers["location"] == "/keys?revoked=1"
    with pytest.raises(InvalidKey):
        authority.keys.check(text, "ocr")
    assert ada.post(f"/keys/{of_bob.id}/revoke").status_code == 404
    assert [entry[1] for entry in said(authority) if entry[0] == "bob"] == ["signed in", "key revoked"]


@pytest.fixture(params=["sqlite", "postgresql"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Authority:
    url = f"sqlite:///{tmp_path}/stored.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres"))
    made = Authority(url, KEY, Clock())
    made.users.add("ada", RIGHT)
    made.users.add("root", RIGHT, administrator=True)
    return made


def test_a_key_ends_with_its_time_its_user_or_by_being_revoked(stored: Authority) -> None:
    ada, clock = stored.users.get("ada"), stored.users.clock
    key, text = stored.keys.add(ada, "scan", ["ocr", "digits"], 30)
    assert key.products == ("ocr", "digits") and stored.keys.of(ada.id)[0].used is None
    stored.keys.check(text, "digits")
    assert stored.keys.of(ada.id)[0].used == clock()
    for wrong in (
        text[:-1],
        text + "a",
        f"atelier_{key.id}_",
        "atelier_",
        "atelier__",
        f"atelier_' OR 1=1_{text[21:]}",
        "atelier_\udc80_a",
    ):
        with pytest.raises(InvalidKey):
            stored.keys.check(wrong, "digits")
    stored.users.disable("ada")
    with pytest.raises(InvalidKey):
        stored.keys.check(text, "digits")
    stored.users.enable("ada")
    clock.now += 30 * keys.DAY  # type: ignore[attr-defined]
    with pytest.raises(InvalidKey):
        stored.keys.check(text, "digits")
    stored.users.remove("ada")
    assert stored.keys.all() == []


def test_a_user_has_a_number_of_keys(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "MOST", 2)
    ada = authority.users.get("ada")
    made = [authority.keys.add(ada, "scan", ["ocr"], 30)[0] for _ in range(2)]
    with pytest.raises(BadKey, match="2 valid keys"):
        authority.keys.add(ada, "scan", ["ocr"], 30)
    authority.keys.revoke(made[0].id)
    authority.keys.add(ada, "scan", ["ocr"], 30)


def test_a_product_answers_to_a_key_that_is_for_it(authority: Authority) -> None:
    def who(request: Any) -> PlainTextResponse:
        return PlainTextResponse(f"{request.state.user} {request.state.key}")

    app = guard.Guard(Starlette(routes=[Route("/predict", who)]), authority, "ocr")
    key, text = authority.keys.add(authority.users.get("ada"), "scan", ["ocr"], 30)
    other = authority.keys.add(authority.users.get("ada"), "scan", ["digits"], 30)[1]
    client = TestClient(app)

    def asked(word: str) -> Any:
        return client.get("/predict", headers={"Authorization": f"Bearer {word}"})

    assert asked(text).text == f"ada {key.id}"
    assert (asked(other).status_code, asked(other).json()["reason"]) == (403, "key scope")
    assert (asked("atelier_no_key").status_code, asked("atelier_no_key").json()["reason"]) == (401, "invalid token")
    assert client.get("/predict", cookies={"atelier_access": text}).status_code == 401  # a browser sends no key
    authority.keys.revoke(key.id)
    assert asked(text).status_code == 401


# Audit


def test_the_audit_says_who_did_what_from_where(browser: Callable[..., Person], authority: Authority) -> None:
    person = browser()
    person.post("/sign-up", name="grace", email="grace@navy.mil", password=RIGHT)
    person.sign_in("grace", WRONG)
    person.sign_in("a password in the wrong field", WRONG)
    person.sign_in("grace")
    person.get("/history.csv")
    person.get("/history.json")
    person.post("/history/delete", sure="on")
    person.post("/keys", **{"name": "scan", "for-ocr": "on", "days": "30"})
    (key,) = authority.keys.all()
    person.post(f"/keys/{key.id}/revoke")
    at = "testclient"
    assert said(authority) == [
        ("grace", "signed up", "", at, ""),
        ("", "sign-in failed", "grace", at, "wrong password"),
        ("", "sign-in failed", "", at, "unknown account"),
        ("grace", "signed in", "", at, ""),
        ("grace", "history exported", "", at, "csv"),
        ("grace", "history exported", "", at, "json"),
        ("grace", "history deleted", "", at, "0 answers"),
        ("grace", "key made", "scan", at, f"{key.id} for ocr, 30 days"),
        ("grace", "key revoked", "scan", at, key.id),
    ]


def test_a_closed_account_and_a_disabled_one_are_in_the_audit(authority: Authority) -> None:
    for _ in range(attempts.NAME_MOST):
        with pytest.raises((WrongPassword, attempts.Locked)):
            authority.authenticate("ada", WRONG, "192.0.2.1")
    assert said(authority)[-1] == ("", "sign-in failed", "ada", "192.0.2.1", "wrong password, closed for a while")
    authority.users.disable("bob")
    with pytest.raises(WrongPassword):
        authority.authenticate("bob", RIGHT, "192.0.2.1")
    assert said(authority)[-1][-1] == "disabled"


def test_the_commands_of_an_administrator_are_in_the_audit(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERS_URL", authority.engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("LOGNAME", "root")
    monkeypatch.setattr(commands, "read_password", lambda: RIGHT)
    for command in commands.DONE:
        commands.run(command, "EVE", role="data scientist")
    assert [entry[:4] for entry in said(authority)] == [("root", what, "eve", "terminal") for what in commands.DONE.values()]
    assert said(authority, "role changed")[0][-1] == "data scientist"


def test_the_audit_is_searched_and_as_long_as_it_may_be(stored: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST", 3)
    for number in range(5):
        stored.audit.note(f"ada{number}", "x" * 99, "100%\0", "a" * 99, "")
    assert [entry.actor for entry in stored.audit.page()] == ["ada4", "ada3", "ada2"]
    assert [stored.audit.count(word) for word in ("", "ADA3", "0%", "_", "nobody")] == [3, 1, 3, 0, 0]
    assert stored.audit.page(number=2) == []
    assert stored.audit.page("ada3")[0].target == "100%"


# Limits of requests


def test_who_sends_too_much_is_told_when_to_come_back(browser: Callable[..., Person], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE_LIMITS", "user=3/hour")
    ada = browser(limits=rates.allowed())
    ada.sign_in()
    first = ada.get("/about")
    assert re.fullmatch(r'"user";r=2;t=\d+', first.headers["ratelimit"])
    assert first.headers["ratelimit-policy"] == '"user";q=3;w=3600'
    for _ in range(2):
        assert ada.get("/about").status_code == 200
    refused = ada.get("/about")
    assert refused.status_code == 429 and "<h1>Too many requests</h1>" in refused.text
    assert 0 < int(refused.headers["retry-after"]) <= 3600
    assert refused.headers["ratelimit"].startswith('"user";r=0;')
    assert ada.client.post("/session").json()["reason"] == "rate limit"
    assert ada.get("/static/portal.css").status_code == 200
    ada.client.cookies.clear()
    ada.sign_in("bob")
    assert ada.get("/about").status_code == 200  # another user


def test_an_address_is_counted_before_anybody_signs_in(browser: Callable[..., Person], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE_LIMITS", "address=2/hour")
    person = browser(limits=rates.allowed())
    assert [person.get("/").status_code for _ in range(3)] == [200, 200, 429]
    assert person.sign_in().status_code == 429


def test_a_key_is_counted_at_a_product(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE_LIMITS", "key=1/minute, user=5/minute")
    inner = rates.rated(Starlette(routes=[Route("/predict", lambda _: PlainTextResponse("a"))]), rates.allowed(), rates.INSIDE)
    client = TestClient(guard.Guard(inner, authority, "ocr"))
    texts = [authority.keys.add(authority.users.get("ada"), "scan", ["ocr"], 30)[1] for _ in range(2)]
    statuses = [client.get("/predict", headers={"Authorization": f"Bearer {text}"}).status_code for text in (*texts, texts[0])]
    assert statuses == [200, 200, 429]
    token = authority.sign_in("ada", RIGHT, "192.0.2.1").access
    response = client.get("/predict", headers={"Authorization": f"Bearer {token}"})
    assert re.fullmatch(r'"user";r=1;t=\d+', response.headers["ratelimit"])  # the user's keys count for the user too


def test_products_count_nothing_and_the_portal_much_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rates.allowed() == {}
    app = Starlette()
    assert rates.rated(app, rates.allowed(), rates.KINDS) is app
    assert {kind: (item.amount, item.get_expiry()) for kind, item in rates.allowed(rates.PORTAL).items()} == {
        "user": (600, 60),
        "address": (6000, 60),
    }
    monkeypatch.setenv("RATE_LIMITS", "off")
    assert rates.allowed(rates.PORTAL) == {}


@pytest.mark.parametrize("word", ["user", "user=", "user=many", "user=5/moment", "robot=5/minute", "user=5/minute,", "5/minute"])
def test_a_limit_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("RATE_LIMITS", word)
    with pytest.raises(BadSetting, match="user=600/minute"):
        rates.allowed()


# The database of before


def test_accounts_of_an_older_database_are_confirmed_and_approved(tmp_path: Path) -> None:
    from serving.auth.authority import MIGRATIONS

    (old := tmp_path / "users").mkdir()
    for name in ("0001_users.py", "0002_email_and_role.py"):
        (old / name).write_text((MIGRATIONS / name).read_text())
    engine = databases.migrated(f"sqlite:///{tmp_path}/users.db", old)
    row = {"name": "ada", "password_hash": "x", "disabled": False, "created": 1.0}
    with databases.writing(engine) as connection:
        connection.execute(sa.table("users", *map(sa.column, row)).insert().values(**row))
    engine.dispose()
    (ada,) = Authority(f"sqlite:///{tmp_path}/users.db", KEY).users.all()
    assert ada.active and ada.confirmed is True and ada.approved is True
    assert Keys(Authority(f"sqlite:///{tmp_path}/users.db", KEY).engine).all() == []
