"""`make user-add name=ada` and the other commands of an administrator, on the users' database that USERS_URL names."""

import argparse
import getpass
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from pipelines import databases, errors
from serving.auth import authority, passwords, users
from serving.auth.users import Users


class NotTheSame(ValueError):
    """The two passwords differ."""


def opened() -> Users:
    """The table of users, made where it is not there. Raises BadUrl, NoDatabase or NewerDatabase."""
    return Users(databases.migrated(authority.url(), authority.MIGRATIONS))


def asked() -> str:
    """A password: typed twice and not shown, or where somebody pipes it in, one line of standard input. Raises NotTheSame."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass(f"Password (at least {passwords.SHORTEST} characters): ")
    if getpass.getpass("The same again: ") != password:
        raise NotTheSame("The two passwords differ. Nothing was changed.")
    return password


def add(known: Users, name: str, administrator: bool) -> str:
    """A new user."""
    users.checked(name)
    name = known.add(name, asked(), administrator)
    user = known.find(name)
    return f"{name} may sign in{', and is an administrator' if user and user.administrator else ''}."


def password(known: Users, name: str) -> str:
    """Another password."""
    known.known(name)
    known.password(name, asked())
    return f"{name} has another password; whoever was signed in by that name is signed out."


def disable(known: Users, name: str) -> str:
    """Nobody in by that name."""
    known.disable(name)
    return f"{name} may not sign in, and is signed out. `make user-enable name={name}` changes that."


def enable(known: Users, name: str) -> str:
    """Let in again."""
    known.enable(name)
    return f"{name} may sign in."


def remove(known: Users, name: str) -> str:
    """Forget."""
    known.remove(name)
    return f"{name} is removed, and signed out."


def listed(known: Users) -> str:
    """Who is there."""
    rows = [_row(user) for user in known.listed()]
    return "\n".join(rows) or "There is no user yet. Add one with `make user-add name=...`."


def _row(user: users.User) -> str:
    marks = [word for word, true in (("administrator", user.administrator), ("disabled", user.disabled)) if true]
    since = datetime.fromtimestamp(user.created, UTC).date()
    return " ".join([f"  {user.name:24}", f"since {since}", *marks])


COMMANDS: dict[str, Callable[..., str]] = {
    "add": add,
    "list": listed,
    "password": password,
    "disable": disable,
    "enable": enable,
    "remove": remove,
}


def main() -> None:
    """Add, list or change those who may sign in."""
    parser = argparse.ArgumentParser(prog="python -m serving.auth.accounts", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, work in COMMANDS.items():
        command = commands.add_parser(name, help=work.__doc__)
        if work is not listed:
            command.add_argument("--name", required=True)
        if work is add:
            command.add_argument("--administrator", action="store_true")
    words = vars(parser.parse_args())
    with errors.printed_once():
        print(COMMANDS[words.pop("command")](opened(), **words))


if __name__ == "__main__":
    main()
