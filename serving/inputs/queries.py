"""Query parameters, validated."""

import re

from starlette.datastructures import QueryParams

from serving.problems import Refusal

NUMBER = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
SHOWN = 40  # characters of a value that a refusal repeats


def one(query: QueryParams, name: str, default: str) -> str:
    """The value of `name`, or `default`. Raises Refusal 422 where it is given twice."""
    values = query.getlist(name)
    if len(values) > 1:
        raise Refusal(422, "bad query", f"{name} is given {len(values)} times: {', '.join(values)[:80]!r}. Give it once.")
    return values[0] if values else default


def parse_int(query: QueryParams, name: str, least: int, most: int, default: int) -> int:
    """The integer `name` from `least` to `most`, or `default`. Raises Refusal 422."""
    word = one(query, name, str(default))
    if not NUMBER.fullmatch(word) or not least <= int(word) <= most:
        allowed = f"a whole number from {least} to {most:,}. Ask for {name}={default}, for example."
        raise Refusal(422, "bad query", f"{name}={word[:SHOWN]!r} is not {allowed}")
    return int(word)
