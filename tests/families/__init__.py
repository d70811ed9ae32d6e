"""What the tests expect of each family, found by its name."""
