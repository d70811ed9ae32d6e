"""Has a process ended? Known by its name, from wherever that can be seen."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipelines import processes


def test_a_process_is_known_by_more_than_its_number() -> None:
    name = processes.myself()
    assert not processes.gone(name)
    assert processes.gone(f"{name}9"), "another process of the same number"
    assert not processes.gone(f"elsewhere:{os.getpid()}:1.00"), "what runs elsewhere is not seen from here"
    assert processes.gone(f"{processes.scope()}:{2**22 + 1}:1.00")


@pytest.mark.skipif(sys.platform != "linux", reason="psutil's own time is compared elsewhere")
def test_a_clock_that_is_set_makes_nobody_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    name = processes.myself()
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: 1.0)
    assert not processes.gone(name)


@pytest.mark.skipif(sys.platform != "linux", reason="psutil reads it elsewhere")
def test_a_process_of_any_name_is_known(tmp_path: Path) -> None:
    program = tmp_path / "a) S 1 (b 2"
    program.symlink_to("/bin/cat")
    with subprocess.Popen([program], stdin=subprocess.PIPE) as process:
        name = processes.named(process.pid)
        assert int(name.rpartition(":")[2]) >= int(processes.myself().rpartition(":")[2]), "ticks, since which it runs"
        assert not processes.gone(name)
        process.kill()
        process.wait()
        assert processes.gone(name)


def test_a_process_that_is_hidden_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another user, with /proc mounted so that nobody sees those."""
    name = f"{processes.scope()}:{2**22 + 1}:1.00"

    def refused(*_: int) -> None:
        raise PermissionError

    assert processes.gone(name)
    monkeypatch.setattr(os, "kill", refused)
    assert not processes.gone(name)
