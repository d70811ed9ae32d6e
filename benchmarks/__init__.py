"""Atelier and a peer, side by side in one run. `make bench` measures, `make load` sends users."""
