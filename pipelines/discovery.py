"""Families and their candidates, found by the files of conf/; a module of a family, found by its name."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

CONF = Path(__file__).parents[1] / "conf"


class UnknownFamily(LookupError):
    """A family, or candidate, that has no page in conf/."""


class ReservedName(ValueError):
    """A family that is named like a package."""


def names() -> list[str]:
    """Every family: one page in conf/family/ each."""
    return sorted(page.stem for page in (CONF / "family").glob("*.yaml"))


def candidates(family: str) -> list[str]:
    """Every candidate of a family: its pages conf/candidate/<family>-<name>.yaml."""
    return sorted(page.stem for page in (CONF / "candidate").glob(f"{validate(family)}-*.yaml"))


def validate(family: str) -> str:
    """The name itself. Raises UnknownFamily, naming the choices, or ReservedName."""
    if family not in names():
        raise UnknownFamily(f"family={family!r} is unknown. Choose one of: {', '.join(names())}.")
    if _reserved(family):
        raise ReservedName(f"family={family!r} has the name of a package of pipelines/ or serving/. Rename conf/family/{family}.yaml.")
    return family


def _reserved(family: str) -> bool:
    """A bento leaves out the folders that are named like other families."""
    endpoint = CONF.parent / "serving" / family
    return (CONF.parent / "pipelines" / family).is_dir() or (endpoint.is_dir() and not (endpoint / "service.py").is_file())


def family_of(candidate: str) -> str:
    """The family of a candidate. Raises UnknownFamily, naming all candidates."""
    every = {name: family for family in names() for name in candidates(family)}
    if candidate not in every:
        raise UnknownFamily(f"candidate={candidate!r} is unknown. Choose one of: {', '.join(every)}.")
    return every[candidate]


def part(family: str, name: str) -> ModuleType:
    """A module of a family, such as part('digits', 'fit')."""
    return import_module(f"pipelines.families.{validate(family)}.{name}")
