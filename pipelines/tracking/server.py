"""MLflow's page in one process: `mlflow ui` imports MLflow in two, one after the other."""

import os
import sys
import warnings

from pipelines.tracking import client

ROOT = client.ROOT / "artifacts" / "own"  # of experiments that a person makes on the page


def main(host: str, port: int) -> None:
    """Serve the project's database until Ctrl-C; while this process imports, another may make it."""
    os.environ |= {
        "_MLFLOW_SERVER_FILE_STORE": client.uri(),  # as `mlflow ui` hands them to its server
        "_MLFLOW_SERVER_ARTIFACT_ROOT": ROOT.absolute().as_uri(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # seconds, for jobs that nobody starts here
    }
    client.mlflow()
    with warnings.catch_warnings(action="ignore"):  # of a module that Starlette will drop
        from mlflow.server.fastapi_app import app
    import uvicorn

    client.client()
    uvicorn.run(app, host=host, port=port, log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
