"""`python -m pipelines.registry reconcile|rollback`: make everything follow the ledger, or make another version the champion."""

from pipelines.registry import rollback

if __name__ == "__main__":
    rollback.main()
