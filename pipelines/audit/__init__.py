"""Checks of the whole project: every file against what is recorded of it, rebuilding and reproducing."""
