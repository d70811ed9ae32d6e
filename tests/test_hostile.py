"""Hostile input against a running service: whatever comes, it refuses with a reason, in time and in bounds, and goes on answering.

`make test` runs the quick part, `make fuzz` the long one as well.
"""

import base64
import json
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from pipelines import discovery
from serving import problems
from serving.inputs.pictures import LIGHT_BYTES
from serving.jobs import tasks
from serving.many import MOST
from tests import corpus, papers, services, tiffs
from tests.corpus import Body
from tests.services import Service

pytestmark = pytest.mark.slow

PATIENCE = 20  # seconds for one answer, also on a busy machine: the slowest body of the corpus takes five on a quiet one
MEMORY = 1250  # megabytes at the highest, server and worker together: 1,000 measured, two pictures of 24 megapixels being decoded at once
SWARM = 50  # clients that leave in the middle
BATCH = "/predict/batch"
DIGITS = pytest.mark.parametrize("service", ["digits"], indirect=True)  # what one family shows for all
OBJECTS = pytest.mark.parametrize("service", ["objects"], indirect=True)  # where many pictures come in one request
PICTURES = [group for group in corpus.QUICK if group not in {"documents", "forms"}]
GROUPS = [("digits", group) for group in corpus.QUICK]  # all of them where one family shows for all, and of the others those that are quick
GROUPS += [(family, group) for family in discovery.names() if family != "digits" for group in ("claims", "documents", "forms", "modes")]
GROUPS += [("signatures", group) for group in papers.GROUPS]
READ = {family: {"tiff", "tiff-lzw"} for family in ("ocr", "signatures")}  # formats beside those that every family reads
GROUPS += [(family, group) for family in READ for group in tiffs.GROUPS]
LONG = corpus.LONG | {"papers": lambda: papers.damaged(100)}
CORPUS = corpus.QUICK | papers.GROUPS | tiffs.GROUPS
OTHERS = 8  # requests that a batch lets by: more than can slip in before its reading begins
IDLE = 320  # clients that stay in the middle: more than the queue is long
OTHER = {"image/png": "image/jpeg", "image/jpeg": "image/webp", "image/webp": "image/png"}
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n"
CHUNKED = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
UNFINISHED = {
    "nothing": b"",
    "half a line": HEAD[:9],
    "half a head": HEAD,
    "a head": HEAD + b"\r\n",
    "half a body": HEAD + b"\r\n" + bytes(50_000),
    "half a chunk": CHUNKED + b"ffff\r\nabc",
    "no last chunk": CHUNKED + b"3\r\nabc\r\n",
    "half a form": HEAD.replace(b"image/png", corpus.FORM.encode()) + b"\r\n" + corpus.part(corpus.disposition(b"image", b"a.png")),
}
MALFORMED = {
    "no http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "another protocol": b"EHLO x\r\n\r\n",
    "negative length": HEAD.replace(b"100000", b"-1") + b"\r\n",
    "endless length": HEAD.replace(b"100000", b"9" * 40) + b"\r\n",
    "two lengths": HEAD + b"Content-Length: 3\r\n\r\nabc",
    "length and chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunk": CHUNKED + b"zz\r\nabc\r\n",
    "huge chunk": CHUNKED + b"f" * 16 + b"\r\nabc",
    "huge header": HEAD + b"X: " + b"x" * 1_000_000 + b"\r\n\r\n",
    "many headers": HEAD + b"X: x\r\n" * 100_000 + b"\r\n",
    "huge path": b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "nul in a header": HEAD + b"X: \0\r\n\r\n",
    "http/0.9": b"GET /\r\n\r\n",
    "upgrade": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.fixture(scope="module", params=discovery.names())
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder, family = tmp_path_factory.mktemp("project"), request.param
    without_workers = ["--jobs", "0"] if tasks.of(family) else []
    with services.running(folder, {1: services.stored(folder, 1, family)}, services.make_serve(family, *without_workers)) as running:
        running.client.timeout = httpx.Timeout(PATIENCE)
        yield running


@pytest.fixture(scope="module")
def documented(service: Service) -> set[int]:
    return statuses(service, service.path)


def statuses(service: Service, path: str) -> set[int]:
    """The statuses that the service says this path answers with."""
    return {int(status) for status in service.client.get("/openapi.json").json()["paths"][path]["post"]["responses"]}


def ways(body: Body) -> Iterator[dict[str, Any]]:
    """As it is; a picture also under another content type, and as a file whose name says something else again."""
    yield {"content": body.content, "headers": {"content-type": body.kind}}
    if body.is_picture:
        yield {"content": body.content, "headers": {"content-type": OTHER.get(body.kind, "image/png")}}
    if body.is_picture or body.kind == papers.KIND:
        yield {"files": {"image": ("seven.txt", body.content, "text/plain")}}
    if body.kind == papers.KIND:
        yield {"json": {"image": base64.b64encode(body.content).decode()}}


def faults(response: httpx.Response, documented: set[int]) -> str:
    """What is wrong with an answer, if anything: an undocumented status, a failure, a refusal of another shape."""
    status, kind = response.status_code, response.headers["content-type"]
    if status not in documented or (status >= 500 and status != 503):
        return f"{status}: {response.text[:300]}"
    if status != 200 and (kind != problems.MEDIA_TYPE or len(response.content) > 2000):
        return f"{status} with {kind}, {len(response.content)} bytes: {response.text[:300]}"
    return ""


def asked(service: Service, documented: set[int], body: Body) -> list[str]:
    """Each way of sending a body that was not answered as it should be."""
    wrong = []
    for number, request in enumerate(ways(body)):
        try:
            fault = faults(service.predict(**request), documented)
        except httpx.HTTPError as error:
            fault = repr(error)
        wrong += [f"{body.name}, way {number}: {fault}"] if fault else []
    return wrong


def holds(service: Service, documented: set[int], bodies: Iterator[Body]) -> None:
    """Every body is answered or refused, and the service stands."""
    wrong = [fault for body in bodies for fault in asked(service, documented, body)]
    assert wrong == []
    stands(service)


def stands(service: Service) -> None:
    """A good picture is answered, by the worker that was there at the start; its memory kept in bounds, and nothing fell through."""
    response = service.predict(files={"image": corpus.intact("png").content})
    assert response.status_code == 200, response.text
    assert response.json()["model"] == service.pointers[1]["model"]
    assert service.log().count("Started server process") == 1
    assert "traceback" not in service.log().lower(), service.log()[-5000:]
    assert peak(service) < MEMORY, f"{peak(service):.0f} MB"


def peak(service: Service) -> float:
    """Megabytes that the service's processes took at their highest, added up; where the system does not say, what they take now."""
    server = psutil.Process(service.process.pid)
    return sum(highest(process) for process in [server, *server.children(recursive=True)]) / 1e6


def highest(process: psutil.Process) -> int:
    try:
        words = Path(f"/proc/{process.pid}/status").read_text().partition("VmHWM:")[2].split()
        return int(words[0]) * 1024
    except FileNotFoundError:
        return int(process.memory_info().rss)


def connected(service: Service) -> socket.socket:
    url = service.client.base_url
    return socket.create_connection((url.host, url.port), timeout=PATIENCE)


def exchanged(service: Service, sent: bytes) -> bytes:
    """Send bytes over a connection of its own, close one's half, and read what comes until the other side closes."""
    with connected(service) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65_536), b""))
        except ConnectionError:  # it closed first: that is a refusal too
            return b""


