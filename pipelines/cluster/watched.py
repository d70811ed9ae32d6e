"""`python watched.py <command>`: runs a command, and ends it with this whole process group when standard input closes.

The other end of that pipe is held by the process that started this one: it closes however that process ends.
"""

import os
import signal
import subprocess
import sys
import threading


def main(argv: list[str]) -> int:
    """The command's exit code; 128 + the number of the signal that ended it."""
    threading.Thread(target=_end_with_starter, daemon=True).start()
    code = subprocess.call(argv, stdin=subprocess.DEVNULL)
    return code if code >= 0 else 128 - code


def _end_with_starter() -> None:
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
