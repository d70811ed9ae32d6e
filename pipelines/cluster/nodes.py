"""What a node must share with the machine that sends it commands: the versions of packages, and the commit of its clone.

A node's clone is the folder in its environment variable CLUSTER_FOLDER; without one, the sender's folder, at the same path.
"""

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from pipelines import git
from pipelines.errors import BadSetting

CODE = ("pipelines", "conf", "serving", "dvc.yaml")  # what a stage computes with; what it writes may differ
NAMED = 5  # packages that a refusal names
Facts = dict[str, Any]


class OtherNode(BadSetting):
    """A node that would compute something else."""


def facts() -> Facts:
    """{"node", "folder", "versions", "commit", "dirty"} of this machine and working folder. Raises git.Unusable."""
    head, changed = git.output("rev-parse", "HEAD"), git.output("status", "--porcelain", "--", *CODE)
    return {
        "node": platform.node(),
        "folder": str(Path.cwd()),
        "versions": _versions(),
        "commit": head.decode().strip() if head else None,
        "dirty": (changed or b"").decode().splitlines()[:NAMED],
    }


def _versions() -> dict[str, str]:
    """Of Python, and of the packages that an import finds: the first of each name on the path."""
    found = {package.name.lower(): package.version for package in reversed([*metadata.distributions()])}
    return {"python": platform.python_version(), **found}


def check(head: Facts, node: Facts) -> None:
    """Raises OtherNode where the node would compute something else than the head."""
    name, of = f"node {node['node']} ({node['folder']})", f"this machine ({head['folder']})"
    both = head["versions"].keys() & node["versions"].keys()
    if other := sorted(key for key in both if head["versions"][key] != node["versions"][key]):
        words = ", ".join(f"{key} {node['versions'][key]}, here {head['versions'][key]}" for key in other[:NAMED])
        raise OtherNode(f"{name} has other packages than {of}: {words}. Install requirements.lock on both.")
    if (head["node"], head["folder"]) == (node["node"], node["folder"]):
        return  # the same folder
    for each, where in ((head, of), (node, name)):
        if each["dirty"]:
            raise OtherNode(f"{where} has changes that are not committed: {'; '.join(each['dirty'])}. Commit, or discard them.")
    if head["commit"] != node["commit"]:
        remedy = f"There: `git fetch && git checkout {str(head['commit'])[:12]}`"
        raise OtherNode(f"{name} is at commit {str(node['commit'])[:12]}, {of} at {str(head['commit'])[:12]}. {remedy}.")
