"""`make bento family=<family>`: the champion, its endpoint and its requirements in one folder.

.store/bentos/<family>/v<version>-<digest>/ runs in an environment of env/python/requirements.txt alone: src/ has the endpoint's code,
pages and pointer, models/ the model, env/docker/Dockerfile makes a container.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipelines import discovery, folders, paths
from pipelines.registry import store
from serving import requirements
from serving.live import champion

ROOT = requirements.ROOT
BENTOS = paths.ROOT / "bentos"
DOCKERFILE = Path("env", "docker", "Dockerfile")
REQUIREMENTS = Path("env", "python", "requirements.txt")


class BentoError(RuntimeError):
    """BentoML could not build the bento, or hadolint found faults in its Dockerfile."""


def pack(family: str) -> Path:
    """Build the bento of the current version; one of the same tag is replaced. Raises NoChampion, NotLocked or BentoError."""
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
    """Copy what goes into src/: the endpoint's code and pages, the family's config file, the pointer."""
    others = {*discovery.names()} - {family}
    left_out = shutil.ignore_patterns("__pycache__", ".*", "stages", *others)
    for package in ("pipelines", "serving"):
        shutil.copytree(ROOT / package, context / package, ignore=left_out)
    config = Path("conf", "family", f"{family}.yaml")
    (context / config).parent.mkdir(parents=True)
    shutil.copyfile(ROOT / config, context / config)
    folders.write_json(context / store.pointer_path(family), store.summed(pointer))
    folders.write_json(context / "bentofile.yaml", bentofile(family, pointer))


def bentofile(family: str, pointer: store.Pointer) -> dict[str, Any]:
    """BentoML's description of the bento; JSON is YAML too."""
    image = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim-bookworm"
    return {
        "service": f"serving.{family}.service:{family.capitalize()}",
        "name": family,
        "description": f"Built by `make bento family={family}`. The labels of bento.yaml say where it comes from.",
        "labels": {key: str(value) for key, value in pointer["model"].items()},
        "models": [pointer["tag"]],
        "python": {"lock_packages": False},
        "docker": {"base_image": image, "dockerfile_template": "serving/Dockerfile.j2"},
    }


def build(context: Path, home: Path, version: str) -> None:
    """`bentoml build`, with `home` as its store, in a process that sees only the context. Raises BentoError."""
    settings = {"BENTOML_HOME": str(home.absolute()), "BENTOML_DO_NOT_TRACK": "True", "PYTHONPATH": ""}
    command = [sys.executable, "-m", "bentoml", "build", "--version", version, "."]
    done = subprocess.run(command, cwd=context, env=os.environ | settings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BentoError(f"`bentoml build` failed; the end of its output:\n{(done.stdout + done.stderr)[-2000:]}")


def place(bento: Path, target: Path) -> Path:
    """Move a finished bento to where BentoML looks for it, over one of the same tag, and make it `latest`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(bento.with_name("replaced"))
    bento.rename(target)
    folders.write(target.parent / "latest", target.name)
    return target


def lint(bento: Path) -> str:
    """One line about the Dockerfile. Raises BentoError with hadolint's findings."""
    hadolint = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if hadolint is None:
        return "not linted: hadolint is not here (`make bento` installs it)"
    done = subprocess.run([hadolint, "--no-color", str(bento / DOCKERFILE)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BentoError(f"{bento / DOCKERFILE} is not clean:\n{done.stdout}{done.stderr}")
    return "clean (hadolint)"


def main(family: str) -> None:
    """Pack the champion of one family."""
    champion.update_store(family)
    bento = pack(family)
    print(summary(family, bento, lint(bento)))


def summary(family: str, bento: Path, linted: str) -> str:
    """A bento's path and size, and the commands that run it."""
    size = sum(path.stat().st_size for path in bento.rglob("*") if path.is_file()) / 1e6
    tag, path = f"{family}:{bento.name}", bento.absolute()
    home = f"BENTOML_HOME={paths.ROOT.absolute()} BENTOML_DO_NOT_TRACK=True"
    return "\n".join(
        [
            f"{tag}, {size:.2f} MB: {bento}/",
            f"  Dockerfile  {linted}",
            f"  here        {home} bentoml serve {path}",
            f"  elsewhere   uv venv served && uv pip install --python served --require-hashes -r {path / REQUIREMENTS}",
            f"              BENTOML_DO_NOT_TRACK=True served/bin/bentoml serve {path}",
            f"  container   docker build -t {tag} -f {path / DOCKERFILE} {path}",
            f"              docker run --rm -p 127.0.0.1:3000:3000 -e ADMIN_USER -e ADMIN_PASSWORD {tag}",
            "              (the first user's name and password, from your environment; -e AUTH=off instead lets everybody in)",
            f"  or          cd / && {home} bentoml containerize {tag}   (from / only: BentoML issue 5566)",
        ]
    )
