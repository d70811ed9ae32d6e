"""`python -m pipelines.ledger --family NAME`: restore lost lines."""

from pipelines.ledger import cross_checks

if __name__ == "__main__":
    cross_checks.main()
