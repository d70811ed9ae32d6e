"""code: the source of each stage -> reports/<family>/code/<stage>.json, on which that stage depends: code that computes something else

makes it stale. DVC runs this stage on every `dvc repro`; it reads the source only where a file seems to have changed.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pipelines import discovery, errors, folders
from pipelines.fingerprints import fingerprint
from pipelines.fingerprints.fingerprint import STAGES, Code


def main(family: str) -> None:
    """Write the fingerprints, and say which modules have changed."""
    memo = Path(".store", "code", f"{discovery.validate(family)}.json")
    known = _known(memo)
    if not known or _glance(family, known["files"]) != known:
        code = Code(family)
        for stage in STAGES:
            write(code, stage)
        folders.write_json(memo, _glance(family, _files(code)))


def _known(memo: Path) -> dict[str, Any]:
    """What was seen last; nothing where that was never written, or cannot be read: then all is read again."""
    try:
        known: dict[str, Any] = json.loads(memo.read_text())
        return {"files": known["files"], "seen": known["seen"]}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def write(code: Code, stage: str) -> None:
    """The fingerprint of one stage, where it is another."""
    path, now = fingerprint.report(code.family, stage), code.fingerprint(stage)
    before = path.read_text() if path.exists() else None
    if before and before != now:
        names = ", ".join(fingerprint.changed(code, stage, before)) or "less than before is imported"
        print(f"{code.family}: the code of {stage} has changed ({names})")
    folders.write(path, now)


def _files(code: Code) -> list[str]:
    """Every file that a fingerprint is of, and the source of this stage itself."""
    modules = [module for stage in (*STAGES, "code") for module in code.closure(stage).values()]
    return sorted({str(path) for module in modules for path in (module.file, *module.resources)})


def _glance(family: str, files: list[str]) -> dict[str, Any]:
    """Sizes and times of the files, and of what was written last."""
    written = [str(fingerprint.report(family, stage)) for stage in STAGES]
    found = [Path(path).stat() if Path(path).exists() else None for path in [*files, *written]]
    return {"files": files, "seen": [stat and [stat.st_size, stat.st_mtime_ns] for stat in found]}


if __name__ == "__main__":
    with errors.printed_once():
        main(**dict(word.split("=", 1) for word in sys.argv[1:]))
