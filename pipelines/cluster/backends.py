"""The back ends, by the word of `on=`."""

from collections.abc import Callable

from pipelines.cluster.jobs import Backend
from pipelines.cluster.local import Local
from pipelines.cluster.tasks import Ray
from pipelines.errors import BadSetting

BACKENDS: dict[str, Callable[[], Backend]] = {"local": Local, "ray": Ray}


def named(on: str) -> Backend:
    """The back end of this name. Raises BadSetting, also where there is no cluster."""
    if on not in BACKENDS:
        raise BadSetting(f"on={on!r} is unknown. Choose one of: {', '.join(BACKENDS)}.")
    return BACKENDS[on]()
