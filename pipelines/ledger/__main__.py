"""`python -m pipelines.ledger --family NAME`: put back the last lines of a ledger that are lost and that other files still hold."""

from pipelines.ledger import cross_checks

if __name__ == "__main__":
    cross_checks.main()
