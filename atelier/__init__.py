"""The command line: what `make X` does, as `atelier X`."""
