"""The ledger: every decision ever made, what other files say of it, and its history."""
