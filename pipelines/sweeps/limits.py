"""The limits of the gate as constraints of a search: what would not pass never wins."""

from pipelines.configs import Gate
from pipelines.registry.gate import LATENCY_MS
from pipelines.sweeps.messages import Figures

UNLIMITED = -1e9  # where the gate allows any latency: infinity is not JSON


class Limits:
    """Floor, size and latency of a family's gate."""

    def __init__(self, gate: Gate) -> None:
        self.gate, self.latency_ms = gate, LATENCY_MS[gate.latency]

    def excess(self, figures: Figures) -> dict[str, float]:
        """By how much each limit is exceeded; 0 or less where it holds."""
        return {
            "floor": self.gate.floor - figures.valid,
            "size": figures.size_mb - self.gate.size_mb,
            "latency": max(figures.latency_ms - self.latency_ms, UNLIMITED),
        }

    def broken(self, figures: Figures) -> list[str]:
        """The limits that do not hold, in words."""
        words = {
            "floor": f"{figures.valid:.4f} < {self.gate.floor:g}",
            "size": f"{figures.size_mb:.2f} MB > {self.gate.size_mb:g} MB",
            "latency": f"{figures.latency_ms:.2f} ms > {self.latency_ms:g} ms",
        }
        return [words[name] for name, value in self.excess(figures).items() if value > 0]
