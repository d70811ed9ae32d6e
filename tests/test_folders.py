"""Complete or absent: whatever stops the writer, the disk included."""

import subprocess
import sys
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


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".model.draft-{dead.pid}").mkdir()
    with folders.replacing(tmp_path / "model"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_writer_killed_between_its_renames_loses_nothing(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".model.old-{dead.pid}").mkdir()
    (tmp_path / f".model.old-{dead.pid}/file").write_text("old")
    (tmp_path / ".model.old-copy").mkdir()
    with pytest.raises(RuntimeError), folders.replacing(tmp_path / "model"):
        raise RuntimeError
    assert (tmp_path / "model/file").read_text() == "old"


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
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert [found.name for found in path.parent.iterdir()] == ["file.json"]


def test_the_canonical_form_does_not_depend_on_order() -> None:
    assert folders.hash_of({"a": 1, "b": [1, 2]}) == folders.hash_of({"b": [1, 2], "a": 1})
    assert folders.hash_of({"a": 1}) != folders.hash_of({"a": 2})
