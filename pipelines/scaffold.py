"""`make new-family name=leaves like=objects`: a copy of a family under a new name, to be changed into the wanted one.

All files and lines are written, or none, into a clean tree: `git add -N . && git diff` shows them.
"""

import keyword
import os
import re
import tomllib
from contextlib import suppress
from pathlib import Path

import yaml

from pipelines import discovery, git

ROOT = discovery.CONF.parent
VALID = re.compile(r"[a-z][a-z0-9]{0,31}")
WORDS = {"accepted", "all", "none"}  # a file of registry/, and what `candidate=` may be
FILES = (
    "conf/family/{0}.yaml",
    "conf/candidate/{0}-*.yaml",
    "conf/sweep/{0}-*.yaml",
    "pipelines/families/{0}/*",
    "serving/{0}/*",
    "tests/families/{0}.py",
    "notebooks/{0}.ipynb",
    "reports/{0}/dvc.yaml",
)
LISTS = ("dvc.yaml", "pyproject.toml")
CHANGES = {
    "conf/family/{0}.yaml": "sources of the data, licence and citation; the gate",
    "conf/candidate/{0}-*.yaml": "the recipes; conf/sweep/{0}-*.yaml: what is searched",
    "pipelines/families/{0}/data.py": "addresses, checksums and licences of data; embedded.py: the data of tests; card.md: uses and limits",
    "pipelines/families/{0}/model.py": "the network; with picture.py, fit.py, predict.py and score.py; probe.py: the golden example",
    "serving/{0}/answers.py": "the answer; flags.py: its corrections; service.py, page.html: the texts",
    "tests/families/{0}.py": "what the shared tests expect; write tests of its own",
    "reports/{0}/dvc.yaml": "the headline metric, where it is another one; notebooks/{0}.ipynb: a look at the data",
    "pyproject.toml": "packages of the extra {0}, then `make lock`; docs/generate/figures.py, docs/how-to/: its figures and its page",
}


class BadFamily(ValueError):
    """A name that cannot be a family's, or a tree that a family cannot be written into."""


def create(name: str, like: str) -> dict[Path, bytes]:
    """Write the family; {path: content} of its files and of those with new lines. Raises UnknownFamily or BadFamily."""
    check(name, like)
    found = _git("ls-files", "--", *(pattern.format(like) for pattern in FILES))
    written = {ROOT / re.sub(rf"(?<=/){like}(?=[/.-])", name, path): renamed(ROOT / path, name, like) for path in found}
    written |= {ROOT / "dvc.yaml": dvc_yaml(name, like), ROOT / "pyproject.toml": pyproject(name, like)}
    write_all(written)
    return written


def check(name: str, like: str) -> None:
    """Raises UnknownFamily or BadFamily."""
    families = discovery.names()
    if not VALID.fullmatch(name) or keyword.iskeyword(name):
        raise BadFamily(f"name={name!r} cannot name a family. Give 1 to 32 letters a-z and digits, a letter first; no keyword of Python.")
    if name in families:
        raise BadFamily(f"name={name!r} is a family already. Choose another name than {', '.join(families)}.")
    if name in reserved():
        raise BadFamily(f"name={name!r} is reserved: a package, an extra of pyproject.toml or a file of registry/ has it. Choose another.")
    if like not in families:
        raise discovery.UnknownFamily(f"like={like!r} is unknown. Choose one of: {', '.join(families)}.")
    if changed := _git("status", "--porcelain", "--", "."):
        raise BadFamily(f"Uncommitted changes in {len(changed)} places, the first {changed[0][3:]}. Commit them, or `git stash -u`.")


def reserved() -> set[str]:
    """Names in use: a bento leaves out folders with other families' names, and a package of serving/ would hide a module."""
    packages = {path.name for top in ("pipelines", "serving") for path in (ROOT / top).rglob("*") if path.is_dir()}
    files = {path.stem for folder in ("serving", "registry") for path in (ROOT / folder).glob("*")}
    return WORDS | packages | files | _extras((ROOT / "pyproject.toml").read_text())


