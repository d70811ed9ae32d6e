"""How much the page's uploads may take: of one sender, of all in its folder, and of the disk."""

import shutil
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from serving.problems import Refusal

OWN_MB, ALL_MB = 100, 500  # of one user or address, in a process; and of the folder, whoever sent it
FREE_MB = 500  # of the disk that are left alone
FRESH = 5.0  # seconds between two looks at the folder
LATER = {"Retry-After": "600"}


class Uploads:
    """The uploads of the last `seconds`, after which their files are deleted."""

    def __init__(self, folder: Path, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder, self.seconds, self.clock = folder, seconds, clock
        self._sent: deque[tuple[float, str, int]] = deque()
        self._looked, self._stored = -FRESH, 0

    def admit(self, sender: str, size: int) -> None:
        """Count an upload of `size` bytes. Raises Refusal 429 where the sender has stored enough, 507 where the folder or the disk has."""
        now = self.clock()
        while self._sent and self._sent[0][0] <= now - self.seconds:
            self._sent.popleft()
        own = sum(bytes_ for _, name, bytes_ in self._sent if name == sender)
        if (own + size) / 1e6 > OWN_MB:
            held = f"You have uploaded {own / 1e6:.0f} MB in {self.seconds / 60:g} min; at most {OWN_MB} MB are stored of one sender."
            raise Refusal(429, "enough uploads", f"{held} Send larger amounts to POST /jobs.", headers=LATER)
        self.check(size)
        self._sent.append((now, sender, size))
        self._stored += size

    def check(self, size: int = 0) -> None:
        """Raises Refusal 507 where the folder, or its disk, has no room for so many bytes."""
        if (now := self.clock()) - self._looked >= FRESH:
            self._looked, self._stored = now, sum(_size(path) for path in self.folder.rglob("*"))
        if (self._stored + size) / 1e6 > ALL_MB:
            held = f"The uploads of the page take {self._stored / 1e6:.0f} MB; at most {ALL_MB} MB are stored."
            raise Refusal(507, "enough uploads", f"{held} They are deleted after {self.seconds / 60:g} min: try again then.", headers=LATER)
        if (free := shutil.disk_usage(self.folder).free - size) / 1e6 < FREE_MB:
            raise Refusal(507, "disk full", f"{free / 1e6:.0f} MB would be free on the disk; {FREE_MB} MB are left alone. Free some space.")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:  # deleted meanwhile
        return 0
