"""`make lineage of=digits@champion`: the walk back as a tree, or as JSON; exit 1 where a link is broken."""

import argparse
import json
import signal
import sys
from dataclasses import asdict

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from pipelines import errors
from pipelines.lineage import starts, steps
from pipelines.lineage.steps import Link

COLOURS = {steps.OK: "green", steps.NOT_HERE: "yellow", steps.BROKEN: "red"}
WIDTH, INDENT = 110, 32  # columns of the tree, and of the indentation of its deepest row


def show(of: str, root: Link) -> None:
    """Print the walk as a tree."""
    tree = Tree(Text(of, "bold"))
    _grow(tree, root)
    rows = [len(link.words) + INDENT for link in steps.flat(root) if link.name == "file"]
    Console(width=max([WIDTH, Console().width, *rows])).print(tree, highlight=False)


def _grow(tree: Tree, link: Link) -> None:
    label = Text.assemble((link.status, COLOURS[link.status]), "  ", (link.name, "bold"), "  ", link.words)
    branch = tree.add(Text(link.words) if link.name == "file" else label)
    for below in link.links:
        _grow(branch, below)


def as_json(of: str, root: Link) -> str:
    """{"of", "status", "broken": the first broken link or None, "tree": {"name", "status", "words", "facts", "links"}}."""
    return json.dumps({"of": of, "status": steps.status(root), "broken": steps.broken(root), "tree": asdict(root)}, indent=2)


def summary(root: Link) -> str:
    """How the walk ended, in one line."""
    if first := steps.broken(root):
        return f"Broken at {first}"
    found = [link.status for link in steps.flat(root)]
    absent = found.count(steps.NOT_HERE)
    return f"{len(found) - absent} links are ok" + (f", {absent} not here: each says how to get it." if absent else ", none is missing.")


def main() -> None:
    """Walk back and print; exit 1 when a link is broken, the first one named on the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("of", help=starts.FORMS)
    parser.add_argument("--files", action="store_true", help="every file inside a source, with its SHA-256")
    parser.add_argument("--json", action="store_true", help="for programs")
    asked = parser.parse_args()
    with errors.printed_once():
        root = starts.walk(asked.of, asked.files)
        if asked.json:
            print(as_json(asked.of, root))
        else:
            show(asked.of, root)
    print(summary(root), file=sys.stderr if asked.json else sys.stdout)
    sys.exit(steps.broken(root) is not None)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it silently
    main()
