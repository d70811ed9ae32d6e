"""Threads of the portal for what reads the project's files."""

from serving.pools import BoundedPool

FILES = BoundedPool(2, 64, "files", "reading the project's files")
