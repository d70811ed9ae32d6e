"""What computes a stage's result, named by content: a stage is stale when its code computes something else, and only then."""
