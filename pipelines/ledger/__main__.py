"""`python -m pipelines.ledger --family NAME`: restore lost lines."""

import argparse
import sys

from pipelines import errors
from pipelines.ledger import cross_checks
from pipelines.ledger import lines as ledger


def main() -> None:
    """Restore the last lines of a ledger that are lost and that the pointers, or .store/lost, still hold."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--family", required=True)
    family = parser.parse_args().family
    with errors.printed_once():
        for line in cross_checks.restore(family):
            print(
                f"{ledger.path(family)}: line {line['seq']}, {cross_checks.summary(line)}, is restored. Now `make serve family={family}`."
            )
        left = cross_checks.contradictions(family)
    for found in left:
        print(f"{found.path}: {found.words}.\n  {found.repair}", file=sys.stderr)
    sys.exit(bool(left))


if __name__ == "__main__":
    main()
