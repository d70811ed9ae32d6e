"""`make batch`: one row for each input of every kind of source, whatever is broken, killed or full."""

import asyncio
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw, ImageFont
from pyarrow import parquet

from benchmarks import example
from pipelines import discovery
from pipelines.errors import BadSetting
from pipelines.registry import store
from serving.batch import claims, plan, report, rows, sources, worker, workers
from serving.batch.plan import OtherBatch, Run
from serving.problems import Refusal
from tests.conftest import environment
from tests.forms import encoded
from tests.services import stored, until

MOST = 1_000_000
PICTURES = {"a.png": b"one", "b/a.png": b"two", "b/c.png": b"three"}


def as_folder(at: Path, files: dict[str, bytes] = PICTURES) -> Path:
    for name, content in files.items():
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).write_bytes(content)
    return at


def as_tar(at: Path, files: dict[str, bytes] = PICTURES) -> Path:
    with tarfile.open(at.with_suffix(".tar"), "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return at.with_suffix(".tar")


def as_parquet(at: Path, files: dict[str, bytes] = PICTURES) -> Path:
    table = pa.table({"name": list(files), "label": list(range(len(files))), "image": pa.array(files.values(), pa.binary())})
    parquet.write_table(table, at.with_suffix(".parquet"), row_group_size=2)
    return at.with_suffix(".parquet")


def as_images(at: Path, files: dict[str, bytes] = PICTURES) -> Path:
    """As Hugging Face's data sets have them."""
    images = [{"bytes": content, "path": name} for name, content in files.items()]
    parquet.write_table(pa.table({"name": list(files), "image": images}), at.with_suffix(".parquet"))
    return at.with_suffix(".parquet")


def as_list(at: Path, files: dict[str, bytes] = PICTURES) -> Path:
    as_folder(at, files)
    path = at.with_suffix(".txt")
    path.write_text("".join(f"{at.name}/{name}\n\n" for name in files))
    return path


KINDS = {"folder": as_folder, "tar": as_tar, "parquet": as_parquet, "images": as_images, "list": as_list}


def read(path: Path, first: int = 0, most: int = MOST) -> list[tuple[str, bytes | str]]:
    """(name, content, or why there is none) of every entry from the `first`."""
    source = sources.opened(path)
    entries = list(source.entries())[first:]
    found = [content if isinstance(content, bytes) else content.reason for content in source.contents(entries, most)]
    return [(entry.name.removeprefix("inputs/"), content) for entry, content in zip(entries, found, strict=True)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_source_gives_every_input_in_order(tmp_path: Path, kind: str) -> None:
    path = KINDS[kind](tmp_path / "inputs")
    assert read(path) == list(PICTURES.items())
    assert read(path, first=2) == list(PICTURES.items())[2:], "a shard that begins within a group of rows"
    assert [content for _, content in read(path, most=3)] == [b"one", b"two", "body too large"]


def test_what_cannot_be_read_is_an_input_too(tmp_path: Path) -> None:
    folder = as_folder(tmp_path / "inputs", {"a.png": b"one", ".hidden": b"", ".git/config": b""})
    os.mkfifo(folder / "b.fifo")
    (folder / "c.link").symlink_to("nowhere")
    (folder / "d").symlink_to(folder)
    assert read(folder) == [("a.png", b"one"), ("b.fifo", "not a file"), ("c.link", "not readable")]
    (tmp_path / "list").write_text("inputs/a.png\nnowhere.png\ninputs\n")
    assert [content for _, content in read(tmp_path / "list")] == [b"one", "not readable", "not a file"]
    parquet.write_table(pa.table({"image": pa.array([b"one", None], pa.binary())}), tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet") == [("0", b"one"), ("1", "not readable")]


def test_two_files_of_one_name_in_a_tar_are_two_inputs(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    for content in (b"one", b"two"):
        with tarfile.open(path, "a") as archive:
            member = tarfile.TarInfo("a.png")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert read(path) == [("a.png", b"one"), ("a.png", b"two")]


def test_a_source_that_is_none_says_what_one_is(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"")
    (tmp_path / "list").write_bytes(b"\0\1")
    cut = as_tar(tmp_path / "cut", {"a": b"x" * 100_000})
    cut.write_bytes(cut.read_bytes()[:50_000])
    parquet.write_table(pa.table({"text": ["a"]}), tmp_path / "text.parquet")
    (tmp_path / "no.parquet").write_bytes(b"PAR1")
    for name, words in {
        "nowhere": "is not there",
        "x.tar.gz": "compressed",
        "list": "no text",
        "cut.tar": "not a complete tar",
        "text.parquet": "0 columns of bytes; one is needed. Its columns: text",
        "no.parquet": "not a Parquet file",
    }.items():
        with pytest.raises(BadSetting, match=words):
            list(sources.opened(tmp_path / name).entries())
            next(sources.opened(tmp_path / name).contents([sources.Entry("0", 0)], MOST))


def test_a_tar_s_members_are_not_remembered(tmp_path: Path) -> None:
    path = as_tar(tmp_path / "x", {f"{number}": b"" for number in range(50)})
    entries = sources.opened(path).entries()
    assert len(list(islice(entries, 25))) == 25
    assert entries.gi_frame is not None  # type: ignore[attr-defined]
    assert len(entries.gi_frame.f_locals["archive"].members) == 0  # type: ignore[attr-defined]


@pytest.fixture
def pointer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> store.Pointer:
    """A champion of digits with one random layer, in the working directory."""
    monkeypatch.chdir(tmp_path)
    return stored(tmp_path, 1)


def digits(at: Path, count: int = 10) -> Path:
    """So many pictures of digits, and one file that is none."""
    noise = np.random.default_rng(0).integers(0, 2, (count, 28, 28), np.uint8) * 255
    noise[:, 4:24, 4:24] = 255 - noise[:, 4:24, 4:24] // 2
    files = {f"{number:05}.png": encoded(Image.fromarray(255 - image)) for number, image in enumerate(noise)}
    return as_folder(at, {**files, "x.txt": b"no picture"})


def prepared(pointer: store.Pointer, source: Path, processes: int = 1) -> Run:
    run = plan.prepared(source, Path("out"), pointer, processes)
    plan.clear(run)
    return run


def answered(run: Run, shards: list[int] | None = None) -> list[dict[str, Any]]:
    """The rows of a batch, answered in this process."""
    source, model = sources.opened(run.source), worker.loaded(run)
    for shard in claims.claimed(run, "test") if shards is None else shards:
        asyncio.run(worker.answer(run, shard, source, model))
    return [row for shard in run.done() for row in rows.read(run.answers(shard), rows.Row._fields)]


def test_every_input_has_one_row_and_a_broken_one_its_reason(pointer: store.Pointer) -> None:
    run = prepared(pointer, digits(Path("inputs")))
    assert run.shards > 3
    found = answered(run)
    assert [row["number"] for row in found] == list(range(11))
    assert [row["input"] for row in found] == [*(f"{number:05}.png" for number in range(10)), "x.txt"]
    assert {row["reason"] for row in found[:10]} == {None}
    assert (found[10]["reason"], found[10]["answer"]) == ("not a picture", None)
    assert {(row["version"], row["digest"]) for row in found} == {(1, pointer["model"]["digest"])}
    for row in found[:10]:
        answer = json.loads(row["answer"])
        assert answer["model"] == pointer["model"]
        assert (row["result"], row["confidence"]) == (str(answer["prediction"]), answer["confidence"])
        assert row["prediction_id"] == answer["prediction_id"]


def picture(family: str) -> bytes:
    """A file that the family's service answers, drawn here."""
    if family in {"digits", "gravures", "objects", "signatures"}:
        return example.file(family)[2]
    paper = Image.new("L", (300, 60), 255)
    ImageDraw.Draw(paper).text((10, 10), "TOTAL 12.50", 0, ImageFont.load_default(30))
    return encoded(paper)


@pytest.mark.parametrize("family", discovery.names())
def test_every_family_answers_as_its_service_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    monkeypatch.chdir(tmp_path)
    run = prepared(stored(tmp_path, 1, family), as_folder(Path("inputs"), {"a": picture(family), "b": b"no picture"}))
    first, second = answered(run)
    assert json.loads(first["answer"])["model"] == run.pointer["model"]
    assert (first["reason"], first["pages"], second["reason"]) == (None, 1, "not a picture")
    assert isinstance(first["result"], str)
    assert report.summary(run)["answered"] == 1


def test_the_summary_counts_what_the_rows_say(pointer: store.Pointer) -> None:
    run = prepared(pointer, digits(Path("inputs")))
    found = answered(run)
    said = report.write(run)
    assert {key: said[key] for key in ("inputs", "answered", "refused", "pages")} == {
        "inputs": 11,
        "answered": 10,
        "refused": 1,
        "pages": 10,
    }
    assert sum(said["results"].values()) == sum(said["confidence"]) == 10
    assert said["results"][found[0]["result"]] >= 1
    assert said["reasons"] == {"not a picture": 1}
    assert "| not a picture | 1 |" in (run.folder / report.PAGE).read_text()


def test_damaged_answers_are_named_with_the_remedy(pointer: store.Pointer) -> None:
    run = prepared(pointer, digits(Path("inputs")))
    answered(run)
    run.answers(2).write_bytes(run.answers(2).read_bytes()[:-9])
    with pytest.raises(report.Broken, match=r"000002.parquet is damaged.*Remove it"):
        report.summary(run)
    run.answers(2).unlink()
    plan.clear(run)
    assert len(answered(run)) == 11


def test_another_champion_or_source_in_the_folder_is_refused(pointer: store.Pointer) -> None:
    inputs = digits(Path("inputs"))
    prepared(pointer, inputs)
    assert prepared(pointer, inputs).inputs == 11, "the same one goes on"
    with pytest.raises(OtherBatch, match=r"version 1, now 2.*Name another folder"):
        prepared(stored(Path.cwd(), 2), inputs)
    (inputs / "one-more.png").write_bytes(b"")
    with pytest.raises(OtherBatch, match="inputs 11, now 12"):
        prepared(pointer, inputs)


def test_a_folder_that_is_in_use_or_holds_something_else_is_refused(pointer: store.Pointer) -> None:
    inputs = digits(Path("inputs"), 2)
    with plan.held(Path("out")):
        with pytest.raises(BadSetting, match="being written by another batch"), plan.held(Path("out")):
            pass
        with pytest.raises(BadSetting, match="the answers would be inputs"):
            plan.prepared(inputs, inputs / "out", pointer, 1)
    with pytest.raises(BadSetting, match="holds no batch"), plan.held(inputs):
        pass
    Path("empty").mkdir()
    with pytest.raises(BadSetting, match="holds no inputs"):
        plan.prepared(Path("empty"), Path("out"), pointer, 1)


def test_a_full_disk_is_one_sentence_and_leaves_no_half_of_a_shard(pointer: store.Pointer) -> None:
    """The kernel refuses to let a file grow past a limit, as it refuses on a full disk."""
    run = prepared(pointer, digits(Path("inputs")))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    model = worker.loaded(run)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(rows.NotWritten, match=r"000000.parquet was not written.*Free some space, and run the same command again"):
            asyncio.run(worker.answer(run, 0, sources.opened(run.source), model))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((run.folder / plan.ANSWERS).iterdir()) == []
    assert len(answered(run)) == 11


def test_two_workers_share_the_shards(pointer: store.Pointer) -> None:
    run = prepared(pointer, digits(Path("inputs")))
    one, other = claims.claimed(run, "1"), claims.claimed(run, "2")
    taken = [next(one), next(other), next(one), *other]
    assert sorted(taken) == list(range(run.shards)) == sorted({*taken})
    assert list(one) == []


def test_an_input_at_which_workers_die_is_a_row_in_the_end(pointer: store.Pointer) -> None:
    """A death is what claims.release notes; the third worker does not read the input."""
    run = prepared(pointer, digits(Path("inputs")))
    shard, fatal = 1, 0
    for _ in range(3):
        assert next(each for each in claims.claimed(run, "test") if each == shard) == shard
        if claims.deaths(run, shard):
            claims.note(run, shard, fatal)
        for each in range(run.shards):
            assert claims.release(run, "test") in {None, *range(run.shards)}, each
    assert claims.deaths(run, shard) == [None, fatal, fatal]
    found = answered(run, [shard])
    assert [row["reason"] for row in found] == ["fatal" if row["number"] == shard * run.size else None for row in found]


def test_a_refusal_that_is_not_the_input_s_fault_ends_the_worker(pointer: store.Pointer, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepared(pointer, digits(Path("inputs")))
    model = worker.loaded(run)

    async def away(*_: object) -> None:
        raise Refusal(503, "no database", "It is away.")

    monkeypatch.setattr(model.answers, "predict", away)
    with pytest.raises(Refusal, match="away"):
        asyncio.run(worker.answer(run, 0, sources.opened(run.source), model))


@pytest.fixture
def champion(pointer: store.Pointer) -> None:
    store.write_pointer("digits", pointer)


def batch(source: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "atelier", "batch", "digits", "--from", str(source), "--to", "out", *words]


def begun(command: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def shards() -> dict[str, int]:
    """The answered shards, and when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in Path("out/answers").glob("0*.parquet")}


def numbers() -> Iterator[int]:
    for path in sorted(Path("out/answers").glob("0*.parquet")):
        yield from (row["number"] for row in rows.read(path, ["number"]))


@pytest.mark.slow
def test_after_the_parent_is_killed_the_same_command_goes_on(champion: None) -> None:
    source = digits(Path("inputs"), 3000)
    process = begun(batch(source, "--processes", "2"))
    assert until(lambda: len(shards()) > 2, 900)
    running = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert until(lambda: not any(each.is_running() and each.status() != "zombie" for each in running)), "workers end with their parent"
    before = shards()
    assert before.keys()
    done = subprocess.run(batch(source, "--processes", "2"), env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "3,001 inputs: 3,000 answered, 1 not." in done.stdout
    assert list(numbers()) == list(range(3001))
    assert before.items() <= shards().items(), "what was answered stays"
    again = subprocess.run(batch(source), env=environment(), capture_output=True, text=True, check=False)
    assert "All 3,001 inputs are answered already." in again.stdout


@pytest.mark.slow
def test_a_killed_worker_is_replaced(champion: None) -> None:
    process = begun(batch(digits(Path("inputs"), 3000), "--processes", "2"))
    assert until(lambda: len(shards()) > 1, 900)
    found = [each for each in psutil.Process(process.pid).children(recursive=True) if "serving.batch.worker" in each.cmdline()[-5:]]
    found[0].send_signal(signal.SIGKILL)
    said = process.communicate()[0]
    assert process.returncode == 0, said
    assert "ended by SIGKILL (killed from outside, or memory ran out: see the kernel's log); another takes its place" in said
    assert "3,001 inputs: 3,000 answered, 1 not." in said
    assert list(numbers()) == list(range(3001))


def test_workers_that_cannot_answer_end_the_batch_with_their_words(pointer: store.Pointer, capsys: pytest.CaptureFixture[str]) -> None:
    from tqdm import tqdm

    from pipelines.cluster.local import Local

    run = prepared(pointer, digits(Path("inputs"), 2))
    (run.folder / plan.MODEL / "model.onnx").unlink()
    with tqdm(disable=True) as bar, pytest.raises(workers.Failed, match=r"a worker ended: BrokenModel:.*run the same command again"):
        workers.Workers(run, Local(), bar).answer(1)
