"""Exported ONNX files, without what their exporter tells of the machine."""

from pathlib import Path

import onnx


def bare(path: Path) -> None:
    """Take out paths, stack traces and names of modules: the same network is the same bytes, wherever it was exported."""
    model = onnx.load(path)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for value in model.graph.initializer:
        del value.metadata_props[:]
    onnx.save(model, path)
