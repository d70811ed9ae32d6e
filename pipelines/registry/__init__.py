"""The registry: gate, promotion, releases, model cards, the model store, and all that follows the ledger."""
