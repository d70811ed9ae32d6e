"""The back ends, by the word of `on=`."""

from pipelines.cluster.jobs import Backend
from pipelines.cluster.local import Local
from pipelines.errors import BadSetting


def named(on: str) -> Backend:
    """The back end of this name. Raises BadSetting."""
    if on != "local":
        raise BadSetting(f"on={on!r} is unknown. Choose one of: local.")
    return Local()
