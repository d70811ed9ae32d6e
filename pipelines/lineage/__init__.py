"""Lineage: from an answer, a version, a run or a folder back to the source files, every link checked."""
