"""The endpoint of gravures."""
