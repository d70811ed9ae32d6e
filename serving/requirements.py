"""The packages that extras of pyproject.toml need, with versions and hashes, as requirements.lock pins them."""

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
    """The extras of a family's endpoint: `endpoint`, and the family's own where there is one."""
    return [extra for extra in ("endpoint", f"endpoint-{family}") if extra in declared()]


def declared() -> dict[str, list[str]]:
    """{extra: requirements} of pyproject.toml."""
    optional: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return optional


def pinned(*extras: str) -> str:
    """The entries of requirements.lock that these extras need. Raises NotLocked."""
    entries = re.findall(r"^[^\s#](?:.*\\\n)*.*\n", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    needed = set().union(*(names(extra) for extra in extras))
    found = [(name, entry) for entry in entries if (name := entry.partition("==")[0]) in needed]  # a name may have one for each platform
    if missing := needed - {name for name, _ in found}:
        raise NotLocked(f"requirements.lock does not pin {', '.join(sorted(missing))}. Renew it with `make lock`.")
    return "".join(entry for _, entry in found)


def names(extra: str) -> set[str]:
    """The packages of an extra and their dependencies, from the installed metadata. Raises NotLocked."""
    todo = [Requirement(line) for line in declared()[extra]]
    seen: set[tuple[str, str]] = set()
    while todo:
        asked = todo.pop()
        steps = {(canonicalize_name(asked.name), part) for part in ("", *asked.extras)} - seen
        seen |= steps
        todo += [need for name, part in steps for need in needs(name, part)]
    return {name for name, _ in seen}


def needs(name: str, extra: str) -> list[Requirement]:
    """The requirements of an installed package, or of one of its extras."""
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        raise NotLocked(f"{name} is not installed, so its dependencies are unknown. Run `make bento` on Linux.") from None
    asked = [Requirement(line) for line in lines]
    return [need for need in asked if need.marker is None or need.marker.evaluate({**TARGET, "extra": extra})]
