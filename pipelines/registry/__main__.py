"""`python -m pipelines.registry reconcile|rollback`: make everything follow the ledger, or make another version the champion."""

import argparse

from pipelines import discovery, errors
from pipelines.registry import reconcile, rollback


def main() -> None:
    """`reconcile [--family NAME]` or `rollback --family NAME [--to N] [--why WORDS]`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("verb", choices=["reconcile", "rollback"])
    parser.add_argument("--family", default=None)
    parser.add_argument("--to", type=int, default=None)
    parser.add_argument("--why", default=None)
    asked = parser.parse_args()
    with errors.printed_once():
        if asked.verb == "rollback":
            line = rollback.rollback(asked.family, asked.to, asked.why)
            print(f"{asked.family}: version {line['version']} ({line['candidate']}) is champion again; services follow within a second.")
        else:
            for family in [asked.family] if asked.family else discovery.names():
                reconcile.reconcile(family)


if __name__ == "__main__":
    main()
