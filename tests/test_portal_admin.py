"""The administrator's pages in this process: who may see which route, how services are, users, keys, audit, and decisions."""

import re
import shutil
from pathlib import Path

import httpx
import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from pipelines import discovery
from pipelines.ledger import lines as ledger
from serving.auth import accounts, users
from serving.portal import application as portals
from serving.portal import figures, guard, ledgers
from serving.portal.administration import ACTIONS, DONE
from serving.portal.faults import MOST, Faults
from serving.portal.sessions import Sessions
from tests.conftest import ROOT, promoted_project
from tests.forms import encoded, seven
from tests.people import RIGHT, WRONG
from tests.portals import IDLE, PAGE, Person, portal, product  # noqa: F401 (fixtures)
from tests.test_portal import alert

ADMINISTRATORS, SCIENTISTS = {"administrator"}, {"data scientist", "administrator"}
ONLY = {"admin": ADMINISTRATORS, "science": SCIENTISTS}  # {first part of a path: roles}
ENDS = ("/sign-out", "/sign-in", "/language")  # they change who asks
METRICS = """
# TYPE atelier_requests_total counter
atelier_requests_total{family="ocr",path="/predict",status="200"} 30.0
atelier_requests_total{family="ocr",path="/predict",status="415"} 2.0
atelier_requests_total{family="ocr",path="/health",status="500"} 1.0
# TYPE atelier_request_seconds histogram
atelier_request_seconds_bucket{family="ocr",path="/predict",le="0.01"} 20.0
atelier_request_seconds_bucket{family="ocr",path="/predict",le="0.1"} 31.0
atelier_request_seconds_bucket{family="ocr",path="/predict",le="+Inf"} 32.0
atelier_request_seconds_sum{family="ocr",path="/predict"} 0.64
atelier_request_seconds_count{family="ocr",path="/predict"} 32.0
# TYPE atelier_refusals_total counter
atelier_refusals_total{family="ocr",reason="not a picture"} 2.0
# TYPE atelier_predictions_lost_total counter
atelier_predictions_lost_total{family="ocr",reason="disk full"} 3.0
atelier_predictions_lost_total{family="ocr",reason="locked"} 0.0
# TYPE atelier_predictions_recorded_total counter
atelier_predictions_recorded_total{family="ocr"} 27.0
# TYPE atelier_jobs gauge
atelier_jobs{family="ocr",state="waiting"} 4.0
atelier_jobs{family="ocr",state="running"} 1.0
"""


@pytest.fixture
def root(portal: Person) -> Person:  # noqa: F811
    """An administrator who has signed in; sci is a data scientist."""
    table = portal.authority.users
    table.add("root", RIGHT, administrator=True)
    table.add("sci", RIGHT)
    table.set_role("sci", users.SCIENTIST)
    portal.sign_in("root")
    return portal


def id_of(person: Person, name: str) -> int:
    return person.authority.users.get(name).id


def audited(person: Person, what: str) -> list[tuple[str, str, str]]:
    return [(entry.actor, entry.target, entry.detail) for entry in person.authority.audit.page() if entry.what == what]


# Roles


def routes() -> list[tuple[str, str]]:
    """(method, path) of every route of the portal, with an id in the place of parameters."""
    found = [each for each in portals._routed(None).routes if isinstance(each, Route)]
    return [
        (method, re.sub(r"{\w+(:int)?}", "1", each.path)) for each in found for method in sorted(each.methods or ()) if method != "HEAD"
    ]


def roles_of(path: str) -> set[str]:
    return ONLY.get(path.split("/")[1], set(users.ROLES))


def test_the_table_of_roles_has_the_routes_of_administrators_and_scientists() -> None:
    assert {path for _, path in routes() if roles_of(path) == ADMINISTRATORS} >= {"/admin", "/admin/users/1", "/admin/keys/1/revoke"}


@pytest.mark.parametrize(("method", "path"), [each for each in routes() if each[1] not in {*ENDS, *guard.PROBES}])
def test_every_route_is_for_its_roles_alone(root: Person, method: str, path: str) -> None:
    sessions = Sessions(root.authority, IDLE)
    root.client.cookies.clear()
    for role in users.ROLES:
        user = root.authority.users.get({"operator": "bob", "data scientist": "sci", "administrator": "root"}[role])
        cookie = sessions.begin(user)
        response = root.client.request(method, path, headers={**PAGE, "Cookie": f"{guard.COOKIE}={cookie}"}, follow_redirects=False)
        refused = response.status_code == 403 and "Your account is that of" in response.text
        assert refused is (role not in roles_of(path)), (role, response.status_code)
        assert response.status_code < 500
    if path not in guard.OPEN | guard.ALSO:
        response = root.client.request(method, path, headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=False)
        assert response.status_code == 401