def left(service: Service, sent: bytes) -> None:
    """Send bytes over a connection of its own, and be gone."""
    with connected(service) as connection:
        connection.sendall(sent)


@pytest.mark.parametrize("body", corpus.originals(), ids=lambda body: body.name)
def test_a_whole_picture_is_answered_in_the_formats_that_are_read(service: Service, body: Body) -> None:
    statuses = {service.predict(**request).status_code for request in ways(body)}
    read = {*corpus.READ} | READ.get(service.family, set())
    assert statuses <= ({200, 415} if body.name == "mpo" else {200} if body.name in read else {415})


@pytest.mark.parametrize(("service", "group"), GROUPS, indirect=["service"])
def test_every_body_is_answered_or_refused_with_a_documented_problem(service: Service, documented: set[int], group: str) -> None:
    holds(service, documented, CORPUS[group]())


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("group", LONG)
def test_every_body_of_the_long_corpus_is_answered_or_refused(service: Service, documented: set[int], group: str) -> None:
    holds(service, documented, LONG[group]())


@DIGITS
@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_http_is_refused_or_cut_off(service: Service, sent: bytes) -> None:
    answer = exchanged(service, sent)
    assert not answer.startswith(b"HTTP/1.1 5"), answer
    stands(service)


@DIGITS
@pytest.mark.parametrize("sent", UNFINISHED.values(), ids=UNFINISHED)
def test_clients_that_close_in_the_middle_leave_the_service_as_it_was(service: Service, sent: bytes) -> None:
    for _ in range(SWARM):
        left(service, sent)
    stands(service)


