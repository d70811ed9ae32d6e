"""Where commands run: local processes, or machines of a cluster."""
