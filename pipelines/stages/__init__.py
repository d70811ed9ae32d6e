"""Verbs: each stage reads one checked configuration and moves one folder to the next."""
