"""git's merge driver for ledgers, `python -m pipelines.ledger.driver %A %B %P`: .gitattributes asks for it, install() sets it up."""

import getpass
import shlex
import sys
from contextlib import suppress
from pathlib import Path

from pipelines import folders, git
from pipelines.ledger import lines as ledger
from pipelines.ledger import merge

NAME = "atelier-ledger"
ATTRIBUTES = Path(".gitattributes")


def install() -> None:
    """Tell this clone's git the driver: .gitattributes names it, but git's configuration does not travel with a clone."""
    if not ATTRIBUTES.is_file() or f"merge={NAME}" not in ATTRIBUTES.read_text():
        return
    setting, command = f"merge.{NAME}.driver", f"{shlex.quote(sys.executable)} -m pipelines.ledger.driver %A %B %P"
    with suppress(git.Unusable):
        if (git.output("config", "--get", setting) or b"").decode().strip() != command:
            git.output("config", setting, command)


def main(ours: str, theirs: str, name: str) -> int:
    """Write the merge of two ledgers over the first; the exit code: 1 leaves the file to `make merge`."""
    family = Path(name).stem
    try:
        pair = [merge.chains(Path(file).read_bytes()) for file in (ours, theirs)]
        if any(len(found) > 1 for found in pair):
            raise ledger.AlteredLedger("it holds two branches, which were never merged")
        one, other = (found[0] if found else [] for found in pair)
    except ledger.AlteredLedger as fault:
        print(f"{name} cannot be merged: {fault}. `make verify family={family}` on either branch names the repair.", file=sys.stderr)
        return 1
    merged = merge.merge(one, other, getpass.getuser())
    folders.write(Path(ours), merge.render(merged))
    print(f"{name}: {summary(merged, one, other)}", file=sys.stderr)
    return 0


def summary(merged: list[ledger.Line], *branches: list[ledger.Line]) -> str:
    """What a merge did, in a sentence."""
    if merged in branches:
        return "one branch has the decisions of both."
    return f"{'; '.join(merged[-1]['reasons'])}. `make history family={merged[-1]['family']}` lists every decision."


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
