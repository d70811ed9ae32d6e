"""Complete or absent: whatever stops the writer, the disk included."""

import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines import folders
from tests.conftest import environment


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for text in ("one", "two"):
        with folders.replacing(target) as out:
            (out / "file").write_text(text)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (target / "file").read_text() == "two"


def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with folders.replacing(target) as out:
        (out / "file").write_text("one")
    with pytest.raises(RuntimeError), folders.replacing(target) as out:
        (out / "file").write_text("two")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (target / "file").read_text() == "one"


FULL = """
import resource, signal
from pathlib import Path
from pipelines import folders
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from pipelines import errors
with errors.printed_once(), folders.replacing(Path("models/digits-adam")) as out:
    (out / "small").write_bytes(b"x" * 1000)
    (out / "large").write_bytes(b"x" * 1_000_000)
"""


def test_a_full_disk_is_named_with_the_remedy(tmp_path: Path) -> None:
    """The kernel refuses to let a file grow past a limit, as it refuses on a full disk."""
    done = subprocess.run([sys.executable, "-c", FULL], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    for word in ("models/digits-adam", "MB free", "Free some space", "resumes"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "models").iterdir())


BEGIN = """
import os, shutil, signal
from pathlib import Path
from pipelines import folders
def kill(): os.kill(os.getpid(), signal.SIGKILL)
"""
WRITING = """
with folders.replacing(Path("model")) as out:
    (out / "file").write_text("new")
    kill()
"""
RENAMING = """
rename = Path.rename
def once(path, target): rename(path, target), kill()
Path.rename = once
with folders.replacing(Path("model")) as out:
    (out / "file").write_text("new")
"""
REMOVING = """
def cut_off(folder, **options): (folder / "file").unlink(), kill()
shutil.rmtree = cut_off
with folders.replacing(Path("model")) as out:
    (out / "other").write_text("new")
"""


def killed(folder: Path, code: str) -> None:
    """A process that is killed while it replaces `folder`/model, after which something is left beside it."""
    done = subprocess.run([sys.executable, "-c", BEGIN + code], cwd=folder, env=environment(), check=False)
    assert done.returncode == -signal.SIGKILL
    assert beside(folder)


def beside(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name != "model"]


def replace(folder: Path, text: str) -> None:
    with folders.replacing(folder) as out:
        (out / "file").write_text(text)


def replaced_in_vain(folder: Path) -> None:
    with pytest.raises(RuntimeError), folders.replacing(folder):
        raise RuntimeError


@pytest.mark.parametrize("code", [WRITING, RENAMING, REMOVING])
def test_what_a_killed_writer_left_is_removed(tmp_path: Path, code: str) -> None:
    replace(tmp_path / "model", "old")
    killed(tmp_path, code)
    replace(tmp_path / "model", "next")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "file"]


def test_a_writer_killed_between_its_renames_loses_nothing(tmp_path: Path) -> None:
    replace(tmp_path / "model", "old")
    killed(tmp_path, RENAMING)
    assert not (tmp_path / "model").exists()
    (tmp_path / ".model.old-copy").mkdir()
    replaced_in_vain(tmp_path / "model")
    assert (tmp_path / "model/file").read_text() == "old"
    assert beside(tmp_path) == [".model.old-copy"]


def test_half_an_old_folder_never_comes_back(tmp_path: Path) -> None:
    """The writer is killed while it removes the old folder, and DVC removes the new one before it runs the stage again."""
    replace(tmp_path / "model", "old")
    killed(tmp_path, REMOVING)
    shutil.rmtree(tmp_path / "model")
    replaced_in_vain(tmp_path / "model")
    assert not list(tmp_path.iterdir())


ELSEWHERE = f"{'0' * 16}-1-1"


def test_what_another_boot_or_machine_left_stays_but_for_an_old_folder_that_is_all_there_is(tmp_path: Path) -> None:
    for kind in ("draft", "old"):
        replace(tmp_path / f".model.{kind}-{ELSEWHERE}-{'0' * 16}", "elsewhere")
    replaced_in_vain(tmp_path / "model")
    assert (tmp_path / "model/file").read_text() == "elsewhere"
    replace(tmp_path / "model", "new")
    assert beside(tmp_path) == [f".model.draft-{ELSEWHERE}-{'0' * 16}"]


CONTAINER = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
REPLACING = """
with folders.replacing(Path("model")) as out:
    (out / "file").write_text("theirs")
"""


def can_unshare() -> bool:
    return shutil.which("unshare") is not None and not subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode


