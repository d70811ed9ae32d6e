"""What branches, tags and experiments need of DVC's cache: the ledgers and dvc.lock of each, read from git."""

import re
from collections.abc import Iterator
from pathlib import Path

from pipelines import git
from pipelines.artifacts import lock
from pipelines.ledger import lines as ledger

NAMED = re.compile(rb'"(?:data_)?dvc": ?"([0-9a-f]{32}\.dir)"')  # in a line of a ledger
REFS = ("refs/heads", "refs/remotes", "refs/tags", "refs/exps")  # the last are experiments (`dvc exp remove`)


class UnknownNeeds(LookupError):
    """What other clones, or a folder whose list is lost, need of the cache is unknown."""


def fetch() -> float:
    """Fetch every branch of every git remote; the time of the newest commit (seconds since 1970). Raises UnknownNeeds."""
    for name in (git.output("remote") or b"").decode().split():
        if git.output("fetch", "--quiet", name, f"+refs/heads/*:refs/remotes/{name}/*") is None:
            raise UnknownNeeds(
                f"git cannot fetch from {name!r}: what the others need is unknown, and nothing was removed. "
                f"`git fetch {name}` tells why; `git remote remove {name}` where that remote no longer exists."
            )
    newest = git.output("for-each-ref", "--sort=-committerdate", "--count=1", "--format=%(committerdate:unix)", *REFS[:2])
    if not newest:
        raise UnknownNeeds("There is no git history here: what the others need is unknown. Nothing was removed. Collect in a clone.")
    return float(newest)


def needed() -> list[str]:
    """The DVC hashes of the model and data folders in each ref's ledgers."""
    return list({name.decode() for content in _contents(ledger.ROOT, ".jsonl") for name in NAMED.findall(content)})


def locked() -> list[str]:
    """The DVC hashes of folders (.dir) and files in each ref's dvc.lock."""
    return list({out.md5 for content in _contents(lock.LOCK, lock.LOCK.name) for out in lock.outs(content).values()})


def _contents(place: Path, ending: str) -> Iterator[bytes]:
    """Each distinct content of the files there in any ref."""
    refs = (git.output("for-each-ref", "--format=%(objectname)", *REFS) or b"").decode().split()
    trees = [git.output("ls-tree", "-r", ref, "--", place.as_posix()) or b"" for ref in dict.fromkeys(["HEAD", *refs])]
    rows = [row.split("\t") for tree in trees for row in tree.decode().splitlines()]
    for blob in dict.fromkeys(facts.split()[2] for facts, path in rows if path.endswith(ending)):
        yield git.output("cat-file", "blob", blob) or b""
