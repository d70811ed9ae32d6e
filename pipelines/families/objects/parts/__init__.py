"""Modules of objects that no other family has: none yet."""
