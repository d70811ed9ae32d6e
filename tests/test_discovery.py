"""Families are found by the files of conf/, and refused by name where they cannot be."""

from pathlib import Path

import pytest

from pipelines import discovery


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for conf/, with a package in pipelines/ and one in serving/ beside it."""
    for folder in ("conf/family", "conf/candidate", "pipelines/audit", "serving/auth", "serving/leaves"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "serving/leaves/service.py").touch()
    monkeypatch.setattr(discovery, "CONF", tmp_path / "conf")
    return tmp_path / "conf"


@pytest.mark.parametrize("name", ["audit", "auth"])
def test_a_family_named_like_a_package_is_refused(conf: Path, name: str) -> None:
    (conf / f"family/{name}.yaml").touch()
    with pytest.raises(discovery.ReservedName, match=rf"family='{name}' has the name of a package .* Rename conf/family/{name}.yaml"):
        discovery.validate(name)


def test_a_family_has_its_own_folder_in_serving(conf: Path) -> None:
    (conf / "family/leaves.yaml").touch()
    (conf / "candidate/leaves-small.yaml").touch()
    assert discovery.validate("leaves") == "leaves"
    assert discovery.family_of("leaves-small") == "leaves"


def test_an_unknown_candidate_is_refused_with_the_choices(conf: Path) -> None:
    (conf / "family/leaves.yaml").touch()
    (conf / "candidate/leaves-small.yaml").touch()
    with pytest.raises(discovery.UnknownFamily, match="Choose one of: leaves-small"):
        discovery.family_of("leaves-big")
