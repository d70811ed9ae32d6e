"""The runs and sweeps of MLflow, asked over its REST interface at PORTAL_MLFLOW, as `make ui` serves it."""

import asyncio
from typing import Any, NamedTuple

import httpx

from pipelines.tracking import tags
from serving.portal.services import ANSWER_MB

PATIENCE = 2.0  # seconds for an answer
MOST = 60  # runs of a family
PARENT, NAME = "mlflow.parentRunId", "mlflow.runName"
FAULTS = (httpx.HTTPError, ValueError, KeyError, TypeError, IndexError, AttributeError)


class Run(NamedTuple):
    """A run; `begun` in seconds since 1970, `address` where MLflow shows it, `trials` of a sweep."""

    name: str
    candidate: str
    status: str
    begun: float
    address: str
    sweep: bool
    trials: int


class Tracking(NamedTuple):
    """MLflow's address, and a client."""

    address: str
    client: httpx.AsyncClient

    async def runs(self, family: str) -> list[Run] | None:
        """The newest runs of a family, a sweep's trials counted with it; None where MLflow does not answer."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._runs(family)
        except (*FAULTS, TimeoutError):
            return None

    async def _runs(self, family: str) -> list[Run]:
        found = await self._asked("GET", "experiments/get-by-name", params={"experiment_name": family})
        if "experiment" not in found:
            return []
        experiment = str(int(found["experiment"]["experiment_id"]))
        search = {"experiment_ids": [experiment], "max_results": 1000, "order_by": ["attributes.start_time DESC"]}
        listed = [_facts(run) for run in (await self._asked("POST", "runs/search", json=search)).get("runs", [])]
        parents = [facts[PARENT] for facts in listed if PARENT in facts]
        shown = [facts for facts in listed if PARENT not in facts][:MOST]
        return [self._run(facts, experiment, parents.count(facts["run_id"])) for facts in shown]

    async def _asked(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """The answer; empty for what is not there. Raises one of FAULTS."""
        response = await self.client.request(method, f"{self.address}/api/2.0/mlflow/{path}", timeout=PATIENCE, **more)
        if response.status_code == 404:
            return {}
        if len(response.content) > ANSWER_MB * 1e6:
            raise ValueError
        if not isinstance(answer := response.raise_for_status().json(), dict):
            raise TypeError
        return answer

    def _run(self, facts: dict[str, str], experiment: str, trials: int) -> Run:
        id = facts["run_id"]
        if not id.isalnum():
            raise ValueError(id)
        address = f"{self.address}/#/experiments/{experiment}/runs/{id}"
        name, candidate = facts.get(NAME, id), facts.get(tags.CANDIDATE, "")
        return Run(name, candidate, facts["status"], int(facts["start_time"]) / 1000, address, tags.SWEEP in facts, trials)


def _facts(run: dict[str, Any]) -> dict[str, str]:
    """Tags and attributes of a run, by name."""
    return {tag["key"]: str(tag["value"]) for tag in run["data"].get("tags", [])} | {key: str(value) for key, value in run["info"].items()}
