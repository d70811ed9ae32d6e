"""MLflow: runs are written through its client, and read from its database in place."""
