"""The endpoint of objects."""
