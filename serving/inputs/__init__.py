"""Untrusted input, validated: bodies, data URLs, query parameters and pictures."""
