"""The models that are served: champion and challenger, batches, handover, shadow and recorder."""
