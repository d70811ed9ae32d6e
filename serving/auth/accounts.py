"""`make user-add name=ada` and the other commands of an administrator, on the users' database that USERS_URL names."""

import getpass
import sys
from datetime import UTC, datetime
from json import dumps
from typing import Any

from pipelines import databases
from serving.auth import authority, passwords, users
from serving.auth.audit import Audit
from serving.auth.passwords import BadPassword
from serving.auth.users import User, Users

CHANGES = {  # {command: (help, method of Users, message)}
    "disable": ("Refuse sign-in.", Users.disable, "{name} may not sign in, and is signed out. `make user-enable name={name}` undoes that."),
    "enable": ("Allow sign-in again.", Users.enable, "{name} may sign in."),
    "remove": ("Delete the user.", Users.remove, "{name} is removed, and signed out."),
}

DONE = {
    "add": "user added",
    "role": "role changed",
    "password": "password changed",
    "disable": "user disabled",
    "enable": "user enabled",
    "remove": "user removed",
}  # {command: what the audit says}


def read_password() -> str:
    """A password typed twice, or where standard input is piped, one line of it. Raises BadPassword."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass(f"Password (at least {passwords.SHORTEST} characters): ")
    if getpass.getpass("The same again: ") != password:
        raise BadPassword("The two passwords differ. Nothing was changed.")
    return password


def add(table: Users, name: str, administrator: bool) -> str:
    """Add a user."""
    user = table.add(users.validated(name), read_password(), administrator)
    return f"{user.name} may sign in{', and is an administrator' if user.administrator else ''}."


def change_password(table: Users, name: str) -> str:
    """Change the password."""
    table.get(name)
    table.set_password(name, read_password())
    return f"{name} has another password; whoever was signed in by that name is signed out."


def render(user: User) -> str:
    """A user as a line of the list."""
    shown = [user.email, user.role, "disabled" if user.disabled else None if user.active else "waits"]
    return " ".join([f"  {user.name:24}", f"since {datetime.fromtimestamp(user.created, UTC).date()}", *filter(None, shown)])


def as_json(user: User) -> dict[str, Any]:
    """The same for programs, without the password's hash."""
    return {
        "name": user.name,
        "created": datetime.fromtimestamp(user.created, UTC).isoformat(timespec="seconds"),
        **{name: getattr(user, name) for name in ("email", "role", "administrator", "disabled", "confirmed", "approved")},
    }


def listed(json: bool = False) -> str:
    """All users by name, as lines or as JSON. Raises BadUrl, NoDatabase or NewerDatabase."""
    found = _table().all()
    if json:
        return dumps([as_json(user) for user in found], indent=2, ensure_ascii=False)
    return "\n".join(map(render, found)) or "There is no user yet. Add one with `make user-add name=...`."


def run(command: str, name: str, administrator: bool = False, role: str = users.OPERATOR) -> str:
    """Change one user; what to print. Raises InvalidUser, BadPassword, BadUrl, NoDatabase or NewerDatabase."""
    table = _table()
    said = _changed(table, command, name, administrator, role)
    Audit(table.engine).note(getpass.getuser(), DONE[command], users.unified(name), detail=role if command == "role" else "")
    return said


def _changed(table: Users, command: str, name: str, administrator: bool, role: str) -> str:
    if command == "add":
        return add(table, name, administrator)
    if command == "role":
        table.set_role(name, role)
        return f"{name} is {'an' if role[0] in 'ao' else 'a'} {role}, and signed out."
    if command == "password":
        return change_password(table, name)
    _, change, message = CHANGES[command]
    change(table, name)
    return message.format(name=name)


def _table() -> Users:
    return Users(databases.migrated(authority.url(), authority.MIGRATIONS))
