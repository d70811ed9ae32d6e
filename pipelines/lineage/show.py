"""`make lineage of=digits@champion`: the walk back as a tree, or as JSON; exit 1 where a link is broken."""

import sys
from dataclasses import asdict
from json import dumps

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from pipelines.lineage import starts, steps
from pipelines.lineage.steps import Link

COLOURS = {steps.OK: "green", steps.NOT_HERE: "yellow", steps.BROKEN: "red"}
WIDTH, INDENT = 110, 32  # columns of the tree, and of the indentation of its deepest row


def print_tree(of: str, root: Link) -> None:
    """Print the walk as a tree."""
    tree = Tree(Text(of, "bold"))
    _add_branch(tree, root)
    rows = [len(link.words) + INDENT for link in steps.flat(root) if link.name == "file"]
    Console(width=max([WIDTH, Console().width, *rows])).print(tree, highlight=False)


def _add_branch(tree: Tree, link: Link) -> None:
    label = Text.assemble((link.status, COLOURS[link.status]), "  ", (link.name, "bold"), "  ", link.words)
    branch = tree.add(Text(link.words) if link.name == "file" else label)
    for below in link.links:
        _add_branch(branch, below)


def as_json(of: str, root: Link) -> str:
    """{"of", "status", "broken": the first broken link or None, "tree": {"name", "status", "words", "facts", "links"}}."""
    return dumps({"of": of, "status": steps.status(root), "broken": steps.broken(root), "tree": asdict(root)}, indent=2)


def summary(root: Link) -> str:
    """How the walk ended, in one line."""
    if first := steps.broken(root):
        return f"Broken at {first}"
    found = [link.status for link in steps.flat(root)]
    absent = found.count(steps.NOT_HERE)
    return f"{len(found) - absent} links are ok" + (f", {absent} not here: each says how to get it." if absent else ", none is missing.")


def main(of: str, files: bool = False, json: bool = False) -> int:
    """Walk back and print; the exit code: 1 when a link is broken, the first one named on the last line."""
    root = starts.walk(of, files)
    if json:
        print(as_json(of, root))
    else:
        print_tree(of, root)
    print(summary(root), file=sys.stderr if json else sys.stdout)
    return int(steps.broken(root) is not None)
