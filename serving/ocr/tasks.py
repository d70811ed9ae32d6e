"""Jobs of ocr that need its model."""

from typing import Any

from serving.inputs.bodies import Body
from serving.jobs.tasks import Context, Task
from serving.ocr import answers


async def read(file: bytes, context: Context) -> dict[str, Any]:
    """What /predict answers for a file. Raises Refusal."""
    return await answers.predict(Body(False, file), context.served, context.limits)


TASKS = {"read": Task(read)}
