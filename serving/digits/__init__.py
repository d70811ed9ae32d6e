"""The endpoint of digits."""
