"""Feedback: flagged answers, taken in and stored for the next data set."""
