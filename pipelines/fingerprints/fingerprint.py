"""The fingerprint of a family's stage: the digests of all modules that decide what it computes.

A digest is the hash of a module's canonical form, in which names of the project's other modules are replaced by their digests: moving
or renaming a module changes nothing.
"""

import hashlib
import json
import os
from pathlib import Path

from pipelines.fingerprints import canonical
from pipelines.fingerprints.modules import ROOT, Module, Sources

STAGES = ("ingest", "train", "evaluate")
PLUMBING = (  # modules that compute nothing: a test forbids them numeric imports
    "pipelines.configs",
    "pipelines.databases",
    "pipelines.devices",
    "pipelines.errors",
    "pipelines.discovery",
    "pipelines.fingerprints.canonical",
    "pipelines.fingerprints.fingerprint",
    "pipelines.fingerprints.modules",
    "pipelines.folders",
    "pipelines.git",
    "pipelines.processes",
    "pipelines.training.records",
    "pipelines.stages",
    "pipelines.stages.ingest",
    "pipelines.stages.train",
    "pipelines.tracking.client",
    "pipelines.tracking.locations",
    "pipelines.tracking.reader",
    "pipelines.tracking.tags",
    "pipelines.training.session",
)


class ImportCycle(ValueError):
    """Modules that import each other, so that none has a digest."""


class ChangedMeanwhile(ValueError):
    """Code that was edited between the stage `code` and the stage that runs it."""


class Code:
    """A family's code below a folder."""

    def __init__(self, family: str, root: Path = ROOT) -> None:
        self.family, self.sources = family, Sources(root)
        self._digests: dict[str, str] = {}
        for name in PLUMBING:
            self.sources.named(name)

    def fingerprint(self, stage: str) -> str:
        """The digests of a stage's modules as JSON. Raises UnknownModule or ImportCycle."""
        return json.dumps({"modules": sorted(self.modules(stage).values())}, indent=1) + "\n"

    def modules(self, stage: str) -> dict[str, str]:
        """{module: digest} of a stage, without plumbing and empty packages."""
        found = self.closure(stage).values()
        return {module.name: self._digest(module, ()) for module in found if module.name not in PLUMBING and self._text(module, ())}

    def imports(self, name: str) -> list[Module]:
        """The project's modules that a module imports."""
        return self.sources.imports(self.sources.named(name), self.family)

    def closure(self, stage: str) -> dict[str, Module]:
        """{name: module} of a stage's import closure, plumbing included."""
        return self.sources.closure(f"pipelines.stages.{stage}", self.family)

    def _digest(self, module: Module, above: tuple[str, ...]) -> str:
        if module.name in above:
            ring = " -> ".join([*above[above.index(module.name) :], module.name])
            raise ImportCycle(f"{module.name} imports itself: {ring}. Move what both need into a module of its own.")
        if module.name not in self._digests:
            self._digests[module.name] = hashlib.sha256(self._text(module, above).encode()).hexdigest()[:32]
        return self._digests[module.name]

    def _text(self, module: Module, above: tuple[str, ...]) -> str:
        """What is hashed: the canonical form, re-exported names, and the resource files."""
        below = (*above, module.name)
        reexports = [f"{name}={self._qualified(module, name, below)}" for name in module.reexports]
        beside = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in module.resources]
        return "\n".join([canonical.text(module.tree, lambda name: self._qualified(module, name, below)), *reexports, *beside]).strip()

    def _qualified(self, module: Module, name: str, above: tuple[str, ...]) -> str:
        """A name as the canonical form has it: an imported one in full, the project's modules as digests."""
        return "|".join(self._target(target, above) for target in module.bindings[name]) if name in module.bindings else name

    def _target(self, target: str, above: tuple[str, ...]) -> str:
        owner = self.sources.owner(target)
        if owner is None:
            return target
        rest = target.removeprefix(owner.name)
        return f"plumbing{rest}" if owner.name in PLUMBING else f"{self._digest(owner, above)}{rest}"


def report(family: str, stage: str) -> Path:
    """The file of a stage's fingerprint."""
    return Path("reports", family, "code", f"{stage}.json")


def changed(code: Code, stage: str, before: str) -> list[str]:
    """The modules that changed since the fingerprint `before`, without those that only import them."""
    known, now = set(json.loads(before)["modules"]), code.modules(stage)
    new = {name for name, digest in now.items() if digest not in known}
    return sorted(name for name in new if not new & {module.name for module in code.imports(name)})


def check(family: str, stage: str) -> None:
    """Under DVC, the code must still be the one that the stage `code` recorded. Raises ChangedMeanwhile."""
    path = report(family, stage)
    if "DVC_STAGE" in os.environ and path.exists() and path.read_text() != Code(family).fingerprint(stage):
        raise ChangedMeanwhile(f"The code of {stage} has changed since {path} was written. Run the same command again.")
