"""Modules of signatures that no other family has."""
