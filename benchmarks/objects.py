"""The endpoint of objects, 32 connections: our service against the same network behind FastAPI, in PyTorch and in ONNX Runtime."""

from collections.abc import Iterator

from benchmarks import harness, http


def measure() -> Iterator[harness.Row]:
    """Throughput, p50 and p99; every peer is sent the same image, decoded and resized to 32 x 32 as ours."""
    return http.compared("objects", "objects ")
