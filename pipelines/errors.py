"""How a command reads `name=value` words, and how it ends: an error is one message with the remedy, Ctrl-C none."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
OWN = ("pipelines", "serving", "benchmarks", "atelier")
INTERRUPTED = 130  # the exit code after Ctrl-C, as a shell reports it


class BadSetting(ValueError):
    """An environment variable, or an option of a command, has a value that is not allowed."""


@contextmanager
def printed_once() -> Iterator[None]:
    """Print the project's own errors, or a full disk, once and exit 1; exit 130 on Ctrl-C. Any other is a bug: it keeps its traceback."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        own = type(error).__module__.startswith(OWN)
        if not own and (full := full_disk(error)):
            what, why = getattr(full, "filename", None) or "A file", getattr(full, "strerror", None) or full
            sys.exit(f"DiskError: {what} cannot be written: {why}. Free some space, and start again.")
        if not own:
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)


def full_disk(error: BaseException | None) -> BaseException | None:
    """The error of a full or read-only disk among an error and its causes, the system's or SQLite's, which libraries wrap."""
    while error is not None:
        if getattr(error, "errno", None) in UNWRITABLE or getattr(error, "sqlite_errorname", "").startswith("SQLITE_FULL"):
            return error
        error = error.__cause__ or error.__context__
    return None


def hide_interrupts() -> None:
    """Ctrl-C prints no traceback from now on, also while modules are imported."""
    shown = sys.excepthook
    sys.excepthook = lambda kind, error, trace: None if kind is KeyboardInterrupt else shown(kind, error, trace)


def overrides(*names: str) -> dict[str, str]:
    """The command line's `name=value` words, which must be these names; a usage message and exit 1 where they are not."""
    given = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    if set(given) != set(names):
        sys.exit(f"Usage: {' '.join(f'{name}=...' for name in names)}, not {' '.join(sys.argv[1:]) or 'without arguments'}.")
    return given
