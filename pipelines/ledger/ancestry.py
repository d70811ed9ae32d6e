"""The ledgers that git has of a family: of every commit of this branch, of a merge in progress, and of the other branches."""

from pathlib import Path

from pipelines import git
from pipelines.ledger import lines as ledger
from pipelines.ledger import merge
from pipelines.ledger.lines import AlteredLedger, Line


def lost(family: str, lines: list[Line]) -> list[list[Line]]:
    """The ledgers of this branch's commits, and of those it merged, with a decision that `lines` has not, longest first.

    Raises git.Unusable.
    """
    heads = [head for head in ("HEAD", "MERGE_HEAD") if git.output("rev-parse", "--verify", "--quiet", f"{head}^{{commit}}")]
    file = ledger.path(family)
    listed = git.required("rev-list", "--objects", "--full-history", *heads, "--", str(file)).decode() if heads else ""
    blobs = dict.fromkeys(row.split()[0] for row in listed.splitlines() if row.endswith(file.name))
    found = [chain for blob in blobs for chain in _chains(git.required("cat-file", "blob", blob))]
    return sorted((chain for chain in found if merge.missing(chain, lines)), key=len, reverse=True)


def elsewhere(family: str, lines: list[Line]) -> dict[str, int]:
    """{branch that is not merged here: how many decisions it has that `lines` has not}. Raises git.Unusable."""
    listed = git.output("for-each-ref", "--format=%(refname:short)", "--no-merged=HEAD", "refs/heads", "refs/remotes") or b""
    found = {name: merge.missing(chain, lines) for name in listed.decode().split() for chain in at(name, ledger.path(family))}
    return {name: len(missing) for name, missing in found.items() if missing}


def at(commit: str, file: Path) -> list[list[Line]]:
    """The ledger in a commit, or the index (`:2`); none where there is none. Raises git.Unusable."""
    content = git.output("cat-file", "blob", f"{commit}:./{file.as_posix()}")
    return _chains(content) if content else []


def _chains(content: bytes) -> list[list[Line]]:
    """None of one that was committed altered."""
    try:
        return merge.chains(content)
    except AlteredLedger:
        return []
