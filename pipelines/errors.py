"""How a command ends when it must: one message that names the value, the choices and the remedy."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class BadSetting(ValueError):
    """An environment variable, or an option of a command, has a value that is not allowed."""


@contextmanager
def printed_once() -> Iterator[None]:
    """Print the project's own errors without a traceback and exit 1; anything else is a bug and keeps its traceback."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("pipelines", "serving", "benchmarks", "__main__")):
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
