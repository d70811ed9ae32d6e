"""`python -m serving.bento --family digits`: the champion, its endpoint and its requirements in one folder.

.store/bentos/<family>/v<version>-<digest>/ runs in an empty environment that holds env/python/requirements.txt and nothing else:
src/ is what the endpoint imports and shows, with the pointer; models/ the model; env/docker/Dockerfile makes a container of it.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipelines import discovery, errors, folders, paths
from pipelines.registry import store
from serving import requirements
from serving.live import champion

ROOT = requirements.ROOT
BENTOS = paths.ROOT / "bentos"
DOCKERFILE = Path("env", "docker", "Dockerfile")
REQUIREMENTS = Path("env", "python", "requirements.txt")


class NotPacked(RuntimeError):
    """BentoML could not build the bento."""


class Unclean(ValueError):
    """hadolint has something to say about the Dockerfile."""


def pack(family: str) -> Path:
    """Build the bento of the version that stands; one of the same tag is replaced. Raises NoChampion, NotLocked or NotPacked."""
    pointer = store.read_pointer(family)
    name, _, version = pointer["tag"].partition(":")
    with TemporaryDirectory() as context, TemporaryDirectory(dir=paths.ROOT, prefix="packing-") as home:
        fill(Path(context), family, pointer)
        shutil.copytree(store.location(pointer["tag"]), Path(home, "models", name, version))
        build(Path(context), Path(home), version)
        bento = Path(home, "bentos", name, version)
        Path(home, "models").rename(bento / "models")  # BentoML leaves them in its store until a container is built
        (bento / REQUIREMENTS).write_text(requirements.pinned(*requirements.extras(family)))  # BentoML adds itself without a hash
        return place(bento, BENTOS / name / version)


def fill(context: Path, family: str, pointer: store.Pointer) -> None:
    """What goes into src/: the endpoint's code and pages, the family's page of conf/, the pointer."""
    others = {*discovery.names()} - {family}
    left_out = shutil.ignore_patterns("__pycache__", ".*", "stages", *others)
    for room in ("pipelines", "serving"):
        shutil.copytree(ROOT / room, context / room, ignore=left_out)
    page = Path("conf", "family", f"{family}.yaml")
    (context / page).parent.mkdir(parents=True)
    shutil.copyfile(ROOT / page, context / page)
    folders.write_json(context / store.pointer_path(family), pointer)
    folders.write_json(context / "bentofile.yaml", bentofile(family, pointer))


def bentofile(family: str, pointer: store.Pointer) -> dict[str, Any]:
    """What BentoML is told; JSON is YAML too."""
    image = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim-bookworm"
    return {
        "service": f"serving.{family}.service:{family.capitalize()}",
        "name": family,
        "description": f"Built by `make bento family={family}`. Where it comes from stands in the labels of bento.yaml.",
        "labels": {key: str(value) for key, value in pointer["model"].items()},
        "models": [pointer["tag"]],
        "python": {"lock_packages": False},
        "docker": {"base_image": image, "dockerfile_template": "serving/Dockerfile.j2"},
    }


def build(context: Path, home: Path, version: str) -> None:
    """`bentoml build`, in a store of its own and a process that sees the context alone. Raises NotPacked."""
    told = {"BENTOML_HOME": str(home.absolute()), "BENTOML_DO_NOT_TRACK": "True", "PYTHONPATH": ""}
    words = [sys.executable, "-m", "bentoml", "build", "--version", version, "."]
    done = subprocess.run(words, cwd=context, env=os.environ | told, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotPacked(f"`bentoml build` failed; its last words:\n{(done.stdout + done.stderr)[-2000:]}")


def place(bento: Path, target: Path) -> Path:
    """Rename a finished bento to where BentoML looks for it, over one of the same tag; `latest` is this one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(bento.with_name("replaced"))
    bento.rename(target)
    folders.write(target.parent / "latest", target.name)
    return target


def lint(bento: Path) -> str:
    """One line about the Dockerfile. Raises Unclean with hadolint's findings."""
    hadolint = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if hadolint is None:
        return "not linted: hadolint is not here (`make bento` installs it)"
    done = subprocess.run([hadolint, "--no-color", str(bento / DOCKERFILE)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unclean(f"{bento / DOCKERFILE} is not clean:\n{done.stdout}{done.stderr}")
    return "clean (hadolint)"


def main() -> None:
    """Pack the champion of one family."""
    parser = argparse.ArgumentParser(prog="python -m serving.bento", description=main.__doc__)
    parser.add_argument("--family", required=True)
    asked = parser.parse_args()
    with errors.printed_once():
        champion.settle(asked.family)
        bento = pack(asked.family)
        print(told(asked.family, bento, lint(bento)))


def told(family: str, bento: Path, linted: str) -> str:
    """A bento as a person reads it."""
    size = sum(path.stat().st_size for path in bento.rglob("*") if path.is_file()) / 1e6
    tag, path = f"{family}:{bento.name}", bento.absolute()
    home = f"BENTOML_HOME={paths.ROOT.absolute()} BENTOML_DO_NOT_TRACK=True"
    return "\n".join(
        [
            f"{tag}, {size:.2f} MB: {bento}/",
            f"  Dockerfile  {linted}",
            f"  here        {home} bentoml serve {path}",
            f"  elsewhere   uv venv away && uv pip install --python away --require-hashes -r {path / REQUIREMENTS}",
            f"              BENTOML_DO_NOT_TRACK=True away/bin/bentoml serve {path}",
            f"  container   docker build -t {tag} -f {path / DOCKERFILE} {path}",
            f"              docker run --rm -p 127.0.0.1:3000:3000 -e ADMIN_USER -e ADMIN_PASSWORD {tag}",
            "              (the first user's name and password, from your environment; -e AUTH=off instead lets everybody in)",
            f"  or          cd / && {home} bentoml containerize {tag}   (from / only: BentoML issue 5566)",
        ]
    )


if __name__ == "__main__":
    main()
