"""`python -m serving --family digits`: bring the store up to date with the ledger, then serve with BentoML."""

import argparse
import os
import sys
from pathlib import Path

from pipelines import errors, families, registry, stores


def main() -> None:
    """Serve one family. On the loopback address, unless another is asked for."""
    parser = argparse.ArgumentParser(prog="python -m serving", description=main.__doc__)
    parser.add_argument("--family", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", default="3000")
    asked = parser.parse_args()
    with errors.printed_once():
        registry.reconcile(families.known(asked.family))
        stores.pointed(asked.family)
    _serve(asked.family, asked.host, asked.port)


def _serve(family: str, host: str, port: str) -> None:
    """Become `bentoml serve`: signals reach it, and what reconciling needed leaves the memory."""
    os.environ |= {"BENTOML_HOME": str(stores.ROOT.absolute()), "BENTOML_DO_NOT_TRACK": "True"}
    service = f"serving.{family}.service:{family.capitalize()}"
    words = ["serve", service, "--host", host, "--port", port, "--working-dir", str(Path.cwd())]
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", *words])


if __name__ == "__main__":
    main()
