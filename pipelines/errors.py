"""How a command reads `name=value` words, and how it ends: an error is one message with the remedy, Ctrl-C none."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

FULL = {errno.ENOSPC, errno.EDQUOT}
FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}  # of a file that is named
OWN = ("pipelines", "serving", "benchmarks", "atelier")
INTERRUPTED = 130  # the exit code after Ctrl-C, as a shell reports it


class BadSetting(ValueError):
    """An environment variable, or an option of a command, has a value that is not allowed."""


@contextmanager
def printed_once() -> Iterator[None]:
    """Print the project's own errors, or a disk's, once and exit 1; exit 130 on Ctrl-C. Any other is a bug: it keeps its traceback."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        own = type(error).__module__.startswith(OWN)
        if not own and (words := disk_fault(error)):
            sys.exit(f"DiskError: {words}, and start again.")
        if not own:
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)


def disk_fault(error: BaseException | None) -> str | None:
    """The sentence of a full disk, or of a file that this user may not use: an error or one of its causes, the system's or SQLite's."""
    while error is not None:
        number, what = getattr(error, "errno", None), getattr(error, "filename", None)
        why = getattr(error, "strerror", None) or error
        if number in FULL or getattr(error, "sqlite_errorname", "").startswith("SQLITE_FULL"):
            return f"{what or 'A file'} cannot be written: {why}. Free some space"
        if number in FORBIDDEN and what:
            return f"{what} cannot be used: {why}. Let this user read and write it"
        error = error.__cause__ or error.__context__
    return None


def hide_interrupts() -> None:
    """Ctrl-C prints no traceback from now on, also while modules are imported."""
    shown = sys.excepthook
    sys.excepthook = lambda kind, error, trace: None if kind is KeyboardInterrupt else shown(kind, error, trace)


def help_if_asked(usage: str) -> None:
    """For `--help`, print what the program does and the words that it takes, and exit."""
    if {"-h", "--help"} & {*sys.argv[1:]}:
        print(f"{sys.modules['__main__'].__doc__}\n\nUsage: {usage}")
        sys.exit(0)


def overrides(*names: str) -> dict[str, str]:
    """The command line's `name=value` words, which must be these names; a usage message and exit 1 where they are not."""
    help_if_asked(" ".join(f"{name}=..." for name in names))
    given = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    if set(given) != set(names):
        sys.exit(f"Usage: {' '.join(f'{name}=...' for name in names)}, not {' '.join(sys.argv[1:]) or 'without arguments'}.")
    return given
