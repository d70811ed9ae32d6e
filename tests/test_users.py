"""Users, their sessions and wrong passwords, in SQLite and in a real PostgreSQL; the administrator's commands."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import argon2
import pytest
import sqlalchemy as sa

from pipelines import databases
from serving.auth import attempts, passwords, tokens, users
from serving.auth.attempts import Locked
from serving.auth.authority import MIGRATIONS, Authority, Granted, WrongPassword
from serving.auth.tokens import InvalidToken
from tests.conftest import ROOT
from tests.people import KEY, RIGHT, WRONG, Clock, hash_quickly

HERE = "192.0.2.1"
TABLES = (users.USERS, users.SESSIONS, attempts.FAILURES)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hash_quickly(monkeypatch)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/users.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authority(url: str, clock: Clock) -> Authority:
    """With one user: ada, the administrator."""
    made = Authority(url, KEY, clock)
    made.users.add("ada", RIGHT, administrator=True)
    return made


def locked(authority: Authority, name: str = "ada", password: str = RIGHT, address: str = HERE) -> float:
    """The seconds until the next attempt, of one that is refused for too many before."""
    with pytest.raises(Locked) as caught:
        authority.sign_in(name, password, address)
    return caught.value.seconds


def wrong(authority: Authority, name: str = "ada", address: str = HERE, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(WrongPassword):
            authority.sign_in(name, WRONG, address)


def signed_in(authority: Authority) -> tuple[str, str]:
    granted = authority.sign_in("ada", RIGHT, HERE)
    assert granted.refresh
    return granted.access, granted.refresh


def renewed(authority: Authority, refresh: str) -> tuple[str, str]:
    granted = authority.renew(refresh)
    assert granted.refresh
    return granted.access, granted.refresh


def test_the_right_password_gives_tokens_that_say_who_came(authority: Authority) -> None:
    access, refresh = signed_in(authority)
    assert authority.check(access).user == "ada"
    assert authority.tokens.decode(refresh, "refresh").session == authority.check(access).session


STRANGERS = {
    "another password": ("ada", WRONG),
    "a blank more": ("ada", RIGHT + " "),
    "capitals": ("ada", RIGHT.upper()),
    "an unknown name": ("bob", RIGHT),
    "no name": ("", RIGHT),
    "NUL in the name": ("a\0da", RIGHT),
    "half a character": ("\ud800", "\0\ud800"),
    "NUL in the password": ("ada", RIGHT + "\0"),
    "SQL": ("ada' OR '1'='1", RIGHT),
    "more SQL": ("ada; DROP TABLE users", RIGHT),
    "much": ("a" * 5000, "b" * 5000),
    "two lines": ("ada\nadmin", RIGHT),
    "a Cyrillic a": ("\u0430da", RIGHT),
}


@pytest.mark.parametrize(("name", "password"), STRANGERS.values(), ids=STRANGERS)
def test_anything_else_is_one_and_the_same_refusal(authority: Authority, name: str, password: str) -> None:
    with pytest.raises(WrongPassword):
        authority.sign_in(name, password, HERE)


@pytest.mark.parametrize("typed", ["ada", "Ada", "ADA", "\uff41da"])
def test_a_name_may_be_typed_in_capitals_or_wide_letters(authority: Authority, typed: str) -> None:
    assert authority.sign_in(typed, RIGHT, HERE).user == "ada"


def test_a_password_may_be_typed_with_either_form_of_an_accent(authority: Authority) -> None:
    authority.users.add("zoe", "cafe\u0301 au lait chaud")
    assert authority.sign_in("zoe", "caf\u00e9 au lait chaud", HERE).user == "zoe"


def test_an_unknown_name_costs_as_much_as_a_wrong_password(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(argon2.PasswordHasher):
        asked = 0

        def verify(self, *words: object) -> bool:
            Counting.asked += 1
            return super().verify(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(passwords, "HASHER", Counting(time_cost=1, memory_cost=64, parallelism=1))
    for name in ("ada", "nobody", "not a name"):
        wrong(authority, name)
    assert Counting.asked == 3


def test_the_hash_is_argon2id_of_64_mib_where_nothing_else_is_said() -> None:
    known = argon2.PasswordHasher()
    assert (known.type, known.memory_cost, known.time_cost) == (argon2.Type.ID, 65536, 3)


def test_a_hash_of_other_parameters_is_renewed_when_its_owner_comes(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "HASHER", argon2.PasswordHasher(time_cost=2, memory_cost=128, parallelism=1))
    signed_in(authority)
    user = authority.users.find("ada")
    assert user and "m=128,t=2" in user.password_hash
    signed_in(authority)


def test_nothing_that_opens_a_door_is_in_the_database(authority: Authority) -> None:
    access, refresh = signed_in(authority)
    with databases.reading(authority.engine) as connection:
        rows = [str(row) for table in TABLES for row in connection.execute(sa.select(table))]
    assert len(rows) >= 2
    for secret in (RIGHT, access, refresh, refresh.rpartition(".")[2], KEY):
        assert not [row for row in rows if secret in row]


@pytest.mark.parametrize("name", ["ada", "nobody", "not a name"])
def test_the_tenth_wrong_password_closes_the_door_and_the_lock_ends_by_itself(authority: Authority, clock: Clock, name: str) -> None:
    wrong(authority, name, times=9)
    with pytest.raises(Locked):
        authority.sign_in(name, WRONG, HERE)
    clock.now += 60
    assert locked(authority, name) == pytest.approx(attempts.PAUSE - 60)
    assert locked(authority, name, address="198.51.100.7") == pytest.approx(attempts.PAUSE - 60)
    clock.now += attempts.PAUSE - 60
    if name == "ada":
        signed_in(authority)
    wrong(authority, name, times=9)


def test_a_lock_is_one_users_alone(authority: Authority) -> None:
    authority.users.add("bob", RIGHT)
    wrong(authority, "bob", times=9)
    with pytest.raises(Locked):
        authority.sign_in("bob", WRONG, HERE)
    signed_in(authority)


def test_the_right_password_forgives_those_before(authority: Authority) -> None:
    for _ in range(3):
        wrong(authority, times=9)
        signed_in(authority)


def test_workers_count_together(authority: Authority, url: str, clock: Clock) -> None:
    others = [Authority(url, KEY, clock) for _ in range(3)]
    for other in others:
        wrong(other, times=3)
    with pytest.raises(Locked):
        authority.sign_in("ada", WRONG, HERE)
    assert locked(others[0]) == attempts.PAUSE


def test_many_wrong_passwords_at_once_are_no_more_than_ten(authority: Authority) -> None:
    def tried(_: int) -> str:
        try:
            authority.sign_in("ada", WRONG, HERE)
        except (WrongPassword, Locked) as refused:
            return type(refused).__name__
        return "in"

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(tried, range(40)))
    assert told.count("WrongPassword") == 9
    assert told.count("Locked") == 31


def test_an_address_that_tries_many_names_is_stopped(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "ADDRESS_MOST", 5)
    for number in range(4):
        wrong(authority, f"name{number}", "2001:db8::1")
    with pytest.raises(Locked):
        authority.sign_in("name5", WRONG, "2001:db8::2")
    assert locked(authority, address="2001:db8::3") == attempts.PAUSE
    signed_in(authority)


def test_right_passwords_do_not_count_against_an_address(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "ADDRESS_MOST", 3)
    for _ in range(6):
        signed_in(authority)


def test_failures_are_forgotten(authority: Authority, clock: Clock) -> None:
    wrong(authority, "a")
    clock.now += attempts.PAUSE
    wrong(authority, "b")
    with databases.reading(authority.engine) as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(attempts.FAILURES)).scalar() == 2


def test_a_refresh_token_gives_the_next_two(authority: Authority, clock: Clock) -> None:
    access, refresh = signed_in(authority)
    for _ in range(3):
        clock.now += tokens.SECONDS["refresh"] - 1
        with pytest.raises(InvalidToken, match="expired"):
            authority.check(access)
        access, refresh = renewed(authority, refresh)
        assert authority.check(access).user == "ada"


def test_a_refresh_token_expires(authority: Authority, clock: Clock) -> None:
    _, refresh = signed_in(authority)
    clock.now += tokens.SECONDS["refresh"]
    with pytest.raises(InvalidToken, match="expired"):
        authority.renew(refresh)


def test_a_refresh_token_used_twice_ends_the_session(authority: Authority) -> None:
    _, first = signed_in(authority)
    access, second = renewed(authority, first)
    with pytest.raises(InvalidToken, match="session is over"):
        authority.renew(first)
    with pytest.raises(InvalidToken, match="session is over"):
        authority.renew(second)
    with pytest.raises(InvalidToken, match="session is over"):
        authority.check(access)
    signed_in(authority)


def test_a_browser_may_use_one_twice_in_a_moment_and_not_later(authority: Authority, clock: Clock) -> None:
    _, first = signed_in(authority)
    _, second = renewed(authority, first)
    clock.now += 9
    again = authority.renew(first, True)
    assert again.refresh is None
    assert authority.check(again.access).user == "ada"
    clock.now += 2
    with pytest.raises(InvalidToken):
        authority.renew(first, True)
    with pytest.raises(InvalidToken):
        authority.renew(second, True)


def test_of_many_who_use_one_at_once_one_succeeds(authority: Authority) -> None:
    _, refresh = signed_in(authority)

    def tried(_: int) -> Granted | None:
        try:
            return authority.renew(refresh)
        except InvalidToken:
            return None

    with ThreadPoolExecutor(4) as pool:
        assert len([granted for granted in pool.map(tried, range(8)) if granted]) == 1


@pytest.mark.parametrize("change", ["disable", "password", "remove", "sign out"])
def test_what_changes_a_user_ends_the_sessions_in_every_worker(authority: Authority, url: str, clock: Clock, change: str) -> None:
    other = Authority(url, KEY, clock)
    authority.users.add("bob", RIGHT, administrator=True)
    access, refresh = signed_in(authority)
    match change:
        case "disable":
            authority.users.disable("ada")
        case "password":
            authority.users.set_password("ada", "another horse battery")
        case "remove":
            authority.users.remove("ada")
        case _:
            authority.sign_out(authority.check(access).session)
    for worker in (authority, other):
        assert worker.poll()
        with pytest.raises(InvalidToken, match="session is over"):
            worker.check(access)
        with pytest.raises(InvalidToken, match="session is over"):
            worker.renew(refresh)
    if change != "sign out":
        wrong(authority)
        with pytest.raises(WrongPassword):
            authority.sign_in("ada", RIGHT, HERE)


def test_a_user_of_the_same_name_does_not_inherit_a_session(authority: Authority) -> None:
    authority.users.add("bob", RIGHT, administrator=True)
    access, refresh = signed_in(authority)
    authority.users.remove("ada")
    authority.users.add("ada", RIGHT)
    authority.poll()
    with pytest.raises(InvalidToken):
        authority.check(access)
    with pytest.raises(InvalidToken):
        authority.renew(refresh)


def test_a_disabled_user_is_let_in_again(authority: Authority) -> None:
    authority.users.add("bob", RIGHT)
    authority.users.disable("bob")
    with pytest.raises(WrongPassword):
        authority.sign_in("bob", RIGHT, HERE)
    authority.users.enable("bob")
    assert authority.sign_in("bob", RIGHT, HERE).user == "bob"


def test_a_clock_that_is_set_back_locks_nobody_out_for_longer(authority: Authority, clock: Clock) -> None:
    wrong(authority, times=attempts.NAME_MOST - 1)
    locked(authority, password=WRONG)
    locked(authority)
    clock.now -= 3600
    assert authority.sign_in("ada", RIGHT, HERE).user == "ada"


def test_nobody_is_an_administrator_unasked(tmp_path: Path) -> None:
    table = users.Users(databases.migrated(f"sqlite:///{tmp_path}/users.db", MIGRATIONS))
    assert not table.add("ada", RIGHT).administrator
    assert table.add("eve", RIGHT, administrator=True).administrator


def test_the_last_administrator_stays(authority: Authority) -> None:
    authority.users.add("bob", RIGHT)
    for change in (authority.users.remove, authority.users.disable):
        with pytest.raises(users.InvalidUser, match="Add another first"):
            change("ada")
    authority.users.add("eve", RIGHT, administrator=True)
    authority.users.remove("ada")
    with pytest.raises(users.InvalidUser):
        authority.users.disable("eve")


def test_the_first_administrator_is_made_once_and_never_overwritten(url: str, clock: Clock) -> None:
    made = Authority(url, KEY, clock)
    assert made.users.bootstrap("Ada", RIGHT)
    assert not made.users.bootstrap("ada", "another horse battery")
    assert not made.users.bootstrap("eve", RIGHT)
    assert [(user.name, user.administrator) for user in made.users.all()] == [("ada", True)]
    signed_in(made)


def test_processes_that_start_at_once_make_one_administrator(url: str, clock: Clock) -> None:
    made = [Authority(url, KEY, clock) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda one: one.users.bootstrap("ada", RIGHT), made)) == 1


@pytest.mark.parametrize("password", ["", "eleven char", "x" * 257, "aaaaaaaaaaaaaaaa", "abababababab"])
def test_a_password_that_would_be_guessed_is_refused(authority: Authority, password: str) -> None:
    with pytest.raises(passwords.BadPassword, match="words are easy to remember") as caught:
        authority.users.add("bob", password)
    assert not password or password not in str(caught.value)
    with pytest.raises(passwords.BadPassword):
        authority.users.set_password("ada", password)
    with pytest.raises(passwords.BadPassword, match="the user's name"):
        authority.users.add("bob.the.builder", "Bob.The.Builder")
    signed_in(authority)


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "a\0", "a\n", "a/b", "a" * 65, "<b>", "\ud800", "a'b", "\u0301"])
def test_a_name_that_cannot_be_one_is_refused(authority: Authority, name: str) -> None:
    with pytest.raises(users.InvalidUser, match="1 to 64 letters"):
        authority.users.add(name, RIGHT)


@pytest.mark.parametrize("name", ["\u00e9", "bob@example.org", "\u674e", "a" * 64, "bob+1", "0"])
def test_other_names_are_kept(authority: Authority, name: str) -> None:
    assert authority.users.add(name, RIGHT).name == name
    assert authority.sign_in(name, RIGHT, HERE).user == name


def test_a_name_is_one_users_alone(authority: Authority) -> None:
    with pytest.raises(users.InvalidUser, match="make user-password name=ada"):
        authority.users.add("ADA", RIGHT)


def test_tables_are_those_of_the_migrations(authority: Authority) -> None:
    """What the code reads is what the migrations make."""
    found = sa.inspect(authority.engine)
    for table in TABLES:
        assert [column["name"] for column in found.get_columns(table.name)] == table.c.keys()


# The administrator's commands, as a person types them: real hashes, a process each.


def command(folder: Path, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    told = {"PATH": "/usr/bin", "PYTHONPATH": str(ROOT), "USERS_URL": f"sqlite:///{folder}/users.db"}
    asked = [sys.executable, "-m", "atelier", *words]
    return subprocess.run(asked, cwd=folder, env=told, input=typed, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_an_administrator_adds_lists_and_disables(tmp_path: Path) -> None:
    assert "no user yet" in command(tmp_path, "user-list").stdout
    assert (
        command(tmp_path, "user-add", "Ada", "--administrator", typed=RIGHT + "\n").stdout == "ada may sign in, and is an administrator.\n"
    )
    assert command(tmp_path, "user-add", "bob", typed=RIGHT + "\n").stdout == "bob may sign in.\n"
    assert command(tmp_path, "user-disable", "bob").returncode == 0
    rows = [line.split() for line in command(tmp_path, "user-list").stdout.splitlines()]
    assert [(row[0], row[3:]) for row in rows] == [("ada", ["administrator"]), ("bob", ["operator", "disabled"])]
    listed = json.loads(command(tmp_path, "user-list", "--json").stdout)
    found = [(each["name"], each["role"], each["administrator"], each["disabled"]) for each in listed]
    assert found == [("ada", "administrator", True, False), ("bob", "operator", False, True)]
    assert set(listed[0]) == {"name", "created", "email", "role", "administrator", "disabled", "confirmed", "approved"}
    refused = command(tmp_path, "user-password", "eve")
    assert (refused.returncode, refused.stderr) == (1, "InvalidUser: There is no user 'eve'. Known: ada, bob.\n")
    assert command(tmp_path, "user-add", "eve", typed="short\n").stderr.startswith("BadPassword: ")
    assert json.dumps(RIGHT) not in command(tmp_path, "user-list").stdout
