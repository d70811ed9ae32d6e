"""What this clone's branches, tags and experiments need of DVC's cache: ledgers and dvc.lock of each, read out of git, none checked out."""

import re
from collections.abc import Iterator
from pathlib import Path

from pipelines import git
from pipelines.artifacts import lock
from pipelines.ledger import lines as ledger

NAMED = re.compile(rb'"(?:data_)?dvc": ?"([0-9a-f]{32}\.dir)"')  # in a line of a ledger
REFS = ("refs/heads", "refs/remotes", "refs/tags", "refs/exps")  # the last are experiments: `dvc exp remove` lets go of one


class Unfetched(ConnectionError):
    """Nobody can say what the other clones need."""


def fetch() -> float:
    """Learn every branch of every git remote; the time of the newest commit that is known then (seconds since 1970). Raises Unfetched."""
    for name in (git.output("remote") or b"").decode().split():
        if git.output("fetch", "--quiet", name, f"+refs/heads/*:refs/remotes/{name}/*") is None:
            raise Unfetched(
                f"git cannot fetch from {name!r}, so that nobody can say what the others need. Nothing was removed. "
                f"`git fetch {name}` tells why; a remote that is no more is forgotten with `git remote remove {name}`."
            )
    newest = git.output("for-each-ref", "--sort=-committerdate", "--count=1", "--format=%(committerdate:unix)", *REFS[:2])
    if not newest:
        raise Unfetched("There is no git history here to say what the others need. Nothing was removed. Collect in a clone of the project.")
    return float(newest)


def needed() -> list[str]:
    """The DVC hashes that the lines of each ref's ledgers name, which are append-only: of folders with models and data."""
    return list({name.decode() for content in _contents(ledger.ROOT, ".jsonl") for name in NAMED.findall(content)})


def locked() -> list[str]:
    """The DVC hashes of every dvc.lock: of folders (.dir) and files."""
    return list({out.md5 for content in _contents(lock.LOCK, lock.LOCK.name) for out in lock.outs(content).values()})


def _contents(place: Path, ending: str) -> Iterator[bytes]:
    """Each content that the files there have in any of the refs, once."""
    refs = (git.output("for-each-ref", "--format=%(objectname)", *REFS) or b"").decode().split()
    trees = [git.output("ls-tree", "-r", ref, "--", place.as_posix()) or b"" for ref in dict.fromkeys(["HEAD", *refs])]
    rows = [row.split("\t") for tree in trees for row in tree.decode().splitlines()]
    for blob in dict.fromkeys(facts.split()[2] for facts, path in rows if path.endswith(ending)):
        yield git.output("cat-file", "blob", blob) or b""
