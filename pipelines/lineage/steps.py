"""A link of lineage: its check, run and reported in words and as facts for programs."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pipelines import git
from pipelines.artifacts import cache

OK, NOT_HERE, BROKEN = "ok", "not here", "broken"
Facts = dict[str, Any]
Step = tuple[str, Facts]  # what a checked step says in words, and for programs


@dataclass(frozen=True)
class Link:
    """One step of the walk back: its name, status, words and facts, and the links to what it came from."""

    name: str
    status: str
    words: str
    facts: Facts
    links: list["Link"]


def link(name: str, step: Callable[[], Step], links: Iterable[Link] = ()) -> Link:
    """Run a step: OK with what it returns, NOT_HERE or BROKEN by what it raises. `links` are checked first."""
    below = list(links)
    try:
        return Link(name, OK, *step(), below)
    except (cache.NotHere, git.Unusable) as absence:
        return Link(name, NOT_HERE, str(absence), {}, below)
    except (ValueError, LookupError, OSError) as fault:
        return Link(name, BROKEN, f"{type(fault).__name__}: {fault}", {}, below)


def flat(link: Link) -> Iterator[Link]:
    """A link and all below it, in the order in which they are shown."""
    yield link
    for below in link.links:
        yield from flat(below)


def status(root: Link) -> str:
    """The worst of all links."""
    found = {link.status for link in flat(root)}
    return next(worst for worst in (BROKEN, NOT_HERE, OK) if worst in found)


def broken(root: Link) -> str | None:
    """The first broken link, and why."""
    return next((f"{link.name}: {link.words}" for link in flat(root) if link.status == BROKEN), None)
