"""One of the processes of `make up`: the portal or a product's service, ended with the process that has started it."""

import sys
from importlib import import_module

from pipelines import errors
from serving import orphans
from serving.portal.products import PRODUCTS


def main(name: str, port: int) -> None:
    """Serve it on the loopback address."""
    orphans.end_with_parent()
    if name in PRODUCTS:
        import_module("serving.__main__").main(name, port=port)
    else:
        import_module("serving.portal.__main__").main(port=port)


if __name__ == "__main__":
    with errors.printed_once():
        main(sys.argv[1], int(sys.argv[2]))
