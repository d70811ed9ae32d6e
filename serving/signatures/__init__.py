"""The endpoint of signatures."""
