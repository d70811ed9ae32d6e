"""The page of ocr: images read on Gradio's page in a real browser, corrected and flagged; no other place asked, no other file read."""

import asyncio
import hashlib
import io
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote

import html5lib
import httpx
import numpy as np
import psutil
import pytest
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from starlette.types import Receive, Scope, Send

from pipelines import configs, phrases
from serving.live.recorder import Recorder
from serving.live.shadow import Shadow
from serving.ocr import backend, corrections, desk, request_filter, samples
from serving.ocr.backend import Backend, Step
from serving.ocr.corrections import Flag, Given
from serving.ocr.pages import Page
from serving.problems import Refusal
from tests.browsers import Browser, foreign, fresh, one
from tests.forms import encoded
from tests.pages import got
from tests.people import RIGHT
from tests.services import Service, make_serve, running, stored

pytestmark = pytest.mark.slow

MODEL = {"family": "ocr", "version": 1, "digest": "d" * 64, "data": "e" * 64, "commit": None, "run_id": "run-1"}
BARE = {"tag": "ocr:v1-d", "model": MODEL, "released": False}
RUN, UPLOAD = "/desk/gradio_api/run/predict", "/desk/gradio_api/upload"
ADDRESS = re.compile(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+[^\s\"'<]*", re.IGNORECASE)


def picture(name: str) -> bytes:
    """A sample as PNG."""
    return encoded(Image.fromarray(samples.rendered(samples.SAMPLES[name])))


# The house's page around it


def test_the_house_page_is_valid_and_has_the_desk_in_a_frame() -> None:
    page = got("ocr", BARE).text
    html5lib.HTMLParser(strict=True).parse(page)
    assert '<iframe id="desk" src="desk/"' in page
    assert MODEL["digest"] in page
    assert "page.js" not in page
    assert not re.search(r"<style|style=|\son\w+=|<script(?! type=\"module\" src=)", page)


# The request filter


HTML = """<html><head>
<meta property="og:url" content="https://gradio.app/" /><meta name="twitter:image" content="https://elsewhere.example/a.jpg" />
<link rel="manifest" href="/manifest.json" />
<script>const a = "iframeResizer.contentWindow.min.js";</script><script>const b = 1;</script>
<script type="module" src="./assets/index.js"></script></head><body></body></html>"""


async def gradio(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers everything: with the page at /, else with what it was sent."""
    sent = (await receive()).get("body", b"")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": HTML.encode() if scope["path"] == "/" else sent})


def passed(folder: Path, method: str, path: str, body: bytes = b"") -> httpx.Response:
    """What the filter answers; a body has at most 0.1 MB."""
    inner = request_filter.RequestFilter(gradio, folder, 0.1, 3600)

    async def stated(scope: Scope, receive: Receive, send: Send) -> None:
        await inner({**scope, "state": {}}, receive, send)

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(stated), base_url="http://here") as client:
            return await client.request(method, path, content=body)

    return asyncio.run(asked())


def question(path: object) -> bytes:
    """What Gradio is asked about a file; it may stand anywhere."""
    return json.dumps({"data": [{"deep": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}], "fn_index": 1}).encode()


OTHERS = [
    "/config",
    "/monitoring",
    "/login",
    "/manifest.json",
    "/gradio_api/info",
    "/gradio_api/proxy=https://x.hf.space/",
    "/gradio_api/runs",
    "/gradio_api/queue/data",
    "/gradio_api/heartbeat/abc",
    "/gradio_api/vibe-code",
    "/gradio_api/stream/a/1/2/playlist.m3u8",
    "/gradio_api/deep_link",
    "/gradio_api/custom_component/a/client/b/c",
]
POSTED = ["/", "/login", "/gradio_api/queue/join", "/gradio_api/component_server", "/gradio_api/call/reading", "/gradio_api/vibe-edit"]


@pytest.mark.parametrize(("method", "path"), [*(("GET", path) for path in OTHERS), *(("POST", path) for path in POSTED), ("PUT", "/")])
def test_what_the_page_does_not_need_is_not_there(tmp_path: Path, method: str, path: str) -> None:
    assert passed(tmp_path, method, path, b"{}").status_code == 404


FILES = [
    "/etc/hostname",
    "uploads/a.png",
    "https://example.com/a.png",
    "http://169.254.169.254/",
    "../outside",
    "{}/../outside",
    "file:///etc/hostname",
    "a\0b",
    "http://evil.example/big.png?{}/a.png",
    "http://evil.example/big.png?/../../../../{}/a.png",
    "http%3A%2F%2Fevil.example/big.png?/../../../../{}/a.png",
    "http:%2F%2Fevil.example/big.png%3F/../../../..{}/a.png",
    "/x://evil.example/../../..{}/a.png",
]


@pytest.mark.parametrize("name", [*FILES, None, 7, ["/etc/hostname"], {"path": "/etc/hostname"}], ids=str)
def test_no_file_but_the_desks_own_is_named(tmp_path: Path, name: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    named = name.format(tmp_path / "uploads") if isinstance(name, str) and name != "{}" else name
    (tmp_path / "outside").touch()
    refused = passed(tmp_path / "uploads", "POST", "/gradio_api/run/predict", question(named))
    assert (refused.status_code, refused.json()["reason"]) == (403, "not its file")
    if isinstance(named, str) and "\0" not in named:
        assert passed(tmp_path / "uploads", "GET", f"/gradio_api/file={quote(named, safe='')}").status_code == 403


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads/link").symlink_to("/etc/hostname")
    assert passed(tmp_path / "uploads", "GET", f"/gradio_api/file={tmp_path}/uploads/link").status_code == 403


def test_its_own_files_pass_and_so_does_the_question(tmp_path: Path) -> None:
    asked = question(str(tmp_path / "a/b.png"))
    assert passed(tmp_path, "POST", "/gradio_api/run/predict", asked).content == asked
    assert passed(tmp_path, "GET", f"/gradio_api/file={tmp_path}/a/b.png").status_code == 200


@pytest.mark.parametrize("body", [b"", b"not json", b"[" * 100_000, b"\xff"])
def test_a_question_that_is_no_json_is_refused(tmp_path: Path, body: bytes) -> None:
    assert passed(tmp_path, "POST", "/gradio_api/run/predict", body).status_code == 400


@pytest.mark.parametrize(("path", "size"), [("upload", 150_000), ("upload", 5_000_000), ("run/predict", 1_100_000)])
def test_a_body_over_the_limit_is_refused(tmp_path: Path, path: str, size: int) -> None:
    refused = passed(tmp_path, "POST", f"/gradio_api/{path}", bytes(size))
    assert (refused.status_code, refused.json()["reason"]) == (413, "body too large")


def test_the_page_names_no_other_place_and_only_its_own_scripts_run(tmp_path: Path) -> None:
    answer = passed(tmp_path, "GET", "/")
    assert not ADDRESS.search(answer.text.replace("http://www.w3.org/2000/svg", ""))
    assert "iframeResizer" not in answer.text
    assert "manifest" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.count("sha256-") == 1
    assert "'unsafe-eval'" not in policy
    assert "script-src 'self' 'sha256-" in policy
    assert not ADDRESS.search(policy)


# What is asked of the service


STATUS: dict[str, Any] = {"id": "a" * 32, "position": None, "progress": {"done": 0, "of": 2}, "reason": None, "result": None}
STATES = {
    "first": ({"state": "queued", "position": 0}, Step("Waiting in the queue: this one is next.", "a" * 32)),
    "second": ({"state": "queued", "position": 1}, Step("Waiting in the queue: 1 job before this one.", "a" * 32)),
    "away": (
        {"state": "queued", "position": 3, "reason": "The broker is away."},
        Step("Waiting in the queue: 3 jobs before this one. The broker is away.", "a" * 32),
    ),
    "running": ({"state": "running", "progress": {"done": 1, "of": 2}}, Step("Reading: 1 of 2 done.", "a" * 32, 0.5)),
    "failed": ({"state": "failed", "reason": "Set aside after 3 tries."}, Step(problem="The job is failed. Set aside after 3 tries.")),
    "cancelled": ({"state": "cancelled"}, Step(problem="The job is cancelled.")),
}


class Queue:
    """A queue that answers `answer` about every job, or refuses so; and `cancelled` once one is cancelled."""

    def __init__(self, answer: dict[str, Any] | Refusal, cancelled: dict[str, Any] | Refusal | None = None) -> None:
        self.answer, self.cancelled = answer, cancelled

    async def add(self, *_: object) -> dict[str, Any]:
        if isinstance(self.answer, Refusal):
            raise self.answer
        return self.answer

    status = add

    async def cancel(self, *_: object) -> None:
        if isinstance(self.cancelled, Refusal):
            raise self.cancelled
        assert self.cancelled
        self.answer = self.cancelled


def asker(queue: Queue | None) -> Backend:
    champion = SimpleNamespace(served=None, family="ocr")
    beside = {"recorder": Recorder("ocr", configs.Predictions(share=0)), "shadow": Shadow(cast(Any, champion))}
    state = SimpleNamespace(limits=configs.serving("ocr"), champion=champion, **beside, **({"queue": queue} if queue else {}))
    return Backend(cast(Any, state))


def hash_(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def line(tmp_path: Path) -> Path:
    (path := tmp_path / "line.png").write_bytes(picture("line.png"))
    return path


@pytest.mark.parametrize(("status", "step"), STATES.values(), ids=STATES)
def test_how_far_a_job_is(line: Path, status: dict[str, Any], step: Step) -> None:
    queued, seen = asker(Queue(STATUS | status)), hash_(line)
    assert asyncio.run(queued.read(line, None)) == step._replace(seen=seen)
    assert asyncio.run(queued.status("a" * 32, line, seen, None)) == step._replace(seen=seen)


def test_a_service_that_is_away_for_a_while_is_asked_again(line: Path) -> None:
    away = asker(Queue(Refusal(503, "no database", "It is away."), Refusal(503, "no database", "It is away.")))
    step = Step("It is away.", "a" * 32, seen=hash_(line))
    assert asyncio.run(away.status("a" * 32, line, hash_(line), None)) == step
    assert asyncio.run(away.cancel("a" * 32, line, hash_(line), None)) == step
    asyncio.run(away.drop("a" * 32, None))
    gone = asker(Queue(Refusal(404, "unknown job", "There is no job.")))
    assert asyncio.run(gone.status("a" * 32, line, hash_(line), None)) == Step(problem="There is no job.")


def test_a_job_is_cancelled_and_one_that_is_done_already_is_told(line: Path) -> None:
    waits, ended = STATUS | {"state": "queued", "position": 1}, STATUS | {"state": "cancelled"}
    step = asyncio.run(asker(Queue(waits, ended)).cancel("a" * 32, line, hash_(line), None))
    assert (step.problem, step.job) == ("The job is cancelled.", "")
    times = dict.fromkeys(("created", "finished"), "2026-01-01T00:00:00+00:00")
    done = STATUS | times | {"state": "done", "result": {"results": [answer(("TOTAL", [1, 2, 3, 4]))]}}
    step = asyncio.run(asker(Queue(done, Refusal(409, "job final", "It is done."))).cancel("a" * 32, line, hash_(line), None))
    assert step.answer == answer(("TOTAL", [1, 2, 3, 4]))


def test_another_picture_than_was_read_has_no_answer_and_is_not_flagged(line: Path) -> None:
    queued, seen = asker(Queue(STATUS | {"state": "running"})), hash_(line)
    line.write_bytes(picture("total.png"))
    assert asyncio.run(queued.status("a" * 32, line, seen, None)) == Step(problem=backend.SWAPPED)
    with pytest.raises(Refusal, match="Another image is shown"):
        asyncio.run(queued.flag(line, seen, json.dumps(answer()), "TOTAL", None))


def answer(*lines: tuple[str, list[int]]) -> dict[str, Any]:
    text = "\n".join(text for text, _ in lines)
    rows = [{"text": text, "box": box, "confidence": 0.5} for text, box in lines]
    return {"text": text, "confidence": 0.5, "lines": rows, "prediction_id": "f" * 32, "model": MODEL}


@pytest.mark.parametrize("queue", [None, Queue(Refusal(503, "no database", "It is away."))], ids=["none", "away"])
def test_without_a_queue_it_is_read_at_once_and_that_is_said(line: Path, queue: Queue | None, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answered(*_: object) -> dict[str, Any]:
        return answer(("TOTAL", [1, 2, 3, 4]))

    monkeypatch.setattr(backend.answers, "predict", answered)
    step = asyncio.run(asker(queue).read(line, None))
    assert step.answer == answer(("TOTAL", [1, 2, 3, 4]))
    assert re.fullmatch(r"Read in \d+ ms\." if queue is None else r"Read in \d+ ms, without the queue: It is away\.", step.words)
    assert step.page
    assert step.page.size == (620, 100)


def test_a_full_queue_is_said_and_nothing_is_read(line: Path) -> None:
    assert asyncio.run(asker(Queue(Refusal(503, "queue full", "5,000 jobs wait."))).read(line, None)) == Step(problem="5,000 jobs wait.")


def test_a_picture_that_is_gone_is_said(tmp_path: Path) -> None:
    assert asyncio.run(asker(None).read(tmp_path / "gone.png", None)).problem == corrections.GONE


PAPER = np.tile(np.arange(200, dtype=np.uint8)[:, None], (1, 100))  # each row has a grey of its own


def corrected(text: str, *lines: tuple[str, list[int]]) -> list[Flag]:
    sheet = Page(None, (200, 400), PAPER)  # reduced to half
    return corrections.corrected(b"\x89PNG", [sheet], Given.model_validate(answer(*lines)), text)


def test_each_corrected_line_is_cut_out_and_the_others_are_not() -> None:
    flags = corrected("A\nRIGHT\nC", ("A", [0, 0, 200, 20]), ("B", [20, 40, 100, 20]), ("C", [0, 80, 200, 20]))
    assert [(flag.right, flag.wrong) for flag in flags] == [("RIGHT", "B")]
    cut = np.asarray(Image.open(io.BytesIO(flags[0].picture)))
    assert cut.shape == (14, 54)  # two pixels more on each side
    assert cut[:, 0].tolist() == [*range(18, 32)]


def test_a_picture_of_one_line_is_kept_as_it_came() -> None:
    assert corrected("TOTAL", ("TOTL", [0, 0, 200, 300])) == [Flag(b"\x89PNG", "TOTAL", "TOTL")]
    assert corrected("TOTAL") == [Flag(b"\x89PNG", "TOTAL", "")]
    assert corrected("TOTAL", ("TOTL", [0, 0, 200, 30]))[0].picture != b"\x89PNG"  # one line on a whole page


@pytest.mark.parametrize(("text", "reason"), [("A", "other lines"), ("A\nB\nC", "other lines"), ("A \n B", "nothing corrected")])
def test_a_correction_that_fits_no_line_says_what_to_do(text: str, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        corrected(text, ("A", [0, 0, 200, 20]), ("B", [0, 40, 200, 20]))
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("text", "rights"), [("\nB", [("", "A")]), ("A\n", [("", "B")]), ("\n", [("", "A"), ("", "B")]), ("\nA\nC\n", [("C", "B")])]
)
def test_a_line_at_either_end_is_corrected_to_nothing(text: str, rights: list[tuple[str, str]]) -> None:
    flags = corrected(text, ("A", [0, 0, 200, 20]), ("B", [0, 40, 200, 20]))
    assert [(flag.right, flag.wrong) for flag in flags] == rights


@pytest.mark.parametrize("lines", [[("TOTAL", [0, 0, 200, 300])], []], ids=len)
def test_one_line_that_was_not_corrected_is_not_kept(lines: list[tuple[str, list[int]]]) -> None:
    with pytest.raises(Refusal, match="Nothing was corrected"):
        corrected(answer(*lines)["text"], *lines)


@pytest.mark.parametrize("box", [[0, 390, 200, 20], [500, 0, 10, 10], [-9, -9, 5, 5], [0, 0, -5, 10], [0, 0, 0, 0], [10**400] * 4], ids=len)
def test_a_box_that_is_not_on_its_page_is_refused(box: list[int]) -> None:
    with pytest.raises(Refusal, match="leaves its page, which is 200 x 400 pixels"):
        corrected("A\nRIGHT", ("A", [0, 0, 200, 20]), ("B", box))


@pytest.mark.parametrize(
    "given", ["", "{}", "[]", json.dumps(answer() | {"prediction_id": "x"}), json.dumps(answer() | {"model": {"digest": "x"}})]
)
def test_an_answer_that_is_none_of_the_page_is_refused(line: Path, given: str) -> None:
    with pytest.raises(Refusal, match="is no answer of this page"):
        asyncio.run(asker(None).flag(line, hash_(line), given, "A", None))


def test_old_files_of_the_desk_are_taken_away(tmp_path: Path) -> None:
    for name in ("old/a.png", "new/b.png", f"{desk.SAMPLES}/line.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    for name in ("old/a.png", f"{desk.SAMPLES}/line.png"):
        os.utime(tmp_path / name, (time.time() - 100, time.time() - 100))
    desk.sweep(tmp_path, 50)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")} == {"new/b.png", f"{desk.SAMPLES}/line.png"}
    assert not (tmp_path / "old").exists()


# A real service, where people sign in


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("project")
    settings = {"AUTH": "required", "ADMIN_USER": "ada", "ADMIN_PASSWORD": RIGHT}
    with running(folder, {1: stored(folder, 1, "ocr")}, make_serve("ocr"), **settings) as service:
        yield service


@pytest.fixture(scope="module")
def ada(service: Service) -> Iterator[httpx.Client]:
    """A program with a token."""
    token = service.client.post("/token", data={"grant_type": "password", "username": "ada", "password": RIGHT}).json()["access_token"]
    with httpx.Client(base_url=service.client.base_url, timeout=60, headers={"Authorization": f"Bearer {token}"}) as client:
        yield client


def test_gradio_is_not_loaded_before_somebody_opens_the_page(service: Service) -> None:
    assert not (service.folder / ".store/desk").exists()
    assert not [mapped.path for mapped in psutil.Process(service.process.pid).memory_maps() if "pandas" in mapped.path]


@pytest.mark.parametrize(("method", "path"), [("GET", "/desk/"), ("GET", "/desk/assets/a.js"), ("POST", UPLOAD), ("POST", RUN)])
def test_the_desk_is_for_who_has_signed_in(service: Service, method: str, path: str) -> None:
    assert service.client.request(method, path).status_code == 401


def test_the_desk_says_nothing_of_other_places(ada: httpx.Client, service: Service) -> None:
    page = ada.get("/desk/")
    assert page.status_code == 200
    own = str(service.client.base_url)
    assert [address for address in ADDRESS.findall(page.text) if not address.startswith((own, "//" + own))] == []
    assert "googleapis" not in ada.get("/desk/theme.css").text
    config = json.loads(re.findall(r"window.gradio_config = (.*?);</script>", page.text, re.DOTALL)[0])
    assert (config["analytics_enabled"], config["run_history"], config["footer_links"], config["mcp_server"]) == (False, False, [], False)
    assert [event["queue"] for event in config["dependencies"]] == [False] * 6  # each event is one request: any worker may answer
    assert not list(Path(backend.__file__).parent.glob("*.pyi"))
    others = [found.raddr.ip for found in psutil.Process(service.process.pid).net_connections("tcp") if found.raddr]
    assert set(others) <= {"127.0.0.1"}


def sent(ada: httpx.Client, content: bytes) -> str:
    """The path of an uploaded file."""
    return str(ada.post(UPLOAD, files={"files": ("picture.png", content, "image/png")}).json()[0])


def test_gradio_itself_would_read_any_file_and_the_service_does_not(ada: httpx.Client, service: Service) -> None:
    path = sent(ada, picture("line.png"))
    assert Path(path).is_relative_to(service.folder / ".store/desk")
    for name, status in ((path, 200), ("/etc/hostname", 403), ("http://127.0.0.1:1/a.png", 403)):
        file = {"path": name, "meta": {"_type": "gradio.FileData"}}
        assert ada.post(RUN, json={"data": [file], "fn_index": 1, "session_hash": "s"}).status_code == status
        assert ada.get(f"/desk/gradio_api/file={name}").status_code == status


# In a browser


@pytest.fixture
def browser(window: Browser, service: Service) -> Browser:
    """The page of ocr with Gradio in its frame, freshly opened by a signed-in user."""
    window.driver.switch_to.default_content()
    fresh(window, service)
    if window.driver.find_elements(By.ID, "username"):
        window.driver.switch_to.active_element.send_keys("ada", Keys.TAB, RIGHT, Keys.ENTER)
        window.until(lambda driver: driver.find_elements(By.ID, "desk"))
        window.complaints()  # that nobody had signed in
    return seated(window)


def seated(browser: Browser) -> Browser:
    browser.driver.switch_to.frame(browser.until(lambda driver: driver.find_element(By.ID, "desk")))
    browser.until(lambda driver: driver.find_elements(By.ID, "read"))
    return browser


def chosen(browser: Browser, path: Path) -> None:
    """Upload a picture."""
    browser.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "#picture input[type=file]"))[0].send_keys(str(path))
    shown(browser)


def shown(browser: Browser) -> WebElement:
    """The picture that is to be read, once it is there."""
    return browser.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "#picture img[src*='file=']"))[0]


def read(browser: Browser, awaited: str = "Read by the queue") -> str:
    """Ask, and return the text of the status once it is there."""
    browser.until(lambda _: one(browser, "#read").is_enabled())
    one(browser, "#read").click()
    browser.until(lambda _: awaited in one(browser, "#status").text)
    return str(one(browser, "#status").text)


def shown_text(browser: Browser) -> str:
    return str(one(browser, "#text textarea").get_property("value"))


def test_a_page_is_uploaded_and_read_with_its_lines_framed(browser: Browser, service: Service, ada: httpx.Client, tmp_path: Path) -> None:
    (path := tmp_path / "receipt.png").write_bytes(picture("receipt.png"))
    chosen(browser, path)
    text = read(browser)
    found = ada.post("/predict", files={"image": ("receipt.png", path.read_bytes())}).json()
    assert shown_text(browser) == found["text"]
    assert text.startswith(f"{len(found['lines'])} lines, {phrases.certainty(found['confidence'])}.")
    assert "Read by the queue in" in text
    browser.until(lambda driver: len(driver.find_elements(By.CSS_SELECTOR, "#boxes img")) == len(found["lines"]) + 1)
    sizes = browser.driver.execute_script(
        "return [...document.querySelectorAll('#boxes img')].map((image) => [image.naturalWidth, image.naturalHeight])"
    )
    assert sizes == [[620, 408]] * (len(found["lines"]) + 1)
    one(browser, "#source button").click()
    browser.until(lambda _: "make lineage of=ocr@v1" in one(browser, "#origin").text)
    assert found["model"]["digest"] in one(browser, "#origin").text
    assert (browser.complaints(), foreign(browser, service)) == ([], [])


def test_what_is_corrected_is_flagged_and_kept_as_training_reads_it(browser: Browser, service: Service, tmp_path: Path) -> None:
    line = samples.rendered(samples.SAMPLES["line.png"])[26:66]
    (path := tmp_path / "line.png").write_bytes(encoded(Image.fromarray(line)))
    chosen(browser, path)
    read(browser)
    assert one(browser, "#flag").is_enabled()
    one(browser, "#text textarea").send_keys(Keys.CONTROL, "a")
    one(browser, "#text textarea").send_keys("INVOICE NO : 20-11-4471")
    one(browser, "#flag").click()
    browser.until(lambda _: "is stored with its text in data/feedback/ocr" in one(browser, "#flagged").text)
    flags = service.folder / "data/feedback/ocr"
    rows = [row.split("\t") for row in (flags / "labels.tsv").read_text().splitlines()]
    assert [row[1] for row in rows] == ["text", "INVOICE NO : 20-11-4471"]
    assert (flags / "images" / rows[1][0].removeprefix("images/")).read_bytes() == path.read_bytes()
    assert json.loads((flags / "flags.jsonl").read_text())["user"] == "ada"
    assert browser.complaints() == []


def test_an_example_is_read_and_paper_without_text_is_said_to_have_none(browser: Browser, tmp_path: Path) -> None:
    browser.until(lambda driver: len(driver.find_elements(By.CSS_SELECTOR, ".gallery-item img, #samples img")) == len(samples.SAMPLES))
    browser.driver.find_elements(By.CSS_SELECTOR, "#samples button.gallery-item, #samples .gallery-item")[1].click()
    assert "line.png" in shown(browser).get_attribute("src")
    read(browser)
    assert shown_text(browser)
    one(browser, "#picture [aria-label='Remove Image']").click()
    (path := tmp_path / "paper.png").write_bytes(encoded(Image.new("L", (400, 300), 245)))
    chosen(browser, path)
    assert read(browser, "No text").startswith("No text was found on this image.")
    assert (shown_text(browser), one(browser, "#boxes").is_displayed() if browser.driver.find_elements(By.ID, "boxes") else False) == (
        "",
        False,
    )
    assert browser.complaints() == []


def test_another_picture_clears_what_was_read_of_the_one_before(browser: Browser, tmp_path: Path) -> None:
    (path := tmp_path / "line.png").write_bytes(picture("line.png"))
    chosen(browser, path)
    read(browser)
    assert shown_text(browser)
    one(browser, "#picture [aria-label='Remove Image']").click()
    browser.until(lambda _: "is shown here" in one(browser, "#status").text)
    assert (shown_text(browser), one(browser, "#flag").is_enabled()) == ("", False)
    assert browser.complaints() == []


def test_a_tiff_is_read_and_its_first_page_shown(browser: Browser, tmp_path: Path) -> None:
    first, second = (Image.fromarray(samples.rendered(samples.SAMPLES[name])) for name in ("receipt.png", "line.png"))
    first.save(path := tmp_path / "scan.tif", save_all=True, append_images=[second])
    chosen(browser, path)
    read(browser)
    shown_ = browser.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "#boxes img"))
    browser.until(lambda _: shown_[0].get_property("naturalHeight") == 408)


def test_what_is_no_picture_is_refused_in_words(browser: Browser, tmp_path: Path) -> None:
    one(browser, "#read").click()
    browser.until(lambda _: "There is no image yet" in one(browser, "#status [role=alert]").text)
    (path := tmp_path / "no.png").write_bytes(b"a receipt, I believe")
    browser.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "#picture input[type=file]"))[0].send_keys(str(path))
    browser.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "#picture img[src*='file=']"))
    assert "is not a picture this service reads" in read(browser, "is not a picture")


def test_a_picture_is_taken_with_the_camera(browser: Browser) -> None:
    for button in ("[aria-label='Capture from camera']", "[title='grant webcam access'] button", "[aria-label='capture photo']"):
        browser.until(lambda driver, button=button: driver.find_elements(By.CSS_SELECTOR, f"#picture {button}"))[0].click()
    browser.until(lambda _: shown(browser).size["width"] > 100)
    assert "flip" not in (one(browser, "#picture").get_attribute("innerHTML") or "")  # what is mirrored cannot be read
    read(browser)
    assert browser.complaints() == []


def test_a_job_that_waits_says_where_it_stands(browser: Browser, service: Service, tmp_path: Path) -> None:
    (path := tmp_path / "line.png").write_bytes(picture("line.png"))
    chosen(browser, path)
    workers = [child for child in psutil.Process(service.process.pid).children(recursive=True) if "worker" in " ".join(child.cmdline())]
    assert workers
    for worker in workers:
        worker.suspend()
    try:
        waits = read(browser, "in the queue")
        assert not one(browser, "#read").is_enabled()
        assert browser.driver.find_elements(By.CSS_SELECTOR, "#status progress")
        one(browser, "#cancel").click()
        browser.until(lambda _: "The job is cancelled." in one(browser, "#status").text)
        read(browser, "in the queue")
    finally:
        for worker in workers:
            worker.resume()
    assert waits == "Waiting in the queue: this one is next."
    browser.until(lambda _: "Read by the queue" in one(browser, "#status").text)
    assert shown_text(browser)
    assert browser.complaints() == []


def test_the_desk_fits_a_phone_and_its_frame_is_as_tall_as_what_it_shows(browser: Browser, tmp_path: Path) -> None:
    (path := tmp_path / "receipt.png").write_bytes(picture("receipt.png"))
    chosen(browser, path)
    read(browser)
    for size in ((390, 844), (1280, 900)):
        browser.resize(*size)
        browser.until(lambda driver: driver.execute_script("return document.documentElement.scrollHeight <= innerHeight"))
        assert browser.driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        browser.driver.switch_to.default_content()
        assert browser.driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        browser.driver.switch_to.frame("desk")
