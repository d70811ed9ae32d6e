"""What branches, tags and experiments need of DVC's cache: the ledgers and dvc.lock of each, read from git.

What is not named here may be deleted, so every question that git does not answer ends the command (git.Unusable).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pipelines import git
from pipelines.artifacts import lock
from pipelines.ledger import lines as ledger

NAMED = re.compile(rb'"(?:data_)?dvc": ?"([0-9a-f]{32}\.dir)"')  # in a line of a ledger
FETCHED = ("refs/heads", "refs/remotes")
REFS = (*FETCHED, "refs/tags", "refs/exps", "refs/stash")  # experiments go with `dvc exp remove`
FACTS = "%(objectname) %(objecttype) %(*objecttype)"  # the last of what a tag names
HEADS = ("HEAD", "MERGE_HEAD")  # of a checkout or a merge that no branch has


class UnknownNeeds(LookupError):
    """What other clones, or a folder whose list is lost, need of the cache is unknown."""


def fetch() -> float:
    """Fetch every branch of every git remote; the time of the newest commit (seconds since 1970). Raises UnknownNeeds or git.Unusable."""
    for name in git.required("remote").decode().split():
        if git.output("fetch", "--quiet", name, f"+refs/heads/*:refs/remotes/{name}/*") is None:
            raise UnknownNeeds(
                f"git cannot fetch from {name!r}: what the others need is unknown, and nothing was removed. "
                f"`git fetch {name}` tells why; `git remote remove {name}` where that remote no longer exists."
            )
    newest = git.required("for-each-ref", "--sort=-committerdate", "--count=1", "--format=%(committerdate:unix)", *FETCHED)
    if not newest:
        raise UnknownNeeds("There is no commit here: what the others need is unknown. Nothing was removed. Collect in a clone.")
    return float(newest)


def needed(project: Path = Path()) -> list[str]:
    """The DVC hashes of the model and data folders in the ledgers of a project's folder and of each ref. Raises git.Unusable."""
    return list({name.decode() for content in _contents(project, ledger.ROOT, ".jsonl") for name in NAMED.findall(content)})


def locked(project: Path = Path()) -> list[str]:
    """The DVC hashes of folders (.dir) and files in the dvc.lock of a project's folder and of each ref. Raises git.Unusable."""
    return list({out.md5 for content in _contents(project, lock.LOCK, lock.LOCK.name) for out in lock.outs(content).values()})


def _contents(project: Path, place: Path, ending: str) -> Iterator[bytes]:
    """Each distinct content of the files there, in the working folder and in any ref."""
    files = (project / place).glob(f"*{ending}") if (project / place).is_dir() else [project / place]
    yield from (file.read_bytes() for file in files if file.is_file())
    here = ("-C", str(project))
    refs = [row.split() for row in git.required(*here, "for-each-ref", f"--format={FACTS}", *REFS).decode().splitlines()]
    heads = git.required(*here, "rev-parse", "--revs-only", *HEADS).decode().split()
    commits = dict.fromkeys([*heads, *(name for name, *kinds in refs if "commit" in kinds)])
    trees = [git.required(*here, "ls-tree", "-r", commit, "--", place.as_posix()) for commit in commits]
    rows = [row.split("\t") for tree in trees for row in tree.decode().splitlines()]
    for blob in dict.fromkeys(facts.split()[2] for facts, path in rows if path.endswith(ending)):
        yield git.required(*here, "cat-file", "blob", blob)
