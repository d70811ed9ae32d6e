"""Extras of pyproject.toml as requirements.lock pins them: every package they need, with version and hashes, and no other."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
TARGET = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}  # a container is Linux, whoever builds it


class NotLocked(LookupError):
    """A package that is not installed, or not in requirements.lock."""


def extras(family: str) -> list[str]:
    """What a family's endpoint needs: what every endpoint does, and where there is one the family's own."""
    return [extra for extra in ("endpoint", f"endpoint-{family}") if extra in declared()]


def declared() -> dict[str, list[str]]:
    """The extras of pyproject.toml and what they ask for."""
    optional: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return optional


def pinned(*extras: str) -> str:
    """The lines of requirements.lock that these extras need, word for word. Raises NotLocked."""
    entries = re.findall(r"^[^\s#](?:.*\\\n)*.*\n", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    needed = set().union(*(names(extra) for extra in extras))
    kept = [(entry.partition("==")[0], entry) for entry in entries if entry.partition("==")[0] in needed]
    if missing := needed - {name for name, _ in kept}:
        raise NotLocked(f"requirements.lock does not pin {', '.join(sorted(missing))}. Renew it with `make lock`.")
    return "".join(entry for _, entry in kept)


def names(extra: str) -> set[str]:
    """The packages of an extra and all that they need, read from what is installed. Raises NotLocked."""
    todo = [Requirement(line) for line in declared()[extra]]
    seen: set[tuple[str, str]] = set()
    while todo:
        asked = todo.pop()
        steps = {(canonicalize_name(asked.name), part) for part in ("", *asked.extras)} - seen
        seen |= steps
        todo += [need for name, part in steps for need in needs(name, part)]
    return {name for name, _ in seen}


def needs(name: str, extra: str) -> list[Requirement]:
    """What an installed package asks for itself, or for one of its extras."""
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        raise NotLocked(f"{name} is not installed here, so what it needs is not known. Run `make bento` on Linux.") from None
    asked = [Requirement(line) for line in lines]
    return [need for need in asked if need.marker is None or need.marker.evaluate({**TARGET, "extra": extra})]
