"""Jobs of ocr that need its model."""

from typing import Any

from serving.inputs.bodies import Body
from serving.jobs.tasks import Desk, Task
from serving.ocr import answers


async def read(file: bytes, desk: Desk) -> dict[str, Any]:
    """What /predict answers for a file. Raises Refusal."""
    return await answers.answered(Body(False, file), desk.served, desk.limits)


TASKS = {"read": Task(read)}
