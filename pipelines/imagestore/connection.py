"""The database that MONGO_URL names, and what can go wrong with it, in words that never hold its password."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.collection import Collection
    from pymongo.database import Database

Document = dict[str, Any]
DATABASE = "atelier"  # where MONGO_URL names none
PATIENCE: dict[str, Any] = {
    "serverSelectionTimeoutMS": 5_000,
    "connectTimeoutMS": 5_000,
    "socketTimeoutMS": 60_000,
}  # a large picture takes its time
REFUSALS = {11, 13, 18, 8000}  # UserNotFound, Unauthorized, AuthenticationFailed, and Atlas's word for it


class StoreNotSet(LookupError):
    """MONGO_URL does not say where the image store is, or is not an address."""


class StoreGone(ConnectionError):
    """Nobody answers at that address, or nobody does any more."""


class StoreRefused(PermissionError):
    """A wrong name or password, or a right that the account does not have."""


class StoreFailed(RuntimeError):
    """The server answered with an error of its own."""


class StoreNotInstalled(ImportError):
    """pymongo is missing."""


@contextmanager
def opened() -> Iterator["Database[Document]"]:
    """Yield the database, once it has answered. Raises StoreNotSet, StoreGone, StoreRefused, StoreFailed or StoreNotInstalled."""
    with explained(), _client() as client:
        database = client.get_default_database(DATABASE)
        database.command("ping")
        database.list_collection_names(filter={"name": "datasets"})  # a ping needs no password, this does
        yield database


@contextmanager
def explained() -> Iterator[None]:
    """Turn the driver's errors into ours."""
    try:
        from pymongo import errors
    except ModuleNotFoundError:
        raise StoreNotInstalled(
            "The image store needs pymongo. Install the extra: uv pip install -e '.[mongo]', or `make store-put`."
        ) from None
    try:
        yield
    except errors.ConnectionFailure as error:
        raise StoreGone(
            f"the image store does not answer: {_short(error)}. Start it, or correct MONGO_URL; what has been sent stays, "
            "so the same command goes on where it was cut."
        ) from None
    except errors.OperationFailure as error:
        raise _refused(error) if error.code in REFUSALS else StoreFailed(f"the image store says: {_short(error)}.") from None
    except errors.PyMongoError as error:
        raise StoreFailed(f"the image store could not be used: {_short(error)}.") from None


def insert(collection: "Collection[Document]", document: Document) -> None:
    """Insert a document; the same one may be there already, from somebody who sends the same things."""
    from pymongo.errors import DuplicateKeyError

    with suppress(DuplicateKeyError):
        collection.insert_one(document)


def _client() -> "MongoClient[Document]":
    from pymongo import MongoClient, errors

    url = os.environ.get("MONGO_URL", "")
    if not url:
        raise StoreNotSet("MONGO_URL is not set. Say where the image store is, for example MONGO_URL=mongodb://127.0.0.1:27017/atelier")
    try:
        return MongoClient(url, appname="atelier", **PATIENCE)
    except (errors.ConfigurationError, ValueError, TypeError):  # their messages hold pieces of the address, a password's too
        raise StoreNotSet(
            "MONGO_URL is not an address of MongoDB. Wanted: mongodb://name:password@host:port/database, with @, :, / and % "
            "in name and password written as %40, %3A, %2F and %25."
        ) from None


def _refused(error: Exception) -> StoreRefused:
    return StoreRefused(
        f"the image store refuses: {_short(error)}. Correct name and password in MONGO_URL; an account that is kept in another "
        "database than the one named there needs ?authSource=<that database>."
    )


def _short(error: Exception) -> str:
    """The first words, without the driver's own bookkeeping."""
    return str(error).partition(", full error")[0].partition(" (configured timeouts")[0].partition(", Timeout:")[0].rstrip(".")
