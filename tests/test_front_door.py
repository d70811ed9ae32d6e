"""The Makefile: every command is listed, and a wrong word names the choices."""

import re
import subprocess

import pytest

from pipelines import discovery
from tests.conftest import ROOT


def make(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony
    printed = make("help").stdout
    for target in phony[1].split():
        assert f"make {target} " in printed
    assert f"families: {' '.join(discovery.names())}" in printed


@pytest.mark.parametrize(
    "target",
    [
        "train",
        "promote",
        "experiment",
        "serve",
        "worker",
        "predict",
        "bento",
        "release",
        "rollback",
        "load",
        "history",
        "challenge",
        "sign",
    ],
)
@pytest.mark.parametrize("family", ["digit", ""])
def test_an_unknown_family_names_the_choices_before_anything_is_set_up(target: str, family: str) -> None:
    done = make(target, f"family={family}", "image=x.png")
    assert done.returncode
    assert f"family={family} is unknown. Choose one of: {' '.join(discovery.names())}" in done.stderr
    assert "Setting up" not in done.stdout


@pytest.mark.parametrize(
    ("words", "example"),
    [
        (["new-family", "name="], "name=leaves like=objects"),
        (["new-family", "name=leaves"], "name=leaves like=objects"),
        (["lineage"], "of=digits@champion"),
        (["experiment", "family=digits"], "set='digits-adam:fit.epochs=4'"),
        (["predict", "family=digits"], "image=my_image.png"),
        (["store-put"], "dataset=letters from=letters.tar"),
        (["store-put", "dataset=pages"], "from=pages.tar"),
        (["store-get", "cfg=my.cfg"], "to=letters"),
        (["darknet-export", "candidate=signatures-all"], "to=darknet"),
        (["darknet-import"], "weights=darknet/backup/network_best.weights"),
        (["gravures-add", "name=star"], "image=star.png"),
        (["gravures-remove"], "name=star"),
    ],
)
def test_a_missing_word_gives_an_example(words: list[str], example: str) -> None:
    done = make("-n", *words)
    assert done.returncode
    assert example in done.stderr


def test_the_lock_names_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    pinned = re.findall(r"^[a-z0-9][\w.-]*==", lock, re.MULTILINE)
    assert len(pinned) > 100
    assert lock.count("--hash=sha256:") >= len(pinned)
