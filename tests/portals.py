"""The portal in this process, and people at it: `portal` is a browser that has not signed in, `ada` one that has."""

from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from starlette.testclient import TestClient

from pipelines.registry import store as model_store
from serving import endpoints, health
from serving.auth.authority import Authority
from serving.digits.service import app as digits
from serving.portal.application import application
from serving.telemetry import Telemetry
from tests.people import KEY, RIGHT, Clock, hash_quickly
from tests.services import stored

IDLE = 300.0
PAGE = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The service of digits in this process, with a small model."""
    with chdir(folder := tmp_path_factory.mktemp("digits")):
        model_store.write_pointer("digits", stored(folder, 1))
        endpoints.start(digits, "digits")
        yield Telemetry(health.Ready(digits, digits), "digits")
        endpoints.end(digits)


class Person(NamedTuple):
    """A browser at the portal."""

    client: TestClient
    authority: Authority
    clock: Clock

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, headers=PAGE, follow_redirects=False, **more)

    def post(self, path: str, headers: dict[str, str] = PAGE, **fields: str) -> httpx.Response:
        return self.client.post(path, data=fields, headers=headers, follow_redirects=False)

    def sign_in(self, email: str = "ada@example.org", password: str = RIGHT, **more: str) -> httpx.Response:
        return self.post("/sign-in", email=email, password=password, **more)

    def ask(self, content: bytes, title: str = "seven.png", name: str = "digits") -> httpx.Response:
        return self.client.post(f"/products/{name}/predict", data={"title": title}, files={"image": ("image", content)})

    def signed_in(self) -> bool:
        return self.get("/history").status_code == 200


@pytest.fixture
def portal(tmp_path: Path, product: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    """A browser that has not signed in; ada and bob have accounts. digits is there, signatures is not."""
    hash_quickly(monkeypatch)
    authority = Authority(f"sqlite:///{tmp_path}/users.db", KEY, clock := Clock())
    for name in ("ada", "bob"):
        authority.users.add(name, RIGHT, email=f"{name}@example.org")
    addresses = {"digits": "http://digits", "signatures": "http://127.0.0.1:1"}

    def client() -> httpx.AsyncClient:
        return httpx.AsyncClient(mounts={"http://digits": httpx.ASGITransport(product)}, trust_env=False)

    with TestClient(application(authority, addresses, IDLE, client=client), base_url="http://localhost") as browser:
        yield Person(browser, authority, clock)


@pytest.fixture
def ada(portal: Person) -> Person:
    assert portal.sign_in().status_code == 303
    return portal
