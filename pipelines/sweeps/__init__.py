"""Sweeps: searches among the settings of a candidate, whose best trial becomes a candidate as any other."""
