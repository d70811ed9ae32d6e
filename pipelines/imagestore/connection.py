"""The database that MONGO_URL names. Its errors never show the password."""

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
TIMEOUTS: dict[str, Any] = {"serverSelectionTimeoutMS": 5_000, "connectTimeoutMS": 5_000, "socketTimeoutMS": 60_000}
REFUSALS = {11, 13, 18, 8000}  # UserNotFound, Unauthorized, AuthenticationFailed, and Atlas's code for it
EXAMPLE = "mongodb://name:password@host:port/database"


class StoreError(RuntimeError):
    """The image store cannot be used: MONGO_URL, the server, the account or pymongo is missing or wrong."""


@contextmanager
def opened() -> Iterator["Database[Document]"]:
    """Yield the database, once it has answered. Raises StoreError."""
    with explained(), _client() as client:
        database = client.get_default_database(DATABASE)
        database.command("ping")
        database.list_collection_names(filter={"name": "datasets"})  # a ping needs no password, this does
        yield database


@contextmanager
def explained() -> Iterator[None]:
    """Raise the driver's errors as StoreError."""
    try:
        from pymongo import errors
    except ModuleNotFoundError:
        raise StoreError("The image store needs pymongo. Install it: uv pip install -e '.[mongo]', or `make store-put`.") from None
    try:
        yield
    except errors.PyMongoError as error:
        raise StoreError(f"the image store {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """What went wrong and the remedy, without the driver's own details."""
    from pymongo import errors

    words = str(error).partition(", full error")[0].partition(" (configured timeouts")[0].partition(", Timeout:")[0].rstrip(".")
    if isinstance(error, errors.ConnectionFailure):
        return f"does not answer: {words}. Start it, or correct MONGO_URL, and run the same command again: it resumes."
    if isinstance(error, errors.OperationFailure) and error.code in REFUSALS:
        return f"refuses: {words}. Correct name and password in MONGO_URL; an account of another database needs ?authSource=<its name>."
    return f"failed: {words}."


def insert(collection: "Collection[Document]", document: Document) -> None:
    """Insert a document, unless another process has inserted the same one."""
    from pymongo.errors import DuplicateKeyError

    with suppress(DuplicateKeyError):
        collection.insert_one(document)


def _client() -> "MongoClient[Document]":
    from pymongo import MongoClient, errors

    url = os.environ.get("MONGO_URL", "")
    if not url:
        raise StoreError(f"MONGO_URL is not set. Set it to the address of the image store: {EXAMPLE}")
    try:
        return MongoClient(url, appname="atelier", **TIMEOUTS)
    except (errors.ConfigurationError, ValueError, TypeError):  # their messages hold pieces of the address, a password's too
        raise StoreError(
            f"MONGO_URL is not an address of MongoDB. Wanted: {EXAMPLE}, with @, :, / and % in name and password written as "
            "%40, %3A, %2F and %25."
        ) from None
