"""One step of the walk back, as a link: checked, in words and for programs; and all links below one."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.artifacts import cache

OK, NOT_HERE, BROKEN = "ok", "not here", "broken"
Facts = dict[str, Any]


@dataclass(frozen=True)
class Link:
    """One step of the walk back: what it is, how it stands, in words and for programs, and what it came from."""

    name: str
    status: str
    words: str
    facts: Facts
    links: list["Link"]


def link(name: str, step: Callable[[], tuple[str, Facts]], links: Iterable[Link] = ()) -> Link:
    """The link that a step checks: it gives words, and facts for programs, or raises what is the link's status. `links` come before it."""
    below = list(links)
    try:
        return Link(name, OK, *step(), below)
    except cache.NotHere as absence:
        return Link(name, NOT_HERE, str(absence), {}, below)
    except (ValueError, LookupError, OSError) as fault:
        return Link(name, BROKEN, f"{type(fault).__name__}: {fault}", {}, below)


def flat(link: Link) -> Iterator[Link]:
    """A link, and all below it, in the order in which they are shown."""
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
