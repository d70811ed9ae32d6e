"""git on this clone."""

import os
import shlex
import subprocess
from pathlib import Path

NO_REPOSITORY, NOT_INSTALLED = b"not a git repository", b"git is not installed: install it"
ASKED = "git cannot be asked"


class Unusable(RuntimeError):
    """git refuses, cannot read or does not find the repository, or is not installed: what it has is unknown. `remedy` is a command."""

    def __init__(self, asked: str, said: bytes) -> None:
        lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()] or ["no reason given"]
        self.remedy = lines[-1] if lines[-1].startswith("git ") and len(lines) > 1 else "git status"  # git names the one for its refusal
        super().__init__(f"{asked} ({lines[0].removeprefix('fatal: ')}). Run `{self.remedy}`, then the same command again.")


def output(*words: str, given: bytes = b"") -> bytes | None:
    """The output of a git command; None where git answers no, or there is no repository. Raises Unusable."""
    done = _run(*words, given=given)
    if done and done.returncode == 0:
        return done.stdout
    check()
    return None


def required(*words: str, given: bytes = b"") -> bytes:
    """The output of a git command whose answer decides what may be deleted. Raises Unusable, also where there is no repository."""
    done = _run(*words, given=given)
    if done and done.returncode == 0:
        return done.stdout
    raise Unusable(f"`{shlex.join(['git', *words])}` fails", done.stderr if done else NOT_INSTALLED)


def check() -> None:
    """Raises Unusable where there is a repository that git cannot read, or git is not installed."""
    done = _run("rev-parse", "--git-dir")
    if done is None and any((folder / ".git").exists() for folder in (Path.cwd(), *Path.cwd().parents)):
        raise Unusable(ASKED, NOT_INSTALLED)
    if done and done.returncode and NO_REPOSITORY not in done.stderr:
        raise Unusable(ASKED, done.stderr)


def _run(*words: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes] | None":
    """None where git is not installed."""
    try:
        return subprocess.run(["git", *words], input=given, capture_output=True, check=False, env=os.environ | {"LC_ALL": "C"})
    except FileNotFoundError:
        return None


def committed(path: Path) -> bytes:
    """A file of the project in the last commit; empty where there is no such file, commit or repository. Raises Unusable."""
    answer = output("cat-file", "--batch", given=f"HEAD:./{path}\n".encode()) or b""
    head, _, content = answer.partition(b"\n")
    return b"" if head.endswith(b" missing") else content[:-1]
