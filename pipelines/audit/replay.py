"""Run stages in a separate folder, with the code of a commit or the present code."""

import os
import shutil
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import IO, Any, cast

from pipelines import git
from pipelines.fingerprints.modules import ROOT

CODE = ("pipelines", "conf")


def extract_code(commit: str | None, folder: Path) -> bool:
    """Extract the code of a commit into `folder`, or copy the present code where it is None or not in this clone. Was it the commit's?"""
    archive = git.output("archive", commit, "--", *CODE) if commit else None
    for name in CODE:
        shutil.rmtree(folder / name, ignore_errors=True)
        if archive is None:
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    if archive is not None:
        with tarfile.open(fileobj=BytesIO(archive)) as packed:
            for member in filter(tarfile.TarInfo.isfile, packed):  # extractall's filter came with Python 3.11.4
                path = folder / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(cast(IO[bytes], packed.extractfile(member)).read())
    return archive is not None


def python(folder: Path, *words: str, given: dict[str, str] | None = None, **more: Any) -> "subprocess.CompletedProcess[Any]":
    """Run this Python in `folder`, with the code there; a relative DATA_MIRROR is made absolute."""
    passed = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "DVC_EXP_NAME", "DVC_STAGE"}}
    if passed.get("DATA_MIRROR"):
        passed["DATA_MIRROR"] = str(Path(passed["DATA_MIRROR"]).absolute())
    return subprocess.run([sys.executable, *words], cwd=folder, env=passed | (given or {}), check=False, **more)
