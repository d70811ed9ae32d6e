"""`make notebooks`: each family's notebook on the data that is here, as a page in .notebooks/, which git ignores: it may show images."""

import sys
from pathlib import Path

from pipelines import discovery, processes
from pipelines.datasets import cards

PAGES = Path(".notebooks")


class NoData(FileNotFoundError):
    """No data set that a notebook looks at is on this machine."""


def run(family: str | None = None) -> int:
    """Run the notebook of one family, or of each whose data is here; the exit code. Raises UnknownFamily or NoData."""
    names = [discovery.validate(family)] if family else [name for name in discovery.names() if _notebook(name).exists()]
    here = [name for name in names if Path("data", name, cards.CARD).exists()]
    for name in sorted({*names} - {*here}):
        print(f"data/{name} is not here, so its notebook is left out. `dvc repro ingest@{name}` makes it.", file=sys.stderr)
    if not here:
        raise NoData("No data is here to look at. `make train family=digits` begins with it.")
    words = ["-m", "nbconvert", "--to", "html", "--execute", "--output-dir", str(PAGES), *(str(_notebook(name)) for name in here)]
    code = processes.run_to_end([sys.executable, *words])
    print("\n".join(f"{PAGES / name}.html" for name in here if (PAGES / f"{name}.html").exists()))
    return code


def _notebook(family: str) -> Path:
    return Path("notebooks", f"{family}.ipynb")
