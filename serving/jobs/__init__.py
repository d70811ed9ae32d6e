"""The queue of jobs: its routes, the backlog, the broker, dispatcher, supervisor and workers."""
