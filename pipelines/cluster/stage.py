"""`python -m pipelines.cluster.stage <candidate> <hash of its data>`: train a candidate in a node's clone, for the machine that asked.

DVC hands over: the data come from its remote by their hash, what has been trained anywhere comes from the run cache, and what is trained
here goes there. The last line is JSON {"candidate", "digest"}.
"""

import json
import subprocess
import sys
from pathlib import Path

from pipelines import discovery, errors, folders
from pipelines.artifacts import cache, remotes
from pipelines.models import manifests


def main(candidate: str, data: str) -> None:
    """Raises RemoteFault where this clone has no DVC remote, or that lacks the data."""
    family = discovery.family_of(candidate)
    remotes.check(Path.cwd())
    remotes.fetch([data])
    with folders.replacing(Path("data", family)) as out:
        cache.restore(data, out)
    for words in (f"repro -s code@{family}", f"repro --pull -s train@{candidate}", f"push --run-cache train@{candidate}"):
        dvc(words)
    print(json.dumps({"candidate": candidate, "digest": manifests.verified(Path("models", candidate))["digest"]}))


def dvc(words: str) -> None:
    """Run DVC; end with its exit code where it fails."""
    done = subprocess.run([sys.executable, "-m", "dvc", *words.split()], check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    with errors.printed_once():
        main(*sys.argv[1:])
