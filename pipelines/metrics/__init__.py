"""Metrics of classification, detection and retrieval, and the sheets that show them."""