@pytest.mark.parametrize("inside", [[], CONTAINER], ids=["process", "container"])
def test_the_draft_of_a_live_writer_is_left_alone(tmp_path: Path, inside: list[str]) -> None:
    """Also by a process in a container, where the writer's number is nobody's."""
    if inside and not can_unshare():
        pytest.skip("no process namespaces here")
    with folders.replacing(tmp_path / "model") as out:
        (out / "file").write_text("ours")
        subprocess.run([*inside, sys.executable, "-c", BEGIN + REPLACING], cwd=tmp_path, env=environment(), check=True)
        assert (tmp_path / "model/file").read_text() == "theirs"
        assert beside(tmp_path) == [out.name]
    assert (tmp_path / "model/file").read_text() == "ours"
    assert beside(tmp_path) == []


def test_two_threads_replace_one_folder_at_once(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=30)

    def work(text: str) -> None:
        for _ in range(20):
            with folders.replacing(tmp_path / "model") as out:
                (out / "one").write_text(text)
                both.wait()
                (out / "two").write_text(text)

    with ThreadPoolExecutor() as pool:
        list(pool.map(work, "ab"))
    assert (tmp_path / "model/one").read_text() == (tmp_path / "model/two").read_text()
    assert beside(tmp_path) == []


def test_a_folder_that_comes_between_the_renames_is_replaced_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename, target = Path.rename, tmp_path / "model"
    replace(target, "old")

    def between(path: Path, new: Path) -> Path:
        renamed = rename(path, new)
        if ".old-" in new.name:
            monkeypatch.setattr(Path, "rename", rename)
            replace(target, "between")
        return renamed

    monkeypatch.setattr(Path, "rename", between)
    replace(target, "last")
    assert (target / "file").read_text() == "last"
    assert beside(tmp_path) == []


def test_a_draft_that_is_gone_leaves_the_old_folder(tmp_path: Path) -> None:
    replace(tmp_path / "model", "old")
    with pytest.raises(FileNotFoundError), folders.replacing(tmp_path / "model") as out:
        shutil.rmtree(out)
    assert (tmp_path / "model/file").read_text() == "old"
    assert beside(tmp_path) == []


def test_a_name_may_hold_what_means_something_in_a_pattern(tmp_path: Path) -> None:
    replace(tmp_path / "model", "old")
    killed(tmp_path, WRITING)
    (left,) = beside(tmp_path)
    (tmp_path / left).rename(tmp_path / left.replace("model", "[a]*"))
    replace(tmp_path / "[a]*", "new")
    assert beside(tmp_path) == ["[a]*"]


def test_threads_write_one_text_file_at_once(tmp_path: Path) -> None:
    def work(text: str) -> None:
        for _ in range(30):
            folders.write(tmp_path / "file", text * 100)

    with ThreadPoolExecutor() as pool:
        list(pool.map(work, "abcd"))
    assert len(set((tmp_path / "file").read_text())) == 1
    assert beside(tmp_path) == ["file"]


def test_an_array_cut_off_by_the_disk_is_named_too(tmp_path: Path) -> None:
    """NumPy gives no errno for a short write."""
    code = FULL.replace(
        '(out / "large").write_bytes(b"x" * 1_000_000)', 'import numpy; numpy.save(out / "large.npy", numpy.zeros(100_000))'
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, "Free some space" in done.stderr) == (1, True)
    assert not list((tmp_path / "models").iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_no_space_left_is_the_same_error(tmp_path: Path) -> None:
    with (
        pytest.raises(folders.WriteFailed, match="No space left"),
        folders.replacing(tmp_path / "model"),
        Path("/dev/full").open("w") as full,
    ):
        full.write("x" * 100_000)
    assert not list(tmp_path.iterdir())


def test_a_text_file_is_the_old_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "below" / "file.json"
    folders.write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        folders.write_json(path, {"a": float("nan")})
    with pytest.raises(OSError, match="cut"), folders.drafted(path) as draft:
        draft.write_text("half")
        raise OSError("cut")
    assert path.read_text() == '{\n  "a": 1\n}\n'
    folders.write(path, b"\xff")
    assert path.read_bytes() == b"\xff"
    assert [found.name for found in path.parent.iterdir()] == ["file.json"]


def test_the_canonical_form_does_not_depend_on_order() -> None:
    assert folders.hash_of({"a": 1, "b": [1, 2]}) == folders.hash_of({"b": [1, 2], "a": 1})
    assert folders.hash_of({"a": 1}) != folders.hash_of({"a": 2})
