"""Modules of digits that no other family has: none yet."""
