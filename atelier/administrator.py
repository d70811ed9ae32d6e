"""What an administrator types: accounts, keys, integrity, stores."""

from pathlib import Path
from typing import Annotated

import typer

from atelier import call
from atelier.call import Families, Family, Json

app = typer.Typer()
Name = Annotated[str, typer.Argument(help="The account's name.")]
Remote = Annotated[str | None, typer.Option(help="A DVC remote (default: DVC's).")]


@app.command("user-add")
def user_add(name: Name, administrator: Annotated[bool, typer.Option("--administrator")] = False) -> None:
    """Add a user; asks for a password, or reads a line that is piped in."""
    call.function("serving.auth.accounts:run", "add", name, administrator)


@app.command("user-list")
def user_list(json: Json = False) -> None:
    """List the users at USERS_URL, or in .store/users.db."""
    call.function("serving.auth.accounts:listed", json)


@app.command("user-password")
def user_password(name: Name) -> None:
    """Set another password; the user is signed out."""
    call.function("serving.auth.accounts:run", "password", name)


@app.command("user-role")
def user_role(name: Name, role: Annotated[str, typer.Argument(help="operator, data scientist or administrator.")]) -> None:
    """Give a user another role; the user is signed out."""
    call.function("serving.auth.accounts:run", "role", name, False, role)


@app.command("user-disable")
def user_disable(name: Name) -> None:
    """Sign a user out and refuse sign-in until `user-enable`."""
    call.function("serving.auth.accounts:run", "disable", name)


@app.command("user-enable")
def user_enable(name: Name) -> None:
    """Let a user sign in again."""
    call.function("serving.auth.accounts:run", "enable", name)


@app.command("user-remove")
def user_remove(name: Name) -> None:
    """Sign a user out and delete the account."""
    call.function("serving.auth.accounts:run", "remove", name)


@app.command()
def verify(
    family: Families = None,
    forget: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Delete predictions, or inputs, that are not what was recorded; or `all`.")
    ] = None,
    json: Json = False,
) -> None:
    """Check every file that has a recorded checksum; name what is broken and its repair, what is not here, and what is not covered."""
    call.function("pipelines.audit.verify", family, forget, json)


@app.command()
def keys(to: Annotated[Path, typer.Option(help="A folder.")] = Path(".store", "keys")) -> None:
    """Make a pair of keys that sign models, for MODEL_SIGNING_KEY and MODEL_VERIFYING_KEY."""
    call.function("pipelines.registry.signatures:keys", to)


@app.command()
def sign(family: Family) -> None:
    """Sign every version that is here with MODEL_SIGNING_KEY."""
    call.function("pipelines.registry.signatures", family)


@app.command()
def reconcile(family: Families = None) -> None:
    """Make MLflow, the model store and the pointers follow the ledgers."""
    call.function("pipelines.registry.reconcile", family)


@app.command()
def merge(
    family: Families = None,
    branch: Annotated[str | None, typer.Option("--from", help="A branch or commit whose decisions are to be brought in.")] = None,
) -> None:
    """Join the decisions of two branches, and end the conflict that git left in ledgers, dvc.lock and reports."""
    call.function("pipelines.registry.merge", family, branch)


@app.command("restore-ledger")
def restore_ledger(family: Family) -> None:
    """Put back the last lines of a ledger that were lost and that the pointers, or .store/lost, still hold."""
    call.function("pipelines.ledger.cross_checks", family)


@app.command()
def rebuild(remote: Remote = None) -> None:
    """After `dvc pull`: make runs, versions, aliases and pointers of every version of the ledgers; nothing is trained."""
    call.function("pipelines.audit.rebuild", remote)


@app.command()
def push(remote: Remote = None) -> None:
    """Copy what dvc.lock and the ledgers need, also of older versions, to a DVC remote."""
    call.function("pipelines.artifacts.remotes:push_all", remote)


@app.command()
def gc(
    remote: Remote = None,
    projects: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Each other project on a cache outside of this one; `.` where there is none."),
    ] = None,
) -> None:
    """Delete from DVC's cache, and from a remote that is named, what no dvc.lock and no ledger of any branch needs."""
    call.function("pipelines.artifacts.remotes:collect_all", remote, projects or ())
