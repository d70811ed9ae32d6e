"""May this user write what DVC writes? DVC itself calls it an unexpected error."""

import errno
import os
from pathlib import Path

FOLDER = Path(".dvc")


def check() -> None:
    """Raises PermissionError where DVC's folder is here and may not be written."""
    if FOLDER.exists() and not os.access(FOLDER, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(FOLDER))
