"""The challenger in the model store and its pointer, as the ledger says."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from pipelines import phrases
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.registry import signatures, store


def follow(family: str, lines: list[Line], whole: Callable[[Line], Path]) -> None:
    """Bring the challenger into the store and point at it, or take the pointer away; `whole` finds a line's model folder.

    One that cannot be brought, whatever the reason, stands in nobody's way: the pointer says why, as `absent`, and a service refuses it.
    """
    line = ledger.challenger(lines)
    if line is None:
        store.pointer_path(family, store.CHALLENGERS).unlink(missing_ok=True)
        return _clear(family, None)
    model = {**{key: line[key] for key in ("family", "digest", "data", "commit")}, "version": None, "run_id": line["run"]}
    tag = store.tag_of(family, None, line["digest"])
    pointer: store.Pointer = {"tag": tag, "model": model, "challenge": line}
    try:
        _bring(tag, line, whole)
    except Exception as fault:
        pointer["absent"] = f"it cannot answer on this machine: {phrases.one_line(fault)}"
        print(f"WARNING: the challenger of {family} is {line['candidate']}; {pointer['absent']}", file=sys.stderr)
    store.write_pointer(family, pointer, store.CHALLENGERS)
    _clear(family, tag)


def _clear(family: str, tag: str | None) -> None:
    """Take away the stored copies of challengers that challenge no more; DVC has them."""
    for folder in store.models(family):
        if folder.name.startswith("c-") and f"{family}:{folder.name}" != tag:
            shutil.rmtree(folder, ignore_errors=True)


def _bring(tag: str, line: Line, whole: Callable[[Line], Path]) -> None:
    if not store.holds(tag, line["digest"]):
        store.put(whole(line), None)
    signatures.install(store.location(tag))
