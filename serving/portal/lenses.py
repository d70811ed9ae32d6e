"""What the portal shows of a lens of gravures' catalogue."""

from typing import Any

from pydantic import BaseModel, ValidationError

from serving.problems import Refusal


class Shown(BaseModel):
    """A lens: its facts, the shapes and letters of its engraving, and the path of its picture where there is one."""

    verre_id: int
    name: str
    index: float | None = None
    maker: str | None = None
    material: str | None = None
    tags: list[str] = []
    picture: str | None = None


def shown(answer: dict[str, Any]) -> Shown:
    """What is shown of the service's answer. Raises Refusal 502."""
    try:
        return Shown.model_validate(answer)
    except ValidationError:
        raise Refusal(
            502, "unknown answer", "gravures answered in a form that this portal does not know. Are both of one version?"
        ) from None