def renamed(path: Path, name: str, like: str) -> bytes:
    """A file with the family's name replaced in module paths, complete strings and candidates, not in prose."""
    suffixes = "|".join(re.escape(candidate.removeprefix(like)) for candidate in discovery.candidates(like))
    meant = {
        rf"((?:families|serving)[./]|family(?:[/=]|: )|atelier\.){like}\b(?!-)": name,
        rf"([/=@\"']){like}(?![\w.-])": name,
        rf"(\b){like}(?=(?:-\*|{suffixes})(?![\w-]))": name,
        rf"(endpoint of |^\"\"\"What |^# |^\"\"\"){like}(?=[.:]| takes)": name,
        rf"(\bclass ){like.capitalize()}\b": name.capitalize(),
    }
    text = path.read_bytes().decode(errors="surrogateescape")
    for pattern, word in meant.items():
        text = re.sub(pattern, rf"\g<1>{word}", text, flags=re.MULTILINE)
    return text.encode(errors="surrogateescape")


def dvc_yaml(name: str, like: str) -> bytes:
    """dvc.yaml with the family and its candidates. Raises BadFamily."""
    text = re.sub(r"(&families \[[^\]]*)", rf"\1, {name}", (ROOT / "dvc.yaml").read_text(), count=1)
    text = _copy_rows(text, rf"^ +{like}-\S+: \{{family: {like}[,}}].*\n", rf"\b{like}\b", name)
    stages, wanted = yaml.safe_load(text)["stages"], {candidate.replace(like, name, 1) for candidate in discovery.candidates(like)}
    if name not in stages["look"]["foreach"] or not wanted <= {*stages["train"]["foreach"]}:
        raise BadFamily(f"dvc.yaml has no `&families [...]`, or not each candidate of {like} in one line under `train`. Write them so.")
    return text.encode()


def pyproject(name: str, like: str) -> bytes:
    """pyproject.toml with the family's extras. Raises BadFamily."""
    before = (ROOT / "pyproject.toml").read_text()
    text = _copy_rows(before, rf"^(?:endpoint-)?{like} = .*\n", rf"^{like}\b|(?<=\bendpoint-){like}\b", name)
    text = re.sub(rf"^(serve = .*endpoint-){like}\b", rf"\g<0>,endpoint-{name}", text, flags=re.MULTILINE)
    with suppress(tomllib.TOMLDecodeError):
        if len(_extras(text) - _extras(before)) == len({like, f"endpoint-{like}"} & _extras(before)) > 0:
            return text.encode()
    raise BadFamily(f"pyproject.toml has not each extra of {like} in one line. Write them so.")


def _copy_rows(text: str, row: str, old: str, new: str) -> str:
    """A renamed copy of the rows, after the last of them."""
    found = [*re.finditer(row, text, re.MULTILINE)]
    end = found[-1].end() if found else 0
    return text[:end] + "".join(re.sub(old, new, row[0]) for row in found) + text[end:]


def _extras(text: str) -> set[str]:
    return {*tomllib.loads(text)["project"]["optional-dependencies"]}


def _git(*words: str) -> list[str]:
    """The lines of git's output. Raises BadFamily."""
    answer = git.output("-C", str(ROOT), *words)
    if answer is None:
        raise BadFamily(f"`git {words[0]}` fails in {ROOT}. Run this in a clone of the project.")
    return answer.decode().splitlines()


def write_all(written: dict[Path, bytes]) -> None:
    """Write all files; where one cannot be written, restore all."""
    before = {path: path.read_bytes() if path.exists() else None for path in written}
    try:
        for path, text in written.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)
    except BaseException:
        for path, old in before.items():
            _restore(path, old)
        raise


def _restore(path: Path, old: bytes | None) -> None:
    if old is not None:
        path.write_bytes(old)
        return
    with suppress(OSError):  # never written, or the folder is not empty
        path.unlink()
        os.removedirs(path.parent)


def report(written: dict[Path, bytes], name: str, like: str) -> str:
    """What was written, and what to change in it."""
    new = {path.relative_to(ROOT): text.decode(errors="replace").splitlines() for path, text in written.items() if path.name not in LISTS}
    words = [f"  {path.format(name):37}{change.format(name)}" for path, change in CHANGES.items()]
    rest = [f"  {path}:{row}: {line.strip()}" for path, lines in new.items() for row, line in enumerate(lines, 1) if like in line]
    rest = [f"Lines that still say {like}:", *rest] if rest else []
    head = f"{name} works like {like}: {len(new)} new files, and lines in {' and '.join(LISTS)}. Now change:"
    return "\n".join([head, *words, *rest, f"Then: make train family={name}"])


def main(name: str, like: str) -> None:
    """Write a new family as a copy of another one."""
    print(report(create(name, like), name, like))
