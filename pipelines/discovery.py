"""Families and their candidates, by the config files in conf/; a family's modules, by name."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

CONF = Path(__file__).parents[1] / "conf"


class UnknownFamily(LookupError):
    """A family, or candidate, that has no config file."""


class ReservedName(ValueError):
    """A family with the name of a package."""


def names() -> list[str]:
    """Every family: conf/family/<name>.yaml."""
    return sorted(file.stem for file in (CONF / "family").glob("*.yaml"))


def candidates(family: str) -> list[str]:
    """Every candidate of a family: conf/candidate/<family>-<name>.yaml."""
    return sorted(file.stem for file in (CONF / "candidate").glob(f"{validate(family)}-*.yaml"))


def validate(family: str) -> str:
    """The name itself. Raises UnknownFamily, naming the choices, or ReservedName."""
    if family not in names():
        raise UnknownFamily(f"family={family!r} is unknown. Choose one of: {', '.join(names())}.")
    endpoint = CONF.parent / "serving" / family  # a bento leaves out the folders with other families' names
    if (CONF.parent / "pipelines" / family).is_dir() or (endpoint.is_dir() and not (endpoint / "service.py").is_file()):
        raise ReservedName(f"family={family!r} has the name of a package of pipelines/ or serving/. Rename conf/family/{family}.yaml.")
    return family


def family_of(candidate: str) -> str:
    """The family of a candidate. Raises UnknownFamily, naming all candidates."""
    every = {name: family for family in names() for name in candidates(family)}
    if candidate not in every:
        raise UnknownFamily(f"candidate={candidate!r} is unknown. Choose one of: {', '.join(every)}.")
    return every[candidate]


def part(family: str, name: str) -> ModuleType:
    """A module of a family, such as part('digits', 'fit')."""
    return import_module(f"pipelines.families.{validate(family)}.{name}")
