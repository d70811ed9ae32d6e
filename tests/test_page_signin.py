"""Signing in and out by the page, in real browsers: no script, no other file, one cookie for all that the page asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browsers import Browser, expected, foreign, fresh, one, ranking, upload
from tests.forms import encoded, seven
from tests.people import RIGHT, WRONG
from tests.services import Service, make_serve, running, stored

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("project")
    settings = {"AUTH": "required", "ADMIN_USER": "ada", "ADMIN_PASSWORD": RIGHT}
    with running(folder, {1: stored(folder, 1)}, make_serve("digits"), **settings) as service:
        yield service


@pytest.fixture
def page(window: Browser, service: Service) -> Browser:
    """The page as somebody sees it who has not signed in."""
    fresh(window, service)
    window.driver.delete_all_cookies()
    return fresh(window, service)


def sign_in(browser: Browser, password: str) -> None:
    """By the keyboard alone: the name has the focus, Enter sends the form."""
    browser.driver.switch_to.active_element.send_keys("Ada", Keys.TAB)
    browser.driver.switch_to.active_element.send_keys(password, Keys.ENTER)


def test_a_person_signs_in_asks_and_signs_out(page: Browser, service: Service, tmp_path: Path) -> None:
    assert one(page, "#username") == page.driver.switch_to.active_element
    sign_in(page, RIGHT)
    page.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "#ask"))
    assert page.driver.current_url == f"{service.client.base_url}/"
    assert one(page, ".leave span").text == "ada"
    (picture := tmp_path / "seven.png").write_bytes(encoded(seven()))
    token = service.client.post("/token", data={"grant_type": "password", "username": "ada", "password": RIGHT}).json()["access_token"]
    service.client.headers["Authorization"] = f"Bearer {token}"
    upload(page, picture)
    assert ranking(page) == expected(service, picture.read_bytes(), "ranking", "digit")
    assert {cookie["name"] for cookie in page.driver.get_cookies()} == {"atelier_access", "atelier_refresh"}
    assert all(cookie["httpOnly"] and cookie["sameSite"] == "Strict" for cookie in page.driver.get_cookies())
    assert page.driver.execute_script("return document.cookie") == ""
    assert not foreign(page, service)
    one(page, ".leave button").click()
    page.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "#username"))
    assert page.driver.get_cookies() == []


def test_a_wrong_password_is_said_on_the_same_page(page: Browser) -> None:
    sign_in(page, WRONG)
    words = page.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "[role=alert]"))[0]
    assert words.text == "The user name or the password is wrong."
    sign_in(page, RIGHT)
    assert page.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "#ask"))


def test_the_page_runs_nothing_loads_nothing_and_has_its_looks(page: Browser, service: Service) -> None:
    assert page.driver.find_elements(By.TAG_NAME, "script") == []
    assert not foreign(page, service)
    own = {address.rstrip("/") for address in page.requests() if address.startswith("http")}
    assert own <= {str(service.client.base_url)}
    assert one(page, "form").value_of_css_property("border-radius") == "16px"
    assert not [words for words in page.complaints() if "401" not in words]


def test_the_page_fits_a_phone(page: Browser) -> None:
    page.resize(390, 844)
    page.driver.refresh()
    width, inner = page.driver.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert (width, inner) == (390, 390)
    assert one(page, "button").rect["y"] + one(page, "button").rect["height"] <= 844
    for field in page.driver.find_elements(By.CSS_SELECTOR, ".entry input:not([type=hidden]), .entry button"):
        assert field.rect["height"] >= 44