@pytest.mark.parametrize("path", [path for method, path in routes() if method == "POST" and path.startswith("/admin")])
def test_another_sites_page_administers_nothing(root: Person, path: str) -> None:
    headers = {**PAGE, "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert root.post(path, headers, do="disable").status_code == 403
    assert all(user.active for user in root.authority.users.all())


@pytest.mark.parametrize("path", ["/admin/", "//admin", "/admin/users/", "/ADMIN", "/admin%2Fusers", "/./admin"])
def test_a_path_that_is_spelt_otherwise_leads_nobody_there(root: Person, path: str) -> None:
    root.sign_in("bob")
    assert root.client.get(f"http://localhost{path}", headers=PAGE).status_code in (403, 404)


def test_a_role_that_is_taken_away_is_gone_at_the_next_request(root: Person) -> None:
    root.authority.users.add("other", RIGHT, administrator=True)
    assert root.get("/admin/users").status_code == 200
    root.authority.users.set_role("root", "operator")
    assert root.get("/admin/users").status_code == 303
    root.sign_in("root")
    assert root.get("/admin/users").status_code == 403
    assert "/admin" not in root.get("/").text


# Services


def test_figures_are_those_of_the_service() -> None:
    found = figures.parsed(METRICS)
    predict, health = found.paths
    assert (predict.path, predict.statuses, predict.requests) == ("/predict", {"200": 30, "415": 2}, 32)
    assert (predict.mean, predict.slow, health.mean) == (0.02, 0.1, None)
    assert (found.requests, found.faults, found.refusals) == (33, 1, {"not a picture": 2})
    assert (found.recorded, found.lost, found.jobs) == (27, {"disk full": 3}, {"waiting": 4, "running": 1})
    assert figures.parsed("").requests == 0


def test_the_page_of_services_says_how_each_is(root: Person) -> None:
    root.ask(encoded(seven()))
    root.ask(b"no image")
    root.get("/nothing")
    page = root.get("/admin").text
    assert page.count("Does not answer now") == 2  # signatures, and digits' application here has no /metrics
    assert re.search(r"<code>/products/{name}/predict</code></th>\s*<td[^>]*>415", page)
    assert ">not a picture<" in page


def test_a_service_that_says_nonsense_is_said_to(root: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def app(request: httpx.Request) -> httpx.Response:
        said = {"/health": {"status": "ok", "model": {"version": 3, "digest": "<b>" + "d" * 60}, "refused": {"version": 4, "why": "<i>"}}}
        if request.url.host == "broken":
            return httpx.Response(200, content=b"<html>" if request.url.path == "/health" else b"\xff\xfe")
        if request.url.host == "closed":
            return httpx.Response(401, json={})
        return httpx.Response(200, json=said["/health"]) if request.url.path == "/health" else httpx.Response(200, text=METRICS)

    def client() -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(app))

    addresses = {"ocr": "http://well", "digits": "http://broken", "objects": "http://closed"}
    with TestClient(portals.application(root.authority, addresses, IDLE, client=client), base_url="http://localhost") as browser:
        person = Person(browser, root.authority, root.clock)
        person.sign_in("root")
        page = person.get("/admin").text
    assert "Version 3 answers" in page and "4: &lt;i&gt;" in page and "<i>" not in page and "<b>" not in page
    assert "3 disk full" in page and "4 waiting, 1 running" in page
    assert "has a form that this portal does not know" in page and "objects answers 401 to /health" in page


def test_errors_are_grouped_and_bounded() -> None:
    faults = Faults(iter(range(10_000)).__next__)
    for number in range(MOST + 5):
        faults._note({"state": {"refusal": f"reason {number}", "user": "ada"}}, 422)
    faults._note({"state": {"refusal": f"reason {MOST}"}}, 422)
    newest = faults.newest()
    assert len(newest) == MOST
    assert (newest[0].reason, newest[0].count, newest[0].last - newest[0].first > 1) == (f"reason {MOST}", 2, True)
    assert newest[-1].reason == "reason 5"


# Users and keys


@pytest.mark.parametrize(
    ("do", "said", "active"), [("approve", "user approved", True), ("enable", "user enabled", True), ("disable", "user disabled", False)]
)
def test_an_administrator_says_who_may_sign_in(root: Person, do: str, said: str, active: bool) -> None:
    root.authority.users.add("grace", RIGHT, approved=False)
    assert root.post(f"/admin/users/{id_of(root, 'grace')}", do=do).headers["location"] == "/admin/users"
    assert root.authority.users.get("grace").active is active
    assert audited(root, said) == [("root", "grace", "")]
    assert "grace" in root.get("/admin/users").text


def test_a_disabled_users_open_session_ends(root: Person) -> None:
    bob = Person(TestClient(root.client.app, base_url="http://localhost"), root.authority, root.clock)
    bob.sign_in("bob")
    assert bob.signed_in()
    root.post(f"/admin/users/{id_of(root, 'bob')}", do="disable")
    assert not bob.signed_in()
    root.post(f"/admin/users/{id_of(root, 'bob')}", do="enable")
    assert not bob.signed_in()
    bob.sign_in("bob")
    root.post(f"/admin/users/{id_of(root, 'bob')}", do="end")
    assert not bob.signed_in()
    assert audited(root, "sessions ended") == [("root", "bob", "")]
    bob.sign_in("bob")
    root.post(f"/admin/users/{id_of(root, 'bob')}", do="role", role="data scientist")
    assert not bob.signed_in()
    assert audited(root, "role changed") == [("root", "bob", "data scientist")]


@pytest.mark.parametrize("fields", [{"do": "disable"}, {"do": "role", "role": "operator"}, {"do": "role", "role": "king"}])
def test_the_last_administrator_stays_one(root: Person, fields: dict[str, str]) -> None:
    response = root.post(f"/admin/users/{id_of(root, 'root')}", **fields)
    assert response.status_code == 409 and alert(response)
    assert root.authority.users.get("root").administrator and root.authority.users.get("root").active


def test_what_is_not_known_is_not_done(root: Person) -> None:
    assert root.post("/admin/users/999", do="disable").status_code == 404
    assert root.post(f"/admin/users/{id_of(root, 'bob')}", do="promote").status_code == 422
    assert root.post("/admin/users/9" + "9" * 30, do="disable").status_code in (404, 422)
    assert root.post("/admin/keys/0123456789ab/revoke").status_code == 404


def test_an_administrator_revokes_anybodys_key(root: Person) -> None:
    key, _ = root.authority.keys.add(root.authority.users.get("bob"), "<b>scan", ["ocr"], 30)
    assert "&lt;b&gt;scan" in root.get("/admin/keys").text
    root.post(f"/admin/keys/{key.id}/revoke")
    assert root.authority.keys.all()[0].revoked
    assert audited(root, "key revoked") == [("root", "<b>scan of bob", key.id)]


def test_the_audit_is_read_searched_and_escaped(root: Person) -> None:
    root.sign_in("bob", WRONG)
    root.authority.audit.note("<b>", "<i>", "<u>", "<s>", "<p>")
    page = root.get("/admin/audit").text
    assert "wrong password" in page and not re.search(r"<(b|i|u|s)>", page)
    assert "wrong password" not in root.get("/admin/audit?word=signed").text
    assert "Nothing is found" in root.get("/admin/audit", params={"word": "%_'"}).text
    assert root.get("/admin/audit?page=0").status_code == 422
    assert root.get("/admin/audit?page=99").status_code == 200


def test_whatever_is_noted_has_words_in_the_audit() -> None:
    code = "".join(path.read_text() for folder in ("portal", "auth") for path in (ROOT / "serving" / folder).glob("*.py"))
    noted = {
        *re.findall(r'note\((?:request|user\.name|""), "([^"]+)"', code),
        *accounts.DONE.values(),
        *(said for _, said in DONE.values()),
    }
    assert noted >= {"signed in", "sign-in failed", "key made", "history deleted", "answer reviewed"}
    assert noted <= set(ACTIONS)


# Decisions


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working tree whose digits have two versions."""
    (folder := tmp_path / "tree").mkdir()
    shutil.copytree(ROOT / "registry", folder / "registry")
    monkeypatch.chdir(folder)
    lines = ledger.read("digits")
    facts = {key: lines[0][key] for key in ("candidate", "data", "dvc", "commit", "run", "figures")}
    ledger.append("digits", "promote", "k", {**facts, "digest": "d" * 64, "reasons": ["better <b> by 3"]}, lines[-1]["hash"])
    return folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands that are run, which do nothing."""
    commands: list[tuple[str, ...]] = []

    async def run(*words: str) -> str:
        commands.append(words)
        return "digits: version 1 is champion again."

    monkeypatch.setattr(ledgers, "_run", run)
    return commands


def head() -> str:
    return ledger.head("digits") or ""


def test_decisions_are_a_time_line_of_all_ledgers(root: Person, tree: Path) -> None:
    page = root.get("/admin/decisions").text
    marks = re.findall(r'<li class="(\w+)">', page)
    assert marks[0] == "promote" and "refuse" in marks
    assert len(marks) == sum(len(ledger.read(family)) for family in discovery.names())
    assert "better &lt;b&gt; by 3" in page and ", by 3" not in page  # the pipeline decides by nobody
    assert "version 2 (digits-augmented) is champion" in page.replace("\n", "")


def test_an_administrator_rolls_back_with_a_reason(root: Person, tree: Path, asked: list[tuple[str, ...]]) -> None:
    response = root.post("/admin/decisions/digits/rollback", version="1", why="it takes  7 for 1", head=head())
    assert "version 1 is champion again" in response.text
    assert asked == [("rollback", "digits", "--to", "1", "--why=it takes 7 for 1", "--by=root")]
    assert audited(root, "rolled back") == [("root", "digits", "to version 1: it takes 7 for 1")]


def test_an_administrator_challenges_with_a_reason(root: Person, tree: Path, asked: list[tuple[str, ...]]) -> None:
    for candidate in ("digits-adam", "none"):
        root.post("/admin/decisions/digits/challenge", candidate=candidate, why="--by=eve", head=head())
    assert asked[0] == ("challenge", "digits", "--candidate", "digits-adam", "--why=--by=eve", "--by=root")
    assert [detail for _, _, detail in audited(root, "challenged")] == ["none: --by=eve", "digits-adam: --by=eve"]


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("digits/rollback", {"version": "1", "why": ""}, 422),
        ("digits/rollback", {"version": "1", "why": " \n "}, 422),
        ("digits/rollback", {"version": "1", "why": "a" * 301}, 422),
        ("digits/rollback", {"version": "9", "why": "a"}, 422),
        ("digits/rollback", {"version": "--help", "why": "a"}, 422),
        ("digits/challenge", {"candidate": "objects-fast", "why": "a"}, 422),
        ("digits/challenge", {"why": "a"}, 422),
        ("faces/rollback", {"version": "1", "why": "a"}, 404),
        ("..%2Fdigits/rollback", {"version": "1", "why": "a"}, 404),
        ("digits/rollback", {"version": "1", "why": "a", "head": "0" * 64}, 409),
    ],
)
def test_a_decision_that_cannot_be_made_is_not(
    root: Person, tree: Path, asked: list[tuple[str, ...]], path: str, fields: dict[str, str], status: int
) -> None:
    assert root.post(f"/admin/decisions/{path}", **{"head": head(), **fields}).status_code == status
    assert asked == [] and audited(root, "rolled back") == []


