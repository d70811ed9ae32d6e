"""Verbs: each stage reads one checked configuration and moves one folder to the next."""

from pipelines import errors

errors.hide_interrupts()  # here, as each stage is a process whose imports take a second
