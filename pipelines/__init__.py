"""Atelier's pipelines: stages (verbs), families (rooms) and the services between them."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime reports to its maker from the moment it is imported
