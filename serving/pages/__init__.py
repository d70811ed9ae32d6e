"""The page of a service and its model card."""