def test_without_a_working_tree_nothing_is_decided(
    root: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, ...]]
) -> None:
    (empty := tmp_path / "empty").mkdir()
    monkeypatch.chdir(empty)
    assert "no working tree" in root.get("/admin/decisions").text
    response = root.post("/admin/decisions/digits/rollback", version="1", why="a", head="")
    assert response.status_code == 409 and "make rollback" in response.text
    assert asked == []


def test_a_command_that_fails_is_explained(root: Person, tree: Path) -> None:
    before = head()
    response = root.post("/admin/decisions/digits/challenge", candidate="digits-adam", why="a", head=before)
    assert response.status_code == 409
    assert "models/digits-adam" in alert(response)
    assert head() == before


def test_an_altered_ledger_is_said_to_be(root: Person, tree: Path) -> None:
    path = tree / "registry" / "digits.jsonl"
    path.write_text(path.read_text().replace("better", "worse"))
    response = root.get("/admin/decisions")
    assert response.status_code == 409 and "is not what was written" in response.text


@pytest.mark.slow
def test_a_rollback_from_the_page_is_a_line_of_the_ledger(root: Person, project: Path) -> None:
    promoted_project(("digits-adam", 1, 0.5), ("digits-sgd", 2, 0.6))
    response = root.post("/admin/decisions/digits/rollback", version="1", why="it takes 7 for 1", head=head())
    assert response.status_code == 200, alert(response)
    line = ledger.read("digits")[-1]
    assert (line["event"], line["version"]) == ("rollback", 1)
    assert line["reasons"] == ["rolled back from version 2 by root", "it takes 7 for 1"]
    assert ", by root" in root.get("/admin/decisions").text
