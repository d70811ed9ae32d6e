"""`make merge [family=digits] [from=branch]`: the decisions of two branches in one ledger, and the end of a merge that git left.

Of dvc.lock, reports/ and released/ in conflict, this branch's stays: the ledger names the other's models by their DVC hashes.
"""

import getpass
from collections.abc import Iterator
from pathlib import Path

from pipelines import discovery, folders, git, paths
from pipelines.artifacts import lock
from pipelines.ledger import ancestry, driver
from pipelines.ledger import lines as ledger
from pipelines.ledger import merge as ledgers
from pipelines.ledger.lines import Line
from pipelines.registry import reconcile

OURS, THEIRS = ":2", ":3"  # git's index of a file in conflict; :1 is what both began with


class NothingToMerge(LookupError):
    """A branch that git does not know."""


def merge(family: str, branch: str | None = None) -> str:
    """Merge what the file, git's conflict, the commits of this branch and another branch have; what was done, "" where nothing was.

    Raises Octopus, AlteredLedger, git.Unusable.
    """
    file = ledger.path(family)
    with folders.locked(ledger.ROOT / ".lock"):
        found = _here(file)
        if len(found) > 2:
            raise ledgers.Octopus(
                f"{file} has {len(found)} ledgers. Merge one branch after the other: `git checkout HEAD -- {file}`, "
                f"then `make merge family={family} from=<branch>` for each."
            )
        merged = found[0] if found else []
        others = [*found[1:], *(ancestry.at(branch, file) if branch else [])]
        for other in [*others, *ancestry.lost(family, merged)]:
            merged = ledgers.merge(merged, other, getpass.getuser())
        if found == ([merged] if merged else []):
            return ""
        folders.write(file, ledgers.render(merged))
    return f"{file}: {driver.summary(merged, *found)}"


def _here(file: Path) -> list[list[Line]]:
    """The two ledgers of git's conflict, or the one or more in the file."""
    conflict = [chain for stage in (OURS, THEIRS) for chain in ancestry.at(stage, file)]
    return conflict or (ledgers.chains(file.read_bytes()) if file.exists() else [])


def in_conflict() -> list[Path]:
    """The files of the project that git could not merge."""
    listed = git.required("ls-files", "-u", "-z", "--", ".").decode().split("\0")
    return list(dict.fromkeys(Path(row.partition("\t")[2]) for row in listed if row))


def keep_ours(conflicts: list[Path], ledgers: list[Path]) -> Iterator[Path]:
    """Resolve what follows from decisions and trainings as this branch has it; the files that are left."""
    for path in conflicts:
        if path == lock.LOCK and _stage(2, path) and _stage(3, path):
            folders.write(path, lock.merged(*(_stage(number, path).decode() for number in (1, 2, 3))))
        elif path.parts[0] in {"reports", paths.RELEASED.name} and _stage(2, path):
            folders.write(path, _stage(2, path))
        elif path not in ledgers:
            yield path
            continue
        git.required("add", "--", str(path))


def _stage(number: int, path: Path) -> bytes:
    return git.output("cat-file", "blob", f":{number}:./{path.as_posix()}") or b""


def main(family: str | None = None, branch: str | None = None) -> None:
    """Merge the ledgers of one family or all, resolve what follows from them, reconcile, print. Raises NothingToMerge and as merge()."""
    _check(branch)
    names, conflicts = [discovery.validate(family)] if family else discovery.names(), in_conflict()
    said = {name: sentence for name in names if (sentence := merge(name, branch))}
    left = list(keep_ours(conflicts, [ledger.path(name) for name in names]))
    for name in said:
        reconcile.reconcile(name)
        if conflicts and (champion := Path("reports", name, "champion.json")).exists():
            git.required("add", "--", str(champion))
    print(*(said.values() or ["The ledgers have every decision of this branch, and of those it merged."]), sep="\n")
    if left:
        print(f"Still in conflict, for you to resolve: {', '.join(map(str, left))}.")
    if said or conflicts:
        print("Look at it (`git status`, `make history`), then `git commit`, or `git rebase --continue`.")


def _check(branch: str | None) -> None:
    """Raises NothingToMerge for an unknown branch, Octopus where git is merging more than one."""
    if branch and git.output("rev-parse", "--verify", "--quiet", f"{branch}^{{commit}}") is None:
        raise NothingToMerge(
            f"from={branch!r} is no branch or commit of this clone. `git branch --all` lists them; `git fetch` gets others."
        )
    folder = Path(git.required("rev-parse", "--git-dir").decode().strip())
    if (folder / "MERGE_HEAD").is_file() and len((folder / "MERGE_HEAD").read_text().split()) > 1:
        raise ledgers.Octopus("git is merging several branches at once. `git merge --abort`, then merge one branch after the other.")
