"""The ledgers of the working tree, read as they are; and the commands that decide, each in a process of its own, as `make` runs them."""

import asyncio
import os
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pipelines import discovery
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import AlteredLedger, Line
from serving.problems import Refusal

SECONDS = 80.0  # for a command; a request has 90
NO_TREE = "This portal has no working tree with registry/: decide where the project is, by `make rollback` or `make challenge`."
PEOPLES = ("rollback", "challenge")  # events that a person decides
BY = re.compile(r" by ([\w.@+-]+)$")
ERROR = re.compile(r"^\w+: ")  # the kind of an error before its sentence


class Decision(NamedTuple):
    """A line of a ledger; `time` in seconds since 1970, `by` a person, empty where the pipeline decided."""

    family: str
    seq: int
    time: float
    event: str
    version: int | None
    candidate: str
    by: str
    reasons: Sequence[str]


class Ledger(NamedTuple):
    """A family's ledger: its head, versions by number, the champion's, the challenger's candidate, and what may challenge."""

    family: str
    head: str
    versions: dict[int, str]
    champion: int | None
    challenger: str
    candidates: Sequence[str]


def present() -> bool:
    """Is there a working tree, where decisions can be written down?"""
    return ledger.ROOT.is_dir() and os.access(ledger.ROOT, os.W_OK)


def decisions(families: Sequence[str]) -> list[Decision]:
    """What was decided, the newest first. Raises Refusal."""
    found = [_decision(family, line) for family in families for line in _lines(family)]
    return sorted(found, key=lambda each: (each.time, each.family, each.seq), reverse=True)


def _lines(family: str) -> list[Line]:
    try:
        return ledger.read(family)
    except AlteredLedger as fault:
        raise Refusal(409, "altered ledger", str(fault)) from None


def _decision(family: str, line: Line) -> Decision:
    reasons, seconds = line.get("reasons", []), datetime.fromisoformat(line["time"]).timestamp()
    found = BY.search(reasons[0]) if reasons and line["event"] in PEOPLES else None  # what a person has written comes behind that
    by = found[1] if found else ""
    return Decision(family, line["seq"], seconds, line["event"], line["version"], line.get("candidate") or "", by, reasons)


def read(family: str) -> Ledger:
    """A family's ledger. Raises Refusal."""
    lines = _lines(family)
    champion, challenger = ledger.champion(lines), ledger.challenger(lines)
    versions = {number: str(line["candidate"]) for number, line in ledger.versions(lines).items()}
    current, named = champion["version"] if champion else None, challenger["candidate"] if challenger else ""
    return Ledger(family, lines[-1]["hash"] if lines else "", versions, current, named, discovery.candidates(family))


class Decider:
    """Decides one thing at a time."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def decide(self, family: str, head: str, *words: str) -> str:
        """Run a command of `atelier`, unless the ledger has a line that the person has not seen; what it says. Raises Refusal."""
        if not present():
            raise Refusal(409, "no working tree", NO_TREE)
        async with self._lock:
            if read(family).head != head:
                raise Refusal(409, "overtaken", f"Another decision about {family} was made meanwhile. Look at it, then decide again.")
            return await _run(*words)


async def _run(*words: str) -> str:
    """What a command says. Raises Refusal where it fails or takes too long."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "atelier", *words, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
    )
    try:
        said, error = await asyncio.wait_for(process.communicate(), SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise Refusal(504, "too slow", f"The decision took more than {SECONDS:g} s. `make history` says whether it was written.") from None
    if process.returncode:
        raise Refusal(409, "not decided", _last(error))
    return _last(said)


def _last(output: bytes) -> str:
    """The last line, without the kind of error before it."""
    lines: list[Any] = output.decode(errors="replace").strip().splitlines() or [""]
    return ERROR.sub("", lines[-1])[:500]
