"""gravures: /match with 16 connections beside plain peers, and in a browser, from pressing Search to the matches on the screen."""

from collections.abc import Iterator

from benchmarks import drawing, harness, http, services

CONNECTIONS = 16
DRAWINGS, DRAWN = 40, "gravures drawing to answer in a browser"


def measure() -> Iterator[harness.Row]:
    """The champion; every side is sent the same drawing, in the size that the page sends, and answers ten matches with their lenses."""
    yield from http.compared("gravures", "gravures /match ", CONNECTIONS)
    with harness.optional(DRAWN), services.started({"Atelier": services.ours("gravures")}) as running:
        found = drawing.milliseconds(running["Atelier"].address, DRAWINGS)
        complete = sorted(line["pictures"] for line in found)[len(found) // 2]
        facts = {"browser": drawing.NAME, "with_pictures_ms": round(complete), "pictures": found[0]["shown"]}
        yield harness.row(DRAWN, "ms", "less", [line["grid"] for line in found], **facts)
