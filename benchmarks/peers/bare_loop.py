"""A loop over a Predictor, one file after another, on one core: `python -m benchmarks.peers.bare_loop digits <model> <core> <list>`.

It decodes and normalises as the service does, and writes nothing. Prints when it began and ended, in seconds since 1970: it begins after
loading, and a first answer.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Read = Callable[[bytes], Any]


def digits(predictor: Any) -> Read:
    from serving.inputs import pictures

    return lambda content: predictor.convention.from_grey(pictures.inked(pictures.opened(content, 25)))


def signatures(predictor: Any) -> Read:
    from pipelines.families.signatures.examples import WORKING_SIDE
    from serving.inputs import pictures

    return lambda content: predictor.convention.from_grey(pictures.grey(pictures.opened(content, 40), WORKING_SIDE))


def main(family: str, folder: str, core: str, listed: str) -> None:
    os.sched_setaffinity(0, {int(core)})  # before the runtimes count the cores
    from pipelines import discovery

    predictor = discovery.part(family, "predict").Predictor(Path(folder))
    read, paths = globals()[family](predictor), Path(listed).read_text().splitlines()
    predictor.predict(read(Path(paths[0]).read_bytes())[None])
    begun = time.time()
    for path in paths:
        predictor.predict(read(Path(path).read_bytes())[None])
    print(json.dumps({"begun": begun, "ended": time.time()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