@DIGITS
def test_clients_that_stay_in_the_middle_keep_nobody_waiting(service: Service) -> None:
    with ExitStack() as stack:
        for sent in [*UNFINISHED.values()] * (IDLE // len(UNFINISHED)):
            stack.enter_context(connected(service)).sendall(sent)
        stands(service)
    stands(service)


@DIGITS
def test_many_large_pictures_at_once_are_answered_in_turn(service: Service, documented: set[int]) -> None:
    bodies = [Body("large", corpus.black(corpus.LARGE, colour, depth)) for colour, depth in [(6, 16), (0, 16), (4, 8), (6, 8)] * 2]
    with ThreadPoolExecutor(len(bodies)) as pool:
        assert [*chain.from_iterable(pool.map(lambda body: asked(service, documented, body), bodies))] == []
    stands(service)


def packets(bodies: Iterator[Body], megabytes: float = 9) -> Iterator[list[Body]]:
    """As many bodies as one batch takes."""
    packet: list[Body] = []
    for body in bodies:
        if len(packet) == MOST or sum(len(one.content) for one in [*packet, body]) > megabytes * 1e6:
            yield packet
            packet = []
        packet.append(body)
    yield packet


def images(bodies: list[Body]) -> list[tuple[str, tuple[str, bytes, str]]]:
    """Files in one multipart field."""
    return [("images", (body.name, body.content, body.kind)) for body in bodies]


def batch(service: Service, bodies: list[Body]) -> httpx.Response:
    return service.predict(BATCH, files=images(bodies))


@OBJECTS
@pytest.mark.parametrize("group", PICTURES)
def test_every_picture_of_a_batch_is_answered_or_refused(service: Service, documented: set[int], group: str) -> None:
    for packet in packets(corpus.QUICK[group]()):
        response = batch(service, packet)
        assert response.status_code == 200, response.text
        results = response.json()["results"]
        assert len(results) == len(packet)
        wrong = [(body.name, result) for body, result in zip(packet, results, strict=True) if not settled(result, documented)]
        assert wrong == []
    stands(service)


def settled(result: dict[str, Any], documented: set[int]) -> bool:
    """Answered, or refused as the description says."""
    status = 200 if result["success"] else result["problem"]["status"]
    return status in documented and (status < 500) and (status != 200 or "prediction" in result)


@OBJECTS
def test_every_multipart_body_of_a_batch_is_answered_or_refused(service: Service) -> None:
    documented = statuses(service, BATCH)
    sent = [body._replace(content=body.content.replace(b'name="image"', b'name="images"')) for body in corpus.forms()]
    answers = {body.name: service.predict(BATCH, content=body.content, headers={"content-type": body.kind}) for body in sent}
    assert {name: fault for name, response in answers.items() if (fault := faults(response, documented))} == {}
    assert {response.status_code for response in answers.values()} >= {200, 400, 422}
    stands(service)


@OBJECTS
@pytest.mark.parametrize("side", [96, 192], ids=["light", "heavy"])
@pytest.mark.parametrize(("size", "count"), [(corpus.LARGE, 8), ((1500, 1500), MOST)], ids=["large", "many"])
def test_a_batch_keeps_nobody_else_waiting(service: Service, size: tuple[int, int], count: int, side: int) -> None:
    """Another picture, sent once the batch is all there, is answered before it, also one that is read in a thread as the batch's are."""
    sent, other = begun(service, [Body("black", corpus.black(size, colour=4))] * count), corpus.intact("png", side).content
    assert (len(other) > LIGHT_BYTES) == (side > 96)
    with sent:
        assert [service.predict(files={"image": other}).status_code for _ in range(OTHERS)] == [200] * OTHERS
        assert not answered(sent)
        answer = b"".join(iter(lambda: sent.recv(65_536), b""))
    results = json.loads(answer.partition(b"\r\n\r\n")[2])["results"]
    assert [result["success"] for result in results] == [True] * count
    stands(service)


def begun(service: Service, bodies: list[Body]) -> socket.socket:
    """A connection of its own over which a batch has been sent."""
    request = httpx.Request("POST", service.client.base_url.join(BATCH), files=images(bodies), headers={"Connection": "close"})
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    connection = connected(service)
    connection.settimeout(3 * PATIENCE)
    connection.sendall(f"POST {BATCH} HTTP/1.1\r\n{head}\r\n".encode() + request.read())
    return connection


def answered(connection: socket.socket) -> bool:
    """Has anything come back?"""
    return bool(select.select([connection], [], [], 0)[0])


@OBJECTS
@pytest.mark.long
def test_the_largest_batch_is_answered_or_given_up_in_time(service: Service) -> None:
    documented = statuses(service, BATCH)
    for colour, depth in [(0, 1), (6, 16)]:
        large = Body("large", corpus.black(corpus.LARGE, colour, depth))
        response = service.client.post(BATCH, files=images([large] * min(MOST, int(9e6 / len(large.content)))), timeout=3 * PATIENCE)
        assert faults(response, documented) == ""
        stands(service)


def test_the_service_keeps_its_own_description(service: Service, tmp_path: Path) -> None:
    described(service, tmp_path, seconds=8)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_service_keeps_its_own_description_at_length(service: Service, tmp_path: Path) -> None:
    described(service, tmp_path, seconds=120)


def described(service: Service, folder: Path, seconds: int) -> None:
    """All checks of schemathesis but two: a picture that fits the description may be blank, and is refused then; a job that was
    cancelled is told as cancelled, and not forgotten.
    """
    words = ["--max-examples", 5000, "--seed", corpus.SEED, "--request-timeout", PATIENCE, "--max-time", seconds]
    words += [
        "--exclude-checks",
        "positive_data_acceptance,use_after_free",
        "--continue-on-failure",
        "--no-color",
        "--generation-database",
        "none",
    ]
    command = [Path(sys.executable).with_name("st"), "run", f"{service.client.base_url}/openapi.json", *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=seconds + 60)
    assert done.returncode == 0, done.stdout + done.stderr
    stands(service)
