"""Authentication when a service starts: decided for its workers, and the guard put before the application."""

import os

from fastapi import FastAPI
from starlette.types import ASGIApp

from pipelines import errors
from serving.auth import policy


def settle(host: str) -> None:
    """Decide for this process and its workers, which listen nowhere yet; somebody must be able to sign in. Raises what says why not."""
    if policy.required([host]):
        from serving.auth import authority

        authority.manned()
        os.environ["AUTH"] = "required"
    else:
        os.environ["AUTH"] = "off"


def guarded(app: FastAPI, inner: ASGIApp, family: str) -> ASGIApp:
    """`inner`, behind the guard; where nobody could sign in, the process says why, and ends."""
    from serving.auth import authority, guard

    with errors.printed_once():  # BentoML starts a worker that ends so again, until there is somebody
        app.state.authority = authority.manned()
    app.state.authority.follow()
    return guard.Guard(inner, app.state.authority, family)
