"""Pieces of this room that have no like in another."""
